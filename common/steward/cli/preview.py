"""What a run would do: steps, workloads, what cannot be done, what cannot be undone. Pure."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.marks import WARNING
from steward.cli.output import grid, plain
from steward.cli.run_view import headline, needing_a_look, origin, status_of
from steward.resources import UpgradeRun
from steward.resources.upgrade_plan import UpgradePlanSpec
from steward.resources.upgrade_run import Workloads


def preview_report(run: UpgradeRun, now: datetime) -> RenderableType:
    """The whole preview."""
    status = status_of(run)
    steps = [(str(number), step.name, step.type.value, step.summary) for number, step in enumerate(status.preview, 1)]
    parts: list[RenderableType] = [headline(run, now), origin(run), Text("")]
    parts.append(grid(("", "STEP", "TYPE", "WOULD"), steps))
    parts += [Text(""), *_workloads(status.workloads)]
    if status.snapshot is not None:
        parts += _warnings(status.snapshot.plan_spec, notices_of(run))
    parts += [Text(""), plain(f"Do it with: linkerd steward upgrade start {run.spec.target}", "dim")]
    return Group(*parts)


def notices_of(run: UpgradeRun) -> list[str]:
    """What the plan and the release demand of people, each once."""
    snapshot = status_of(run).snapshot
    if snapshot is None:
        return []
    release = snapshot.release.notices if snapshot.release else ()
    return list(dict.fromkeys([*snapshot.plan_spec.notices, *release]))


def _workloads(workloads: Workloads | None) -> list[RenderableType]:
    if workloads is None or not workloads.total:
        return [
            plain(
                "No workload asks for new proxies: annotate it, or its namespace, with "
                "steward.linkerd.io/proxy-upgrade=Auto"
            )
        ]
    would = max(0, workloads.total - workloads.held - workloads.unsupported - workloads.verified)
    others = {
        "already on the target proxy": workloads.verified,
        "held": workloads.held,
        "cannot be restarted": workloads.unsupported,
    }
    rest = ", ".join(f"{name}: {count}" for name, count in others.items() if count)
    said = f"{would} of {workloads.total} workloads would be restarted" + (f" ({rest})" if rest else "")
    return [plain(said), *needing_a_look(workloads)]


def _warnings(plan: UpgradePlanSpec, notices: Sequence[str]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if plan.one_way:
        parts += [
            Text(""),
            plain(f"{WARNING} There is no way back once this has begun: the plan is one-way", "yellow"),
        ]
    if notices:
        parts += [Text(""), Text("Notices", "bold"), *(plain(f"• {notice}") for notice in notices)]
    return parts
