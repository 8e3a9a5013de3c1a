"""Tells people what happens, as it happens: each event in a line, and how far the proxies are."""

from collections.abc import Mapping

from rich.text import Text

from steward.events import (
    Envelope,
    Event,
    GateReport,
    GateResult,
    MeshDrifted,
    NewVersion,
    RunOutcome,
    UpgradeEvent,
    UpgradeFinished,
    UpgradeStepDone,
    UpgradeStepFailed,
    VersionWithdrawn,
)

WIDTH = 32
_SIGNS = {
    "new-version": ("★", "bold cyan"),
    "mesh-drifted": ("≠", "yellow"),
    "upgrade-planned": ("▤", "cyan"),
    "upgrade-started": ("▶", "bold"),
    "upgrade-step-started": ("…", "dim"),
    "upgrade-step-done": ("√", "green"),
    "upgrade-step-failed": ("✗", "red"),
    "upgrade-paused": ("‖", "yellow"),
    "upgrade-finished": ("■", "bold green"),
}
_GATE_SIGNS = {GateResult.PASSED: "√", GateResult.FAILED: "✗", GateResult.INCONCLUSIVE: "?", GateResult.ERROR: "!"}


def line(envelope: Envelope[Event]) -> Text:
    """One event as one line: when, what, and the sentence that it carries."""
    event = envelope.data
    sign, style = _SIGNS.get(event.name, ("·", ""))
    if isinstance(event, UpgradeFinished) and event.outcome is not RunOutcome.SUCCEEDED:
        style = "bold red"
    written = Text(f"{envelope.time.astimezone():%H:%M:%S} ", style="dim")
    written.append(f"{sign} {event.name:<21}", style=style)
    written.append(said(event))
    return written


def said(event: Event) -> str:
    """What an event says, as a sentence."""
    match event:
        case NewVersion():
            logical = f", Linkerd {event.logical_version}" if event.logical_version else ""
            return f"{event.release} is the head of {event.channel}{logical} ({event.recommendation})"
        case VersionWithdrawn():
            return f"{event.release} is not recommended any more: {event.reason}"
        case MeshDrifted():
            return "; ".join(drift.message for drift in event.drifts) or "the mesh is as expected"
        case UpgradeStepDone() | UpgradeStepFailed():
            gates = "  ".join(f"{_GATE_SIGNS[gate.result]} {gate.gate}" for gate in _last(event.gates))
            return f"{event.step}: {event.message}" + (f"  [{gates}]" if gates else "")
        case UpgradeEvent():
            step = getattr(event, "step", None)
            return f"{step}: {event.message}" if step else event.message
        case _:
            return str(event)


def _last(gates: tuple[GateReport, ...]) -> list[GateReport]:
    """The last answer of each gate."""
    return list({gate.gate: gate for gate in gates}.values())


def bar(pods: Mapping[str, int], target: str) -> Text:
    """How the proxies of the data plane stand: the newest filled, the rest light."""
    total = sum(pods.values())
    drawn = Text("         proxies ", style="dim")
    if not total:
        return drawn.append("none yet")
    done = pods.get(target, 0)
    filled = round(WIDTH * done / total)
    drawn.append("█" * filled, style="green").append("░" * (WIDTH - filled), style="yellow")
    counts = "  ".join(f"{version or 'without a proxy'}: {count}" for version, count in sorted(pods.items()))
    return drawn.append(f"  {counts}")
