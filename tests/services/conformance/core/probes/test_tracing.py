"""What a collector was told, judged by evidence made by hand."""

import json
from dataclasses import replace

import pytest

from services.conformance.core import diagnosis as why
from services.conformance.core.capability import ClusterSeen, capability
from services.conformance.core.evidence import Found
from services.conformance.core.orders import EACH_ATTEMPT, Call, Echo, Span, SpanKind, Target
from services.conformance.core.probes.tracing import TRACE as PROBE
from services.conformance.core.steps import Applied
from steward.conformance.results import Capability
from steward.jsonvalue import Json, JsonObject, rows, text, texts
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from tests.services.conformance.core.outbound_seen import Broken, Family, Steps, cases, controls, effect, healthy
from tests.services.conformance.core.seen import (
    SERVER,
    STAGE,
    answer,
    calls,
    evidence,
    objects,
    pages,
    pod,
    sample,
    silence,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ADDRESS = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR"
IDENTITY = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME"
COLLECTOR = f"sp.{STAGE.meshed}.svc.cluster.local:4317"
_FIRST = {"to": "00f067aa0ba902b7", "from": "00f067aa0ba902b8"}


def span(way: str, kind: SpanKind, own: str, parent: str, **changed: str) -> Span:
    """What a proxy tells of a request."""
    said = {
        "direction": "inbound" if way.endswith("to") else "outbound",
        "http.request.method": "GET",
        "url.path": f"/trace/{way}",
        "http.response.status_code": "200",
    }
    return Span(
        trace=TRACE,
        id=own,
        parent=parent,
        name=f"/trace/{way}",
        kind=kind,
        service=changed.get("service", "linkerd-proxy"),
        host="p-trace-1",
        attributes=tuple(said.items()),
    )


SPANS = (
    span("to", SpanKind.CLIENT, "a2", "a1"),
    span("to", SpanKind.SERVER, "a1", _FIRST["to"]),
    span("from", SpanKind.CLIENT, "b2", "b1"),
    span("from", SpanKind.SERVER, "b1", _FIRST["from"]),
)


def collected(*spans: Span, met: bool = True) -> Found:
    """What the collector said when it was asked last."""
    return effect(answer(echo=Echo(pod="sp-0", spans=spans)), met=met, seconds=6 if met else 30)


def seen(parent: str) -> Found:
    """A request whose application saw that span."""
    return calls(answer(("traceparent", f"00-{TRACE}-{parent}-01"), pod="p-trace-1"))


def page(exports: float, asked: float, taken: float) -> Found:
    """What the proxy counted."""
    named = {"addr": COLLECTOR, "tls": "true", "server_id": SERVER}
    return pages(
        p_trace_1=[
            sample("opentelemetry_span_exports", exports),
            sample("control_request_total", asked, **named),
            sample("control_response_total", taken, classification="success", **named),
        ]
    )


def traced_pod(**variables: str) -> Found:
    """The pod that was brought, with these variables of its proxy."""
    env: list[Json] = [{"name": name, "value": value} for name, value in variables.items()]
    made = pod("p-trace-1")
    spec: JsonObject = {"initContainers": [{"name": "linkerd-proxy", "env": env}], "containers": []}
    return objects(made | {"spec": spec})


def running_as(account: str) -> Found:
    """The collector."""
    return objects(pod("sp-0") | {"spec": {"serviceAccountName": account, "containers": []}})


HEALTHY: Steps = {
    "known": effect(answer()),
    "traced-before": page(0, 0, 0),
    "unsampled-to": seen(_FIRST["to"]),
    "unsampled-from": seen(_FIRST["from"]),
    "to": seen("a2"),
    "from": seen("b2"),
    "told": collected(*SPANS),
    "traced-after": page(4, 1, 1),
}
_LOST = {"told": collected(*SPANS[:2], met=False), "traced-after": page(2, 1, 1)}
_NOTHING = {"told": collected(met=False)}
_UNTRACED = calls(answer(("traceparent", f"00-{TRACE}-{_FIRST['to']}-01"), pod="su-0"))

FAMILY = Family(
    probes=(PROBE,),
    healthy={"obs.trace": HEALTHY},
    broken=(
        Broken("obs.trace", _LOST, "the outbound half", "SPANS_DROPPED"),
        Broken("obs.trace", _NOTHING | {"traced-after": page(0, 1, 0)}, "spans are told", "COLLECTOR_UNREACHABLE"),
        Broken(
            "obs.trace",
            {"told": collected(*SPANS, span("unsampled-to", SpanKind.SERVER, "c1", _FIRST["to"]))},
            "not sampled",
            "SAMPLING_IGNORED",
        ),
        Broken("obs.trace", {"to": seen(_FIRST["to"])}, "inbound spans hang together", "TRACE_BROKEN"),
        Broken(
            "obs.trace",
            {"told": collected(SPANS[0], SPANS[1], SPANS[2], span("from", SpanKind.SERVER, "b1", "ff"))},
            "outbound spans hang together",
            "TRACE_BROKEN",
        ),
        Broken(
            "obs.trace",
            {"told": collected(SPANS[0].model_copy(update={"attributes": ()}), *SPANS[1:])},
            "inbound spans say what",
            "SPANS_INCOMPLETE",
        ),
        Broken(
            "obs.trace",
            {"told": collected(*(each.model_copy(update={"service": "unknown"}) for each in SPANS))},
            "tells of both its ends",
        ),
        Broken("obs.trace", {"to": calls(silence("TimedOut"))}, "every request is answered"),
        Broken(
            "obs.trace",
            _NOTHING | {why.SERVER_PODS: traced_pod(LINKERD2_PROXY_LOG="info")},
            "spans are told",
            "TRACE_ENV_MISSING",
        ),
        Broken(
            "obs.trace",
            _NOTHING
            | {
                why.SERVER_PODS: traced_pod(**{ADDRESS: COLLECTOR, IDENTITY: SERVER}),
                "why-collector-pods": running_as("probe-other"),
            },
            "spans are told",
            "COLLECTOR_MISNAMED",
        ),
    ),
    controls={
        "obs.trace": (
            {"untraced": _UNTRACED},
            {"untraced": calls(answer(echo=Echo(pod="su-0", spans=SPANS[:1])))},
        )
    },
)


@healthy(FAMILY)
def test_a_mesh_that_traces_passes_and_nothing_is_blamed(id: str) -> None:
    FAMILY.passes(id)


@cases(FAMILY)
def test_what_is_wrong_with_a_trace_is_noticed_and_named(case: Broken) -> None:
    FAMILY.notices(case)


@controls(FAMILY)
def test_a_collector_that_is_told_of_requests_without_proxies_is_not_believed(id: str) -> None:
    FAMILY.believes(id)


def test_nothing_is_left_untried() -> None:
    FAMILY.complete()


def test_where_the_whole_mesh_is_traced_spans_may_lie_before_those_of_the_pod_and_after() -> None:
    """They are told to a collector of others: here they are parents that nobody knows."""
    later = SPANS[1].model_copy(update={"parent": "d1"})
    found = evidence(HEALTHY | {"told": collected(SPANS[0], later, *SPANS[2:]), "from": seen("e1")})
    assert [each.name for each in PROBE.proof(STAGE, found) if not each.ok] == []


def test_a_proxy_that_puts_its_workload_before_its_name_is_a_proxy() -> None:
    named = [each.model_copy(update={"service": "p-trace-linkerd-proxy"}) for each in SPANS]
    found = evidence(HEALTHY | {"told": collected(*named)})
    assert all(each.ok for each in PROBE.proof(STAGE, found))


def test_the_collector_is_asked_for_by_the_identity_of_its_own_account_in_the_trust_domain() -> None:
    elsewhere = replace(STAGE, trust_domain="mesh.example", cluster_domain="k8s.example")
    applied = next(step for step in PROBE.steps(elsewhere) if isinstance(step, Applied))
    deployment = next(each for each in applied.objects if text(each, "kind") == "Deployment")
    annotations = texts(deployment, "spec", "template", "metadata", "annotations")
    added = rows({"env": json.loads(annotations["config.linkerd.io/proxy-additional-env"])}, "env")
    assert {text(each, "name"): text(each, "value") for each in added} == {
        ADDRESS: f"sp.{STAGE.meshed}.svc.k8s.example:4317",
        IDENTITY: f"probe-server.{STAGE.meshed}.serviceaccount.identity.linkerd.mesh.example",
    }


@pytest.mark.parametrize(
    ("release", "can"), [("edge-26.5.4", Capability.UNSUPPORTED), ("edge-26.6.3", Capability.SUPPORTED)]
)
def test_it_is_tried_since_pods_choose_variables_of_their_proxies(release: str, can: Capability) -> None:
    assert capability(PROBE, ClusterSeen(linkerd=Version.parse(release)), shipped()).capability is can


@pytest.mark.parametrize("path", ["/?spans=~attempt~", "/"])
def test_the_calls_of_an_attempt_have_a_word_of_their_own(path: str) -> None:
    headers = (("traceparent", f"00-{EACH_ATTEMPT}-00f067aa0ba902b7-01"), ("x-other", "as it was"))
    call = Call(target=Target(host="web", port=80), path=path, headers=headers).of_attempt(TRACE)
    assert call.path == path.replace("~attempt~", TRACE)
    assert call.headers == (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"), ("x-other", "as it was"))
    assert call.of_attempt("another") == call
