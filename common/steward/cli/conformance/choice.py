"""Which ConformanceRun and which features are meant."""

from datetime import UTC, datetime

from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.conformance.catalogue import FeatureEntry, catalogue
from steward.kube.client import Kube
from steward.kube.resources import CONFORMANCE_RUNS
from steward.resources import ConformanceRun
from steward.resources.conformance_run import ConformanceRunStatus, RunPhase

OVER = frozenset({RunPhase.COMPLETED, RunPhase.ABORTED, RunPhase.FAILED})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def status_of(run: ConformanceRun) -> ConformanceRunStatus:
    """The status; of a run that nobody took up yet, an empty one."""
    return run.status or ConformanceRunStatus()


def is_over(run: ConformanceRun) -> bool:
    """Whether nothing will be probed in it any more."""
    return status_of(run).phase in OVER


async def all_runs(kube: Kube) -> list[ConformanceRun]:
    """Every run, the newest first."""
    listing = await kube.list(CONFORMANCE_RUNS)
    runs = [ConformanceRun.of(item) for item in listing.items]
    return sorted(runs, key=lambda run: (run.metadata.creation_timestamp or _LONG_AGO, run.metadata.name), reverse=True)


async def the_run(kube: Kube, name: str) -> ConformanceRun:
    """The run of that name; without a name the newest that is under way, else the newest."""
    if name:
        return ConformanceRun.of(await kube.get(CONFORMANCE_RUNS, name))
    runs = await all_runs(kube)
    if not runs:
        raise Refusal("there is no ConformanceRun", "begin one with: linkerd steward conformance start")
    return next((run for run in runs if not is_over(run)), runs[0])


def free_name(wanted: str, runs: list[ConformanceRun]) -> str:
    """`wanted`, or with a number where earlier runs have it."""
    taken = {run.metadata.name for run in runs}
    return next(name for name in (wanted, *(f"{wanted}-{count}" for count in range(2, 10_000))) if name not in taken)


def the_feature(name: str) -> FeatureEntry:
    """What is known of a feature."""
    entry = catalogue().find(name)
    if entry is not None:
        return entry
    near = [each.feature for each in catalogue().features if name.rpartition(".")[2] in each.feature]
    remedy = f"did you mean {', '.join(near[:3])}?" if near else "linkerd steward conformance list shows them"
    raise Refusal(f"there is no feature {name!r}", remedy, ExitCode.USAGE)


def known_patterns(patterns: list[str]) -> tuple[str, ...]:
    """Patterns that mean at least one feature each."""
    for pattern in patterns:
        if not catalogue().meant(pattern):
            groups = sorted({each.group for each in catalogue().features})
            raise Refusal(f"{pattern!r} means no feature", f"the groups are {', '.join(groups)}", ExitCode.USAGE)
    return tuple(patterns)
