"""`obs.*`: what the proxies count is what happened, on both sides, and routes say whether they are in force."""

from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.orders import Call
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.probes.access_log import ACCESS_LOG
from services.conformance.core.probes.controller_metrics import CP_METRICS
from services.conformance.core.probes.tracing import TRACE
from services.conformance.core.proofs import (
    Between,
    Series,
    between,
    counter_grew_by,
    counter_stood_still,
    growth,
    series,
    share,
    status_is,
    within,
)
from services.conformance.core.stage import SPARE_PORTS, Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, Looked, LookedUntil, Pages, Step
from services.conformance.core.targets import CLIENT, at_service, get
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, text, whole
from steward.kube.mesh_resources import HTTP_ROUTES

_ACTOR = "sp"
_COUNTED, _INBOUND, _STATUS = "obs-metrics", "obs-inbound", "obs-status"
_COUNTED_PORT, _INBOUND_PORT = SPARE_PORTS.start + 30, SPARE_PORTS.start + 31
_CALLS, _FAILING = 100, 10
_CONTROLLER = "linkerd.io/policy-controller"


def _apply(stage: Stage, name: str, port: int) -> Applied:
    return Applied("applied", (made.service(stage, name, {"app": _ACTOR}, made.service_port(port)),))


def _mixed(stage: Stage, name: str, port: int) -> Call:
    """A hundred calls of which exactly ten are answered with 503."""
    path = Wishes(status=503, fail_percent=_FAILING, id=f"{stage.run}-{name}").on("/counted")
    return get(at_service(stage, name, port), path, times=_CALLS, timeout=5)


def _steps(stage: Stage, name: str, port: int) -> tuple[Step, ...]:
    return (
        _apply(stage, name, port),
        Calls("warm", CLIENT, get(at_service(stage, name, port), times=2, timeout=5)),
        Pages("client-before", CLIENT),
        Pages("server-before", _ACTOR),
        Calls("calls", CLIENT, _mixed(stage, name, port)),
        Pages("client-after", CLIENT),
        Pages("server-after", _ACTOR),
    )


def _client(evidence: Evidence) -> Between:
    return between(evidence, "client-before", "client-after")


def _server(evidence: Evidence) -> Between:
    return between(evidence, "server-before", "server-after")


def _counted(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("calls")
    authority = f"{stage.service(_COUNTED)}:{_COUNTED_PORT}"
    route = series("outbound_http_route_request_statuses_total", parent_name=_COUNTED)
    found = [
        share("the application fails one call in ten", replies, _FAILING / _CALLS, 0, lambda reply: reply.status == 503)
    ]
    for classification, wanted in (("success", _CALLS - _FAILING), ("failure", _FAILING)):
        outbound = series("response_total", direction="outbound", authority=authority, classification=classification)
        inbound = series(
            "response_total", direction="inbound", target_port=str(_COUNTED_PORT), classification=classification
        )
        found.append(counter_grew_by(f"client's proxy: {classification}", _client(evidence), outbound, wanted))
        found.append(counter_grew_by(f"server's proxy: {classification}", _server(evidence), inbound, wanted))
    found += [
        counter_grew_by(f"route: {status}", _client(evidence), _with(route, http_status=status), wanted)
        for status, wanted in (("200", _CALLS - _FAILING), ("503", _FAILING))
    ]
    return tuple(found)


def _with(counter: Series, **labels: str) -> Series:
    return Series(counter.name, {**counter.labels, **labels})


def _counter_wrong(_stage: Stage, evidence: Evidence) -> str | None:
    replies = evidence.replies("calls")
    answered = sum(1 for reply in replies if reply.echo is not None or reply.status is not None)
    seen = {
        "client's": growth(_client(evidence), series("response_total", direction="outbound")),
        "server's": growth(_server(evidence), series("response_total", direction="inbound")),
    }
    if answered < len(replies):
        return None
    frozen = [f"the {who} proxy counted {count:g}" for who, count in seen.items() if count < answered]
    return f"{answered} calls were answered; {', '.join(frozen)}" if frozen else None


METRICS_WRONG = Cause(
    code="METRICS_WRONG",
    rung=Rung.PROXY,
    seen=cautious(_counter_wrong),
    message="Traffic passes, and the proxies do not count it.",
    expected="response_total of both proxies grows by the calls that were answered",
    disproof="Two scrapes around ten calls by hand differ by ten.",
    remedy="See that the scrape reaches these proxies and that none was restarted in between; restart the pods.",
    command="linkerd diagnostics proxy-metrics -n <namespace> deploy/cm",
)


def _miscounted(stage: Stage, evidence: Evidence) -> str | None:
    wrong = [each for each in _counted(stage, evidence) if not each.ok]
    said = [f"{each.name} {each.observed} instead of {each.expected}" for each in wrong]
    return "; ".join(said) or None


MISCOUNTED = Cause(
    code="MISCOUNTED",
    rung=Rung.PROXY,
    seen=cautious(_miscounted),
    message="The proxies count something else than what happened.",
    expected="90 successes and 10 failures on each side",
    disproof="The same hundred calls by hand move the counters by 90 and 10.",
    remedy="Compare the proxy's version with what its metrics are called there; look for retries that count twice.",
    command="linkerd diagnostics proxy-metrics -n <namespace> deploy/cm | grep response_total",
)


def _idle(stage: Stage) -> tuple[Step, ...]:
    return (
        _apply(stage, _COUNTED, _COUNTED_PORT),
        Pages("idle-before", _ACTOR),
        Calls("elsewhere", CLIENT, get(at_service(stage, "sm"), times=3, timeout=5)),
        Pages("idle-after", _ACTOR),
    )


def _nothing_counted(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    port = series("response_total", direction="inbound", target_port=str(_COUNTED_PORT))
    return (counter_stood_still("a port that nobody calls", between(evidence, "idle-before", "idle-after"), port),)


def _inbound_counted(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pages, port = _server(evidence), str(_INBOUND_PORT)
    statuses = series("inbound_http_statuses_total", parent_port=port)
    return (
        status_is("calls are answered", evidence.replies("calls"), 200, 503),
        counter_grew_by("requests", pages, series("inbound_http_requests_total", parent_port=port), _CALLS),
        counter_grew_by("status 200", pages, _with(statuses, status="200"), _CALLS - _FAILING),
        counter_grew_by("status 503", pages, _with(statuses, status="503"), _FAILING),
    )


def _routes(stage: Stage) -> tuple[Step, ...]:
    """One route of our own, so that there is something to judge; then everybody's."""
    own = made.http_route(
        stage, _STATUS, made.parent("Service", _STATUS, Port.HTTP), made.rule(made.backend(_STATUS, Port.HTTP))
    )
    mine = Looked("own", HTTP_ROUTES, stage.meshed, names=(_STATUS,))
    return (
        Applied("applied", (made.service(stage, _STATUS, {"app": "sm"}, made.service_port(Port.HTTP)), own)),
        LookedUntil("judged", mine, lambda found: all(map(_judged, found)), "is judged", stage.timings.settle),
        Looked("routes", HTTP_ROUTES),
    )


def _of_linkerd(route: JsonObject) -> bool:
    return any(text(parent, "kind") in ("Service", "Server") for parent in rows(route, "spec", "parentRefs"))


def _judged(route: JsonObject) -> bool:
    parents = rows(route, "status", "parents")
    generation = whole(route, "metadata", "generation")
    return any(
        text(parent, "controllerName") == _CONTROLLER
        and all(
            whole(each, "observedGeneration", default=generation) == generation for each in rows(parent, "conditions")
        )
        for parent in parents
    )


def _name(route: JsonObject) -> str:
    return f"{text(route, 'metadata', 'namespace')}/{text(route, 'metadata', 'name')}"


def _without_verdict(evidence: Evidence) -> list[str]:
    routes = [route for route in evidence.objects("routes") if _of_linkerd(route)]
    return sorted(_name(route) for route in routes if not _judged(route))


def _all_judged(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    missing = _without_verdict(evidence)
    return (
        within("a new route is judged", evidence.effect("judged"), stage.timings.settle),
        check("routes of Services have a current verdict", expected="all", observed=", ".join(missing) or "all"),
    )


def _unjudged(_stage: Stage, evidence: Evidence) -> str | None:
    missing = _without_verdict(evidence)
    return f"no current status from {_CONTROLLER}: {', '.join(missing[:10])}" if missing else None


STATUS_STALE = Cause(
    code="STATUS_STALE",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_unjudged),
    message="The policy controller has said nothing of routes that are meant for it.",
    expected=f"status.parents with {_CONTROLLER} and the route's own generation",
    disproof="`kubectl get httproute -o yaml` shows a verdict with the current generation.",
    remedy="See that the policy controller holds its lease; look at resource_status_patch_drops of its metrics.",
    command="kubectl get httproutes.gateway.networking.k8s.io -A -o wide",
)

PROBES: tuple[Probe, ...] = (
    Probe(
        id="obs.proxy-metrics",
        claim="Of a hundred calls, ten of them failing, both proxies count ninety successes and ten failures.",
        tier=Tier.FOUNDATION,
        steps=lambda stage: _steps(stage, _COUNTED, _COUNTED_PORT),
        proof=_counted,
        control=Control("A port that nobody calls counts nothing.", _idle, _nothing_counted),
        causes=(METRICS_WRONG, MISCOUNTED, *COMMON),
        diagnosis=Scene(service=_COUNTED, server=_ACTOR, port=_COUNTED_PORT).steps,
        depends_on=("proto.http1",),
    ),
    Probe(
        id="obs.inbound-metrics",
        claim="The server's proxy counts requests and statuses for each Server of its own.",
        tier=Tier.DEPTH,
        steps=lambda stage: _steps(stage, _INBOUND, _INBOUND_PORT),
        proof=_inbound_counted,
        causes=(METRICS_WRONG, *COMMON),
        diagnosis=Scene(service=_INBOUND, server=_ACTOR, port=_INBOUND_PORT).steps,
        since="2.20",
        depends_on=("proto.http1",),
    ),
    Probe(
        id="obs.policy-status",
        claim="Every route that is meant for the mesh says whether the policy controller took it.",
        tier=Tier.DEPTH,
        steps=_routes,
        proof=_all_judged,
        causes=(STATUS_STALE,),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        safety=Safety.INTRUSIVE,
        bound=timedelta(seconds=30),
    ),
    CP_METRICS,
    ACCESS_LOG,
    TRACE,
)
