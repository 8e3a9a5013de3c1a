"""`obs.cp-metrics`: whoever scrapes the control plane finds its ports by their names, and on them all that there is."""

from collections.abc import Iterator

from services.conformance.core.controllers import admin_ports, families
from services.conformance.core.evidence import Evidence, Scraped
from services.conformance.core.known_causes import cautious
from services.conformance.core.known_causes.reading import objects_of, pod_name
from services.conformance.core.orders import Fetch
from services.conformance.core.pages import NotAPage, page_of
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Asked, Looked, Scrapes, Step
from services.conformance.core.targets import CLIENT, UNMESHED, at_service
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import texts
from steward.kube import mesh_resources as mesh
from steward.kube.resources import NAMESPACES, PODS
from steward.linkerd.marks import COMPONENT

_SCRAPERS = {"meshed": CLIENT, "unmeshed": UNMESHED}
_DEFAULT_POLICY = "config.linkerd.io/default-inbound-policy"
_PODS, _NAMESPACE, _SERVERS = "pods", "namespace", "servers"
_SHOWN = 8


def _steps(stage: Stage) -> tuple[Step, ...]:
    ports = admin_ports(stage.linkerd)
    return tuple(Scrapes(name, by, stage.linkerd_namespace, ports) for name, by in _SCRAPERS.items())


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    found: list[AssertionResult] = []
    for scraper in _SCRAPERS:
        seen = evidence.scraped(scraper)
        there = sorted({key.rpartition("/")[2] for key in seen})
        found.append(check(f"scraper, {scraper}: finds", expected=sorted(admin_ports(stage.linkerd)), observed=there))
        found += [
            check(f"scraper, {scraper}: the page of {key}", expected=200, observed=_answer(each))
            for key, each in sorted(seen.items())
        ]
    return (*found, *_families(stage, evidence))


def _answer(scraped: Scraped) -> str | int:
    return 200 if scraped.page is not None else scraped.said


def _families(stage: Stage, evidence: Evidence) -> Iterator[AssertionResult]:
    for key, missing in _missing(stage, evidence).items():
        count = len(families(key.rpartition("/")[2], stage.linkerd))
        observed = f"without {_listed(missing)}" if missing else f"{count} families"
        yield check(f"{key} shows what its version has", expected=f"{count} families", observed=observed)


def _missing(stage: Stage, evidence: Evidence) -> dict[str, list[str]]:
    """By container the families that are on none of its pages, where it showed one at all."""
    found: dict[str, list[str]] = {}
    for scraper in _SCRAPERS:
        for key, each in sorted(evidence.scraped(scraper).items()):
            if each.page is None or key in found:
                continue
            lines = each.page.lines
            wanted = families(key.rpartition("/")[2], stage.linkerd)
            found[key] = [one.name for one in wanted if not any(series in lines for series in one.series)]
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _with(evidence: Evidence) -> Iterator[tuple[str, str, Scraped]]:
    for scraper in _SCRAPERS:
        for key, each in sorted(evidence.scraped(scraper).items()):
            yield scraper, key, each


def _nameless(stage: Stage, evidence: Evidence) -> str | None:
    names = admin_ports(stage.linkerd)
    told = {
        f"{key} has {', '.join(each.ports) or 'no ports'}, none is called {' or '.join(names[key.rpartition('/')[2]])}"
        for _, key, each in _with(evidence)
        if not each.found
    }
    return "; ".join(sorted(told)) or None


def _refused(_stage: Stage, evidence: Evidence) -> str | None:
    told = [
        f"{key} ({each.found}) refuses a scraper, {scraper}" for scraper, key, each in _with(evidence) if _is_shut(each)
    ]
    return "; ".join(told) or None


def _is_shut(scraped: Scraped) -> bool:
    return scraped.status == 403


def _strict(_stage: Stage, evidence: Evidence) -> str | None:
    shut = {key.partition("/")[0] for _, key, each in _with(evidence) if _is_shut(each)}
    if not shut:
        return None
    pods = [pod for pod in objects_of(evidence, _PODS) if pod_name(pod) in shut]
    strict = [
        f"{pod_name(each)}: {policy}"
        for each in (*objects_of(evidence, _NAMESPACE), *pods)
        if (policy := texts(each, "metadata", "annotations").get(_DEFAULT_POLICY, ""))
        and "unauthenticated" not in policy
    ]
    return ", ".join(strict) or None


def _silent(_stage: Stage, evidence: Evidence) -> str | None:
    told = [
        f"{key} ({each.found}) to a scraper, {scraper}: {each.said}"
        for scraper, key, each in _with(evidence)
        if each.found and each.page is None and not _is_shut(each)
    ]
    return "; ".join(told) or None


def _incomplete(stage: Stage, evidence: Evidence) -> str | None:
    told = [f"{key} without {_listed(missing)}" for key, missing in _missing(stage, evidence).items() if missing]
    return "; ".join(told) or None


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    """Servers are for whoever reads the evidence: which of them is in force, the proxy decides."""
    home = stage.linkerd_namespace
    return (
        Looked(_PODS, PODS, home, labels=COMPONENT),
        Looked(_NAMESPACE, NAMESPACES, names=(home,)),
        Looked(_SERVERS, mesh.SERVERS, home),
    )


def _elsewhere(stage: Stage) -> tuple[Step, ...]:
    return (Asked("elsewhere", UNMESHED, Fetch(target=at_service(stage, "su", 8080))),)


def _shows_none(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    fetched = evidence.fetched("elsewhere")
    try:
        lines = frozenset(page_of(fetched.body).lines)
    except NotAPage:
        lines = frozenset()
    known = {
        series
        for container in admin_ports(stage.linkerd)
        for family in families(container, stage.linkerd)
        for series in family.series
    }
    return (
        check("an application of our own answers", expected=200, observed=fetched.status or fetched.message),
        check("and shows none of the control plane's families", expected="none", observed=len(known & lines) or "none"),
    )


_COMMAND = "linkerd diagnostics controller-metrics"

CP_METRICS = Probe(
    id="obs.cp-metrics",
    claim="A scraper finds every controller by the name of its port, and all families of its version there.",
    tier=Tier.DEPTH,
    steps=_steps,
    proof=_proof,
    control=Control("What is no controller is not taken for one.", _elsewhere, _shows_none),
    diagnosis=_diagnosis,
    causes=(
        Cause(
            code="ADMIN_PORT_RENAMED",
            rung=Rung.OBJECT,
            seen=cautious(_nameless),
            message="A controller has no port of the name by which scrapers look for it.",
            expected="dest-, spval-, policy-, ident- and injector-admin; admin-http before edge-25.6.3",
            disproof="Every container of the control plane has a port of that name.",
            remedy="See what changed the Deployments of the control plane, and install the chart's own again.",
            command="kubectl get pods -n linkerd -o jsonpath='{..ports[*].name}'",
        ),
        Cause(
            code="STRICT_DEFAULT",
            rung=Rung.OBJECT,
            seen=cautious(_strict),
            message="The default inbound policy of the control plane's pods covers their admin ports, too.",
            expected=f"{_DEFAULT_POLICY} lets everybody in, or a policy for the admin ports does",
            disproof="/metrics answers 200 to an unmeshed pod.",
            remedy="Authorize scrapers on the admin ports by Servers and AuthorizationPolicies, or mesh them.",
            command=f"kubectl get pods -n linkerd -o yaml | grep {_DEFAULT_POLICY}",
        ),
        Cause(
            code="CONTROLLER_SILENT",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_silent),
            message="A controller does not show its metrics, though its port is there and nobody refuses.",
            expected="a page of metrics within five seconds",
            disproof="/metrics of that port answers 200 with a page.",
            remedy="Look for a NetworkPolicy that shuts scrapers out; else keep the log, and restart the pod.",
            command=_COMMAND,
        ),
        Cause(
            code="FAMILIES_MISSING",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_incomplete),
            message="A controller does not show families that its version has: alerts and dashboards stay empty.",
            expected="all families that the catalogue of metrics has for this version",
            disproof="The families are on the page.",
            remedy="See that the image is the one of this version; compare its page with that of another replica.",
            command=_COMMAND,
        ),
        Cause(
            code="SCRAPE_REFUSED",
            rung=Rung.PROXY,
            seen=cautious(_refused),
            message="The proxy of a controller refuses scrapers, by a policy of its own.",
            expected="200",
            disproof="/metrics answers 200 to a meshed and to an unmeshed pod.",
            remedy="See which Server of the control plane's namespace selects the port, and who is authorized.",
            command="kubectl get servers,authorizationpolicies -n linkerd",
        ),
    ),
    depends_on=("cp.ready",),
)
