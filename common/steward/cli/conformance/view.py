"""A ConformanceRun for people: where it stands, what works, what does not and why. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.conformance.choice import is_over, status_of
from steward.cli.exit_codes import ExitCode
from steward.cli.go_flags import spelled
from steward.cli.marks import BAD, GOOD, LEFT_OUT, NOT_YET, UNDER_WAY, WARNING
from steward.cli.output import grid, plain
from steward.conformance.results import State, Verdict
from steward.events.conformance import ConformanceOutcome, Finding
from steward.resources import ConformanceRun
from steward.resources.base import condition_of
from steward.resources.conformance_run import FeatureLine, RunPhase

_BAR = 40
INCONCLUSIVE, ABORTED = ExitCode.NOT_FOUND, ExitCode.NEEDS_ATTENTION
"""Of conformance commands: 3, nothing failed and too much could not be told; 4, the run was stopped."""
_MARKS: dict[Verdict | None, tuple[str, str]] = {
    None: (NOT_YET, "dim"),
    Verdict.PASSED: (GOOD, "green"),
    Verdict.FAILED: (BAD, "red"),
    Verdict.FLAKY: (WARNING, "yellow"),
    Verdict.INCONCLUSIVE: ("?", "magenta"),
    Verdict.SKIPPED: ("»", "dim"),
    Verdict.UNSUPPORTED: (LEFT_OUT, "dim"),
    Verdict.NOT_APPLICABLE: (LEFT_OUT, "dim"),
}
_OUTCOMES = {
    ConformanceOutcome.PASSED: "green",
    ConformanceOutcome.FAILED: "red",
    ConformanceOutcome.INCONCLUSIVE: "magenta",
    ConformanceOutcome.ABORTED: "yellow",
}
_WORTH_A_LINE = (Verdict.FAILED, Verdict.FLAKY, Verdict.INCONCLUSIVE)


def exit_code(run: ConformanceRun) -> ExitCode:
    """What a command that reports this run ends with: 0 all passed, 1 any failed, 3 inconclusive, 4 aborted."""
    match status_of(run).outcome:
        case ConformanceOutcome.FAILED:
            return ExitCode.FAILED
        case ConformanceOutcome.INCONCLUSIVE:
            return INCONCLUSIVE
        case ConformanceOutcome.ABORTED:
            return ABORTED
        case ConformanceOutcome.PASSED:
            return ExitCode.OK
        case None:
            return ExitCode.FAILED if status_of(run).summary.failed else ExitCode.OK


def run_table(runs: Sequence[ConformanceRun], now: datetime) -> RenderableType:
    """A line for each run, as `kubectl get conformanceruns` but with the last word."""
    return grid(
        ("NAME", "SUITE", "PHASE", "PASSED", "FAILED", "FLAKY", "UNSURE", "AGE", "SAID"),
        [_line(run, now) for run in runs],
    )


def _line(run: ConformanceRun, now: datetime) -> tuple[str | Text, ...]:
    status, counts = status_of(run), status_of(run).summary
    created = run.metadata.creation_timestamp
    return (
        run.metadata.name,
        run.spec.suite_ref.name,
        _phase(run),
        str(counts.passed),
        Text(str(counts.failed), "red" if counts.failed else ""),
        str(counts.flaky),
        str(counts.inconclusive),
        spelled(now - created) if created else "",
        word(run) if status.phase is not RunPhase.RUNNING else "",
    )


def run_report(run: ConformanceRun, now: datetime) -> RenderableType:
    """The whole run as it stands: head, groups, what needs a look, what fails together."""
    status = status_of(run)
    parts: list[RenderableType] = [_headline(run, now), _subject(run), Text("")]
    if status.features:
        parts += [_progress(status.features), Text(""), group_table(status.features), *needing_a_look(status.features)]
    parts += [each for finding in status.findings for each in _finding(finding)]
    said = word(run)
    if said:
        parts += [Text(""), _conclusion(run, said)]
    return Group(*parts)


def word(run: ConformanceRun) -> str:
    """What the conditions say in one sentence; trouble first."""
    conditions = status_of(run).conditions
    for type in ("Complete", "Ready", "Preflight", "Progressing"):
        condition = condition_of(conditions, type)
        if condition is not None and condition.message:
            return condition.message
    return "" if run.status else "the conformance service has not taken it up yet"


def _phase(run: ConformanceRun) -> Text:
    status = status_of(run)
    if status.outcome is not None:
        return Text(f"{status.phase.value}: {status.outcome.value}", _OUTCOMES[status.outcome])
    return Text(status.phase.value, "cyan" if status.phase is RunPhase.RUNNING else "")


def _headline(run: ConformanceRun, now: datetime) -> Text:
    status = status_of(run)
    begin = status.started_at or run.metadata.creation_timestamp or now
    elapsed = max(timedelta(0), (status.ended_at or now) - begin)
    text = Text.assemble("ConformanceRun ", plain(run.metadata.name, "bold"), "   ", _phase(run))
    wish = run.spec.state.value
    if not is_over(run) and wish != "Run":
        text.append(f"   ({wish} is asked for)")
    return text.append(f"   {spelled(elapsed)}")


def _subject(run: ConformanceRun) -> Text:
    cluster = status_of(run).cluster
    known = [
        f"suite {run.spec.suite_ref.name}, {run.spec.pace.value.lower()}",
        f"Linkerd {cluster.linkerd_version}" if cluster.linkerd_version else "",
        f"Kubernetes {cluster.kubernetes_version}" if cluster.kubernetes_version else "",
    ]
    return plain(", ".join(each for each in known if each))


def _progress(features: Sequence[FeatureLine]) -> Text:
    done = sum(1 for each in features if each.verdict is not None)
    filled = _BAR * done // max(1, len(features))
    text = Text("Features  ").append("━" * filled, "green").append("─" * (_BAR - filled), "dim")
    return text.append(f"  {done}/{len(features)} tried")


def group_table(features: Sequence[FeatureLine]) -> RenderableType:
    """A line for each group: a mark for each of its features, and how many work."""
    groups: dict[str, list[FeatureLine]] = {}
    for each in features:
        groups.setdefault(each.feature.split(".", 1)[0], []).append(each)
    rows = [(name, _marks(members), _works(members)) for name, members in groups.items()]
    return grid(("GROUP", "FEATURES", "WORK"), rows)


def _marks(members: Sequence[FeatureLine]) -> Text:
    text = Text()
    for each in members:
        mark, style = _MARKS[each.verdict]
        text.append(mark, style)
    return text


def _works(members: Sequence[FeatureLine]) -> str:
    judged = [each for each in members if each.verdict in (Verdict.PASSED, *_WORTH_A_LINE)]
    return f"{sum(1 for each in judged if each.verdict is Verdict.PASSED)}/{len(judged)}"


def needing_a_look(features: Sequence[FeatureLine]) -> list[RenderableType]:
    """The features that do not simply work."""
    rows: list[tuple[str | Text, ...]] = []
    for each in features:
        if each.verdict not in _WORTH_A_LINE and each.state not in (State.FAILING, State.SUSPECT):
            continue
        mark, style = _MARKS[each.verdict]
        state = each.state.value if each.state is not State.UNKNOWN else ""
        rows.append((Text(mark, style), plain(each.feature, "bold"), state, plain(each.cause), each.message))
    return [Text(""), grid(("", "FEATURE", "STATE", "CAUSE", "SAID"), rows)] if rows else []


def _finding(finding: Finding) -> list[RenderableType]:
    told: list[RenderableType] = [Text(""), plain(f"{WARNING} {finding.message}", "yellow")]
    code = f"{finding.cause.code}: " if finding.cause is not None else ""
    return [*told, plain(f"  {code}{', '.join(finding.features)}", "dim")]


def _conclusion(run: ConformanceRun, said: str) -> Text:
    outcome = status_of(run).outcome
    if outcome is ConformanceOutcome.PASSED:
        return plain(f"{GOOD} {said}", "green")
    if outcome is ConformanceOutcome.FAILED:
        return plain(f"{BAD} {said}", "red")
    return plain(f"{WARNING} {said}", "yellow") if outcome else plain(f"{UNDER_WAY} {said}", "cyan")
