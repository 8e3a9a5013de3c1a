"""An UpgradeRun for people: what it is about, where it stands, and what that means for an exit code. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.exit_codes import ExitCode
from steward.cli.go_flags import spelled
from steward.cli.marks import BAD, GOOD, LEFT_OUT, NOT_YET, UNDER_WAY, WARNING
from steward.cli.output import grid, plain
from steward.resources import UpgradeRun
from steward.resources.base import Condition, ConditionStatus, condition_of
from steward.resources.upgrade_run import DryRun, Phase, StepState, StepStatus, UpgradeRunStatus, Workloads

_BAR = 40
_SHOWN = 10
_HASH = 8
FINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.PREVIEWED})
# Conditions that keep a run from going on, and the status in which they do.
TROUBLE = {
    "Stalled": ConditionStatus.TRUE,
    "Paused": ConditionStatus.TRUE,
    "Blocked": ConditionStatus.TRUE,
    "Planned": ConditionStatus.FALSE,
}
_MARKS: dict[StepState, tuple[str, str]] = {
    StepState.PENDING: (NOT_YET, "dim"),
    StepState.BLOCKED: (WARNING, "yellow"),
    StepState.RUNNING: (UNDER_WAY, "cyan"),
    StepState.VERIFYING: (UNDER_WAY, "cyan"),
    StepState.SUCCEEDED: (GOOD, "green"),
    StepState.FAILED: (BAD, "red"),
    StepState.INCONCLUSIVE: (WARNING, "yellow"),
    StepState.SKIPPED: (LEFT_OUT, "dim"),
}
_PHASES: dict[Phase, str] = {
    Phase.SUCCEEDED: "green",
    Phase.PREVIEWED: "green",
    Phase.FAILED: "red",
    Phase.ABORTED: "red",
    Phase.PAUSED: "yellow",
    Phase.RUNNING: "cyan",
    Phase.PENDING: "dim",
}


@dataclass(frozen=True, slots=True)
class Word:
    """The reason and the sentence of the condition that matters most."""

    type: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


def status_of(run: UpgradeRun) -> UpgradeRunStatus:
    """The status; of a run that nobody looked at yet, an empty one."""
    return run.status or UpgradeRunStatus()


def is_over(run: UpgradeRun) -> bool:
    """Whether the run will not act again."""
    return status_of(run).phase in FINAL


def verdict(run: UpgradeRun) -> ExitCode:
    """What a command that reports this run ends with."""
    match status_of(run).phase:
        case Phase.FAILED | Phase.ABORTED:
            return ExitCode.FAILED
        case Phase.PAUSED:
            return ExitCode.NEEDS_ATTENTION
        case Phase.SUCCEEDED | Phase.PREVIEWED:
            return ExitCode.OK
        case _:
            return ExitCode.NEEDS_ATTENTION if trouble(run) else ExitCode.OK


def trouble(run: UpgradeRun) -> Word | None:
    """What keeps an unfinished run from going on."""
    for type, bad in TROUBLE.items():
        condition = condition_of(status_of(run).conditions, type)
        if condition is not None and condition.status is bad:
            return _word(condition)
    return None


def word(run: UpgradeRun) -> Word | None:
    """What the conditions say of the run in one sentence; trouble goes first."""
    conditions = status_of(run).conditions
    found = None if is_over(run) else trouble(run)
    for type in ("Succeeded", "Progressing"):
        condition = condition_of(conditions, type)
        if found is None and condition is not None and condition.message:
            found = _word(condition)
    return found


def elapsed(run: UpgradeRun, now: datetime) -> timedelta:
    """How long the run takes, or took."""
    status = status_of(run)
    begin = status.started_at or run.metadata.creation_timestamp or now
    return max(timedelta(0), (status.finished_at or now) - begin)


def run_report(run: UpgradeRun, now: datetime) -> RenderableType:
    """The whole run as it stands at `now`: head, steps, proxies, what needs a look."""
    status = status_of(run)
    parts: list[RenderableType] = [headline(run, now), origin(run), Text("")]
    if status.steps:
        parts.append(step_table(status.steps, now))
    if status.workloads is not None and status.workloads.total:
        parts += [Text(""), progress_bar(status.workloads), *needing_a_look(status.workloads)]
    said = word(run)
    if said is not None:
        parts += [Text(""), _conclusion(run, said)]
    return Group(*parts)


def headline(run: UpgradeRun, now: datetime) -> Text:
    """One line: which run, which phase, since when."""
    phase = status_of(run).phase
    text = Text.assemble("UpgradeRun ", plain(run.metadata.name, "bold"), "   ", (phase.value, _PHASES[phase]))
    wish = run.spec.state.value
    if not is_over(run) and wish != "Run":
        text.append(f"   ({wish} is asked for)")
    return text.append(f"   {spelled(elapsed(run, now))}")


def origin(run: UpgradeRun) -> Text:
    """One line: from where to where, by which plan."""
    snapshot = status_of(run).snapshot
    if snapshot is None:
        plan = f", plan {run.spec.plan_ref.name}" if run.spec.plan_ref else ""
        waits = "; upgrader has not taken it up yet" if run.status is None else ""
        return plain(f"to {run.spec.target}{plan}, policy {run.spec.policy_ref.name}{waits}")
    digest = snapshot.plan_hash.rpartition(":")[2][:_HASH]
    preview = ", preview only" if run.spec.dry_run is DryRun.PREVIEW else ""
    return plain(
        f"{snapshot.from_version} → {run.spec.target} by {snapshot.install_method}, "
        f"plan {snapshot.plan} ({digest}), policy {snapshot.policy}{preview}"
    )


def step_table(steps: Sequence[StepStatus], now: datetime) -> RenderableType:
    """A line for each step."""
    return grid(("", "STEP", "TYPE", "STATE", "TRY", "TIME", "SAID"), [_step_row(step, now) for step in steps])


def progress_bar(workloads: Workloads) -> Text:
    """How many workloads are proven, as a bar and as numbers."""
    done = workloads.verified
    filled = _BAR * done // max(1, workloads.total)
    text = Text("Proxies  ").append("━" * filled, "green").append("─" * (_BAR - filled), "dim")
    text.append(f"  {done}/{workloads.total} workloads verified")
    others = [Text(f"{number} {name}", style) for number, name, style in _other_counts(workloads)]
    return text.append("\n         ").append_text(Text("  ").join(others)) if others else text


def needing_a_look(workloads: Workloads) -> list[RenderableType]:
    """The workloads that are not simply done."""
    if not workloads.listed:
        return []
    rows = [
        (f"{each.kind} {each.namespace}/{each.name}", each.state.value, each.reason, each.message)
        for each in workloads.listed[:_SHOWN]
    ]
    more = len(workloads.listed) - _SHOWN
    parts: list[RenderableType] = [Text(""), grid(("WORKLOAD", "STATE", "REASON", "SAID"), rows)]
    return [*parts, plain(f"and {more} more: -o yaml lists them", "dim")] if more > 0 else parts


def run_table(runs: Sequence[UpgradeRun], now: datetime) -> RenderableType:
    """A line for each run, as `kubectl get upgraderuns` but with what the conditions say."""
    rows = []
    for run in runs:
        status = status_of(run)
        origin = status.snapshot.from_version if status.snapshot else ""
        phase = Text(status.phase.value, _PHASES[status.phase])
        created = run.metadata.creation_timestamp
        age = spelled(now - created) if created else ""
        rows.append((run.metadata.name, origin, run.spec.target, phase, status.progress, age, str(word(run) or "")))
    return grid(("NAME", "FROM", "TO", "PHASE", "STEPS", "AGE", "SAID"), rows)


def _step_row(step: StepStatus, now: datetime) -> tuple[str | Text, ...]:
    mark, style = _MARKS[step.state]
    took = ""
    if step.started_at is not None:
        took = spelled((step.finished_at or now) - step.started_at)
    attempt = str(step.attempt) if step.attempt > 1 else ""
    said = f"{step.reason}: {step.message}" if step.reason and step.message else step.message or step.reason
    return Text(mark, style), plain(step.name), step.type.value, Text(step.state.value, style), attempt, took, said


def _other_counts(workloads: Workloads) -> list[tuple[int, str, str]]:
    counts = [
        (workloads.restarting, "restarting", "cyan"),
        (workloads.failed, "failed", "red"),
        (workloads.no_effect, "without effect", "red"),
        (workloads.contested, "contested", "red"),
        (workloads.held, "held", "yellow"),
        (workloads.unsupported, "unsupported", "yellow"),
        (workloads.pending, "pending", "dim"),
    ]
    return [each for each in counts if each[0]]


def _word(condition: Condition) -> Word:
    return Word(condition.type, condition.reason, condition.message)


def _conclusion(run: UpgradeRun, said: Word) -> Text:
    """The word of the run behind the mark that says how to take it."""
    phase = status_of(run).phase
    if said.type in TROUBLE:
        return plain(f"{WARNING} {said.type}: {said}" if said.type != "Planned" else f"{WARNING} {said}", "yellow")
    if phase in (Phase.SUCCEEDED, Phase.PREVIEWED):
        return plain(f"{GOOD} {said}", "green")
    return plain(f"{BAD} {said}", "red") if is_over(run) else plain(f"{UNDER_WAY} {said}", "cyan")
