"""What is known of one feature: its definition, its last results, its history. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.marks import BAD, GOOD, WARNING
from steward.cli.output import grid, plain
from steward.conformance.catalogue import FeatureEntry
from steward.conformance.results import FeatureResult, Verdict
from steward.events.conformance import FoundCause, Rung

_LAST = 10
_RUNGS = (
    (Rung.OBJECT, "object"),
    (Rung.CONTROL_PLANE, "control plane"),
    (Rung.PROXY, "proxy"),
    (Rung.TRAFFIC, "traffic"),
)
_BARS = {
    Verdict.PASSED: ("▂", "green"),
    Verdict.FLAKY: ("▅", "yellow"),
    Verdict.FAILED: ("█", "red"),
    Verdict.INCONCLUSIVE: ("▃", "magenta"),
    Verdict.SKIPPED: ("▁", "dim"),
    Verdict.UNSUPPORTED: ("▁", "dim"),
    Verdict.NOT_APPLICABLE: ("▁", "dim"),
}
_JUDGED = (Verdict.PASSED, Verdict.FLAKY, Verdict.FAILED)


def definition(entry: FeatureEntry) -> RenderableType:
    """What a feature promises and how it is tried, without any cluster."""
    head = plain(entry.feature, "bold").append(f"   {entry.tier.value}, {entry.safety.value}")
    parts: list[RenderableType] = [head, plain(entry.claim)]
    conditions = [
        f"since Linkerd {entry.since}" if entry.since else "",
        f"until Linkerd {entry.until}" if entry.until else "",
        f"needs {', '.join(entry.needs)}" if entry.needs else "",
        f"after {', '.join(entry.depends_on)}" if entry.depends_on else "",
        "alarms after one confirmed failure" if entry.security else "",
    ]
    said = "; ".join(each for each in conditions if each)
    parts += [plain(said, "dim")] if said else []
    parts += [
        Text(""),
        plain("How it is tried:", "bold"),
        *(plain(f"  {number}. {step}") for number, step in _numbered(entry)),
    ]
    if entry.control:
        parts += [Text(""), plain(f"Believed only while: {entry.control}")]
    rows = [(each.code, each.rung.value, each.message) for each in entry.causes]
    return Group(*parts, Text(""), plain("How it breaks:", "bold"), grid(("CAUSE", "RUNG", "MEANING"), rows))


def _numbered(entry: FeatureEntry) -> list[tuple[int, str]]:
    return list(enumerate(entry.steps, start=1))


def explanation(entry: FeatureEntry, results: Sequence[FeatureResult]) -> RenderableType:
    """The definition, the last results, and of the last failure everything that was found out."""
    parts: list[RenderableType] = [definition(entry), Text("")]
    if not results:
        return Group(*parts, plain("There is no result yet: linkerd steward conformance run-one " + entry.feature))
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M:%S}", each.run, each.verdict.value, each.reason, each.message)
        for each in reversed(results[-_LAST:])
    ]
    parts += [plain("The last results:", "bold"), grid(("AT", "RUN", "VERDICT", "REASON", "SAID"), rows)]
    failed = next((each for each in reversed(results) if each.verdict is Verdict.FAILED), None)
    return Group(*parts, *(_failure(failed) if failed is not None else []))


def _failure(result: FeatureResult) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(""),
        plain(f"{BAD} Failed {result.at:%Y-%m-%d %H:%M:%S}: {result.message}", "red"),
    ]
    if result.rung is not None:
        parts.append(ladder(result.rung))
    rows: list[tuple[str | Text, ...]] = [
        (Text(GOOD if each.ok else BAD, "green" if each.ok else "red"), each.name, each.expected, each.observed)
        for each in result.assertions
    ]
    parts.append(grid(("", "ASSERTION", "EXPECTED", "OBSERVED"), rows))
    for cause in result.causes:
        parts += _cause(cause)
    if result.evidence:
        parts += [Text(""), plain(f"Evidence: {result.evidence} in the object store steward-evidence", "dim")]
    return parts


def ladder(broken: Rung) -> Text:
    """The four rungs, up to the one that disagrees."""
    text = Text("  ")
    agreeing = True
    for position, (rung, name) in enumerate(_RUNGS):
        if position:
            text.append(" ─ " if rung is not broken and agreeing else " ≠ " if rung is broken else " ┄ ", "dim")
        if rung is broken:
            agreeing = False
            text.append(f"[{name}]", "bold red")
        else:
            text.append(name, "green" if agreeing else "dim")
    return text


def _cause(cause: FoundCause) -> list[RenderableType]:
    lines = [
        ("observed", cause.observed),
        ("expected", cause.expected),
        ("not this, if", cause.disproof),
        ("remedy", cause.remedy),
        ("by hand", cause.command),
    ]
    head = plain(f"{WARNING} {cause.code}", "bold").append_text(plain(f"  {cause.message}"))
    return [Text(""), head, grid(("", ""), [(name, value) for name, value in lines if value])]


def past(entry: FeatureEntry, results: Sequence[FeatureResult], width: int = 60) -> RenderableType:
    """A sparkline of the last results, and what they come to."""
    judged = [each for each in results if each.verdict in _JUDGED]
    passed = sum(1 for each in judged if each.verdict is Verdict.PASSED)
    flips = sum(1 for one, next in pairwise(judged) if _good(one) != _good(next))
    line = Text()
    for each in results[-width:]:
        bar, style = _BARS[each.verdict]
        line.append(bar, style)
    share = f"{100 * passed / len(judged):.2f} % of {len(judged)}" if judged else "nothing was judged"
    span = f"{_moment(results[0].at)} to {_moment(results[-1].at)}" if results else "no result"
    rows = [
        ("worked", share),
        ("changed its mind", f"{flips} times"),
        ("could not be told", f"{sum(1 for each in results if each.verdict is Verdict.INCONCLUSIVE)} times"),
        ("from", span),
    ]
    return Group(plain(entry.feature, "bold"), line, grid(("", ""), rows))


def _good(result: FeatureResult) -> bool:
    return result.verdict is not Verdict.FAILED


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
