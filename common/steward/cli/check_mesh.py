"""What may be wrong with what conformance and alerting are asked for, and with what they found. Pure."""

from collections.abc import Iterable, Sequence

from steward.cli.alerts.objects import Word, channel_word, policy_word
from steward.cli.check_conditions import invalid_problem
from steward.cli.check_report import Problem, Result
from steward.cli.conformance.choice import is_over, status_of
from steward.conformance.results import State, Verdict
from steward.resources import AlertChannel, AlertPolicy, ConformanceRun, ConformanceSuite
from steward.resources.conformance_run import FeatureLine

_FEW = 5


def suite_problem(suites: Sequence[ConformanceSuite]) -> Problem | None:
    """A suite that conformance cannot run."""
    return invalid_problem((suite.metadata.name, suite.status.conditions if suite.status else ()) for suite in suites)


def feature_problem(runs: Sequence[ConformanceRun]) -> Problem | None:
    """Features that fail, as the runs say that go on; the last one that is over speaks of what these do not judge."""
    going_on = [run for run in runs if not is_over(run)]
    last = sorted((run for run in runs if is_over(run)), key=_when)[-1:]
    word = {
        line.feature: run.metadata.name
        for run in [*last, *going_on]
        for line in status_of(run).features
        if line.verdict is not None
    }
    for run in [*going_on, *last]:
        name = run.metadata.name
        lines = [line for line in status_of(run).features if word.get(line.feature) == name]
        failing = [line for line in lines if _fails(line, over=is_over(run))]
        if failing:
            named = ", ".join(f"{line.feature} ({line.cause or 'no cause found'})" for line in failing[:_FEW])
            more = f" and {len(failing) - _FEW} more" if len(failing) > _FEW else ""
            return Problem(
                f"ConformanceRun {name}: {named}{more}; linkerd steward conformance explain {failing[0].feature}",
                Result.WARNING,
            )
    return None


def policy_problem(policies: Sequence[AlertPolicy]) -> Problem | None:
    """Policies of which something is not in force, or cannot see."""
    return _not_in_force((each.metadata.namespace, each.metadata.name, policy_word(each)) for each in policies)


def channel_problem(channels: Sequence[AlertChannel]) -> Problem | None:
    """Channels that nothing is sent to."""
    return _not_in_force((each.metadata.namespace, each.metadata.name, channel_word(each)) for each in channels)


def _not_in_force(words: Iterable[tuple[str, str, Word]]) -> Problem | None:
    wrong = [
        f"{namespace}/{name}: {word.state}{f': {word.message}' if word.message else ''}"
        for namespace, name, word in words
        if not word.ok
    ]
    more = [f"and {len(wrong) - _FEW} more; linkerd steward alerts status"] if len(wrong) > _FEW else []
    return Problem("\n".join([*wrong[:_FEW], *more]), Result.WARNING) if wrong else None


def _fails(line: FeatureLine, *, over: bool) -> bool:
    # A run that goes on tries again before it is sure; one that is over will not.
    unsure = line.verdict is Verdict.FAILED and line.state is not State.QUARANTINED
    return line.state is State.FAILING or (over and unsure)


def _when(run: ConformanceRun) -> float:
    ended = status_of(run).ended_at
    return ended.timestamp() if ended else 0.0
