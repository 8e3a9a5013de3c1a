"""Which UpgradeRun is meant, and what a new one is called."""

from collections.abc import Sequence
from datetime import UTC, datetime

from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.run_view import is_over, status_of
from steward.kube.client import Kube
from steward.kube.resources import UPGRADE_RUNS
from steward.resources import UpgradeRun
from steward.resources.upgrade_run import DryRun

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


async def all_runs(kube: Kube) -> list[UpgradeRun]:
    """Every run, the newest first."""
    listing = await kube.list(UPGRADE_RUNS)
    runs = [UpgradeRun.of(item) for item in listing.items]
    return sorted(runs, key=lambda run: (run.metadata.creation_timestamp or _LONG_AGO, run.metadata.name), reverse=True)


async def the_run(kube: Kube, name: str) -> UpgradeRun:
    """The run of that name; without a name the one that is under way, else the newest."""
    if name:
        return UpgradeRun.of(await kube.get(UPGRADE_RUNS, name))
    runs = await all_runs(kube)
    if not runs:
        raise Refusal("there is no UpgradeRun", "begin one with: linkerd steward upgrade start", ExitCode.NOT_FOUND)
    return under_way(runs) or next((run for run in runs if not is_preview(run)), runs[0])


def under_way(runs: Sequence[UpgradeRun]) -> UpgradeRun | None:
    """The run that is not over yet, before all one that has begun; previews do not count."""
    unfinished = [run for run in runs if not is_over(run) and not is_preview(run)]
    return next((run for run in unfinished if status_of(run).started_at), next(iter(unfinished), None))


def is_preview(run: UpgradeRun) -> bool:
    """Whether the run only says what it would do."""
    return run.spec.dry_run is DryRun.PREVIEW


def free_name(wanted: str, runs: Sequence[UpgradeRun]) -> str:
    """`wanted`, or with a number where earlier runs have it: two people who begin at once collide, as they should."""
    taken = {run.metadata.name for run in runs}
    if wanted not in taken:
        return wanted
    return next(name for name in (f"{wanted}-{count}" for count in range(2, len(taken) + 3)) if name not in taken)


def refuse_if_over(run: UpgradeRun, verb: str) -> None:
    """A run that is over cannot be paused, resumed or aborted."""
    if is_over(run):
        phase = status_of(run).phase.value
        raise Refusal(
            f"UpgradeRun {run.metadata.name!r} is over ({phase}): there is nothing to {verb}",
            "linkerd steward upgrade list shows every run",
        )
