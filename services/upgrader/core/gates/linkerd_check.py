"""`linkerd check`: every document of its output, and what is missing from it.

Its exit code says nothing of skew or staleness, and a fatal error hides every category after it: a category that did
not come is not a category without errors.
"""

from services.upgrader.core.gates.verdict import Finding, Verdict, failed, inconclusive, passed
from services.upgrader.core.observations import Check, CheckResult, CheckSeen
from steward.resources.upgrade_plan import CheckScope, LinkerdCheck

_OURS = "linkerd-steward"
"""What our own extension says of an upgrade under way is no news to it."""

_ALWAYS = (
    "kubernetes-api",
    "linkerd-existence",
    "linkerd-config",
    "linkerd-identity",
    "linkerd-webhooks-and-apisvc-tls",
    "linkerd-control-plane-proxy",
)
EXPECTED: dict[CheckScope, tuple[str, ...]] = {
    CheckScope.CONTROL_PLANE: (*_ALWAYS, "control-plane-version"),
    CheckScope.PROXY: (*_ALWAYS, "linkerd-identity-data-plane", "linkerd-data-plane"),
}
"""Categories that every release since 2.18 prints when nothing stops it; others come and go with releases."""


def judge(seen: tuple[CheckSeen, ...], settings: LinkerdCheck) -> Verdict:
    """Failed by any error, and by warnings of the categories that the gate names."""
    strict = frozenset(settings.fail_on_warnings)
    findings: dict[str, Finding] = {}
    missing: list[str] = []
    checks = 0
    for scope in seen:
        for check in _checks(scope):
            checks += 1
            if check.result is CheckResult.ERROR or (check.result is CheckResult.WARNING and check.category in strict):
                findings.setdefault(_name(check), Finding(_name(check), _message(check)))
        printed = {category for document in scope.documents for category in document.categories}
        missing += [each for each in EXPECTED[scope.scope] if each not in printed and each not in missing]
    findings.update(_unexplained(seen, findings))
    if findings:
        return failed("CheckFailed", tuple(findings.values()))
    if missing:
        names = ", ".join(missing)
        message = f"linkerd check said nothing of {names}, so nobody can tell: run it by hand to see why"
        return inconclusive("CategoryMissing", message)
    clis = ", ".join(sorted({each.cli for each in seen}))
    return passed("CheckPassed", f"{checks} checks of linkerd {clis} found no error")


def _checks(scope: CheckSeen) -> list[Check]:
    return [check for document in scope.documents for check in document.checks if check.category != _OURS]


def _unexplained(seen: tuple[CheckSeen, ...], findings: dict[str, Finding]) -> dict[str, Finding]:
    """Documents that say they failed and show no failed check."""
    found: dict[str, Finding] = {}
    for scope in seen:
        for document in scope.documents:
            errors = any(check.result is CheckResult.ERROR for check in document.checks)
            if document.success or errors or document.categories == (_OURS,):
                continue
            name = f"unexplained/{'+'.join(document.categories)}"
            if name not in findings:
                message = f"linkerd check says that {', '.join(document.categories) or 'it'} failed and not why"
                found[name] = Finding(name, message)
    return found


def _name(check: Check) -> str:
    return f"{check.category}/{check.description}"


def _message(check: Check) -> str:
    why = " ".join(check.error.split()) or "no reason is given"
    hint = f" ({check.hint})" if check.hint else ""
    return f"{check.category}: {check.description}: {why}{hint}"
