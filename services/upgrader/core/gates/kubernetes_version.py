"""Does the target run on this Kubernetes? The charts' own bound is trusted before any documentation."""

import re

from services.upgrader.core.gates.verdict import Context, Finding, Verdict, failed, inconclusive, passed
from services.upgrader.core.observations import KubernetesSeen

_SERVER = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")
_COMPARISON = re.compile(r"(>=|<=|!=|>|<|=|\^|~)?\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-[0-9A-Za-z.-]+)?")
_NOTHING_ELSE = re.compile(r"^[\s,]*$")

Numbers = tuple[int, ...]


def judge(seen: KubernetesSeen, context: Context) -> Verdict:
    """Failed where the server is outside a bound; Inconclusive where nothing bounds it, or a bound cannot be read."""
    match = _SERVER.match(seen.server)
    if match is None:
        return inconclusive(
            "ServerVersionUnknown", f"the API server calls its version {seen.server!r}: it cannot be compared"
        )
    server = tuple(int(part or 0) for part in match.groups())
    findings = tuple(_catalog(server, seen.server, context))
    fits = _satisfies(server, seen.chart_range) if seen.chart_range else True
    if fits is False:
        message = (
            f"Kubernetes is {seen.server}, and the charts of {context.target} need {seen.chart_range}: upgrade it first"
        )
        findings = (*findings, Finding("chart", message))
    if findings:
        return failed("KubernetesUnsuitable", findings)
    if fits is None:
        return inconclusive("ChartRangeUnreadable", f"kubeVersion {seen.chart_range!r} of the charts cannot be read")
    bounds = context.release.kubernetes if context.release else None
    if not seen.chart_range and (bounds is None or (bounds.min is None and bounds.max is None)):
        message = (
            f"nothing says which Kubernetes {context.target} needs: add `kubernetes` to its entry in the ReleaseCatalog"
        )
        return inconclusive("RequirementUnknown", message)
    return passed("KubernetesSuitable", f"Kubernetes {seen.server} suits {context.target}")


def _catalog(server: Numbers, name: str, context: Context) -> list[Finding]:
    bounds = context.release.kubernetes if context.release else None
    found: list[Finding] = []
    if bounds is not None and bounds.min is not None and server < _numbers(bounds.min):
        found.append(
            Finding("minimum", f"Kubernetes is {name}, and {context.target} needs {bounds.min}: upgrade it first")
        )
    if bounds is not None and bounds.max is not None:
        newest = _numbers(bounds.max)
        # A bound of 1.35 includes every 1.35.x.
        if server[: len(newest)] > newest:
            found.append(
                Finding("maximum", f"Kubernetes is {name}, and {context.target} is supported up to {bounds.max}")
            )
    return found


def _numbers(text: str) -> Numbers:
    return tuple(int(part) for part in text.removeprefix("v").split("."))


def _satisfies(server: Numbers, constraint: str) -> bool | None:
    """Whether `server` fits a Helm constraint such as `>=1.31.0-0 <2`; None where it cannot be read."""
    alternatives = [_all_hold(server, part) for part in constraint.split("||")]
    if any(alternatives):
        return True
    return None if None in alternatives else False


def _all_hold(server: Numbers, part: str) -> bool | None:
    comparisons = list(_COMPARISON.finditer(part))
    if not comparisons or not _NOTHING_ELSE.match(_COMPARISON.sub("", part)):
        return None
    return all(_holds(server, each) for each in comparisons)


def _holds(server: Numbers, comparison: re.Match[str]) -> bool:
    operator, *parts = comparison.groups()
    bound = tuple(int(part) for part in parts if part is not None)
    full = (*bound, 0, 0)[:3]
    match operator:
        case ">=":
            return server >= full
        case "<=":
            return server[: len(bound)] <= bound
        case ">":
            return server[: len(bound)] > bound
        case "<":
            return server < full
        case "!=":
            return server[: len(bound)] != bound
        case "^":
            return server >= full and server[0] == bound[0]
        case "~":
            return server >= full and server[: min(2, len(bound))] == bound[:2]
        case _:
            return server[: len(bound)] == bound
