"""`obs.trace`: the proxies of a request tell a collector of it, in the trace that it came in.

The collector is an echo server of the cast, so nothing but the mesh is needed. One pod is brought whose proxy is told
of it by annotation; requests to that pod and from it are sampled or not, as their `traceparent` (W3C) says.
"""

import json
from datetime import timedelta
from typing import NamedTuple

from services.conformance.core import diagnosis as why
from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import front
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious
from services.conformance.core.known_causes.reading import growth_of, objects_of, pod_name, proxy_of
from services.conformance.core.orders import EACH_ATTEMPT, Call, Headers, Reply, Span, SpanKind
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import all_ok, between, counter_grew, good, seen_by_server, series, within
from services.conformance.core.stage import Port, Stage
from services.conformance.core.steps import Applied, Calls, Looked, Pages, Ready, Step, Until
from services.conformance.core.targets import (
    CLIENT,
    SERVER_ACCOUNT,
    UNMESHED,
    at_service,
    get,
    headers,
    number,
)
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import PODS

TRACED = "p-trace"
COLLECTOR = "sp"
_COLLECTORS = "why-collector-pods"
_ANNOTATION = "config.linkerd.io/proxy-additional-env"
_ADDRESS = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR"
_IDENTITY = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME"
_SERVICE = "linkerd-proxy"
_EXPORTS = "opentelemetry_span_exports"
_TRACEPARENT = "traceparent"
_LOOK_AGAIN = timedelta(seconds=1)
"""Proxies gather spans for five seconds before they tell them (`linkerd2-proxy`, `opentelemetry/src/lib.rs`)."""


class _Way(NamedTuple):
    """One half of the proxy, and the request by which it is tried."""

    step: str
    direction: str
    parent: str

    @property
    def path(self) -> str:
        """Of the request; spans are named after it."""
        return f"/trace/{self.step}"


_TO, _FROM = _Way("to", "inbound", "00f067aa0ba902b7"), _Way("from", "outbound", "00f067aa0ba902b8")
_WAYS = (_TO, _FROM)
_UNSAMPLED = {way: _Way(f"unsampled-{way.step}", way.direction, way.parent) for way in _WAYS}
_WANTED = (SpanKind.SERVER, SpanKind.CLIENT)


def _collector(stage: Stage) -> str:
    return f"{stage.service(COLLECTOR)}:{number(Port.OTLP)}"


def _objects(stage: Stage) -> tuple[JsonObject, ...]:
    variables = {_ADDRESS: _collector(stage), _IDENTITY: stage.identity(SERVER_ACCOUNT)}
    asked = json.dumps([{"name": name, "value": value} for name, value in variables.items()])
    return front(stage, TRACED, {"app": TRACED}), made.echo(stage, TRACED, {_ANNOTATION: asked})


def _context(way: _Way, *, sampled: bool) -> Headers:
    return headers(traceparent=f"00-{EACH_ATTEMPT}-{way.parent}-{int(sampled):02x}")


def _call(stage: Stage, way: _Way, service: str, *, sampled: bool) -> Call:
    return get(at_service(stage, service), way.path, headers=_context(way, sampled=sampled))


def _steps(stage: Stage) -> tuple[Step, ...]:
    ends = {_TO: (CLIENT, TRACED), _FROM: (TRACED, "v1")}
    unsampled = tuple(
        Calls(_UNSAMPLED[way].step, actor, _call(stage, _UNSAMPLED[way], service, sampled=False))
        for way, (actor, service) in ends.items()
    )
    sampled = tuple(
        Calls(way.step, actor, _call(stage, way, service, sampled=True)) for way, (actor, service) in ends.items()
    )
    collected = get(at_service(stage, COLLECTOR), Wishes(spans=EACH_ATTEMPT).on("/collected"))
    known = get(at_service(stage, TRACED), timeout=5)
    return (
        Applied("applied", _objects(stage)),
        Ready("pod", TRACED, stage.meshed, 1, stage.timings.settle),
        Until("known", CLIENT, known, good, "an answer", stage.timings.propagation, consecutive=1),
        Pages("traced-before", TRACED),
        # Spans come in the order of their requests: those of unsampled ones would be there before the others.
        *unsampled,
        *sampled,
        Until("told", CLIENT, collected, _all_told, "four spans", _bound(stage), consecutive=1, every=_LOOK_AGAIN),
        Pages("traced-after", TRACED),
    )


def _bound(stage: Stage) -> timedelta:
    return stage.timings.propagation


def _all_told(reply: Reply) -> bool:
    return reply.echo is not None and all(set(_WANTED) <= set(_by_kind(reply.echo.spans, way)) for way in _WAYS)


def _by_kind(spans: tuple[Span, ...], way: _Way) -> dict[SpanKind, Span]:
    return {span.kind: span for span in spans if span.name == way.path}


def _collected(evidence: Evidence) -> tuple[Span, ...]:
    """What the collector said in the end."""
    told = [reply.echo.spans for reply in evidence.effect("told").replies if reply.echo is not None]
    return told[-1] if told else ()


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    spans, pages = _collected(evidence), between(evidence, "traced-before", "traced-after")
    calls = tuple(reply for way in _WAYS for each in (way, _UNSAMPLED[way]) for reply in evidence.replies(each.step))
    found = [
        all_ok("every request is answered", calls),
        within("spans are told", evidence.effect("told"), _bound(stage)),
    ]
    for way in _WAYS:
        found += _told_well(way, _by_kind(spans, way), evidence.reply(way.step))
    untold = _unsampled(spans)
    return (
        *found,
        check("requests that are not sampled leave no span", expected="none", observed=untold or "none"),
        counter_grew("and the proxy counts what it told", pages, series(_EXPORTS), len(_WAYS) * len(_WANTED)),
    )


def _told_well(way: _Way, spans: dict[SpanKind, Span], reply: Reply) -> tuple[AssertionResult, ...]:
    """What the half of a proxy told of a request, and whether its spans hang together."""
    who = ", ".join(f"{kind} of {spans[kind].service}" for kind in _WANTED if kind in spans)
    wrong = _wrong(way, spans)
    return (
        check(
            f"the {way.direction} half tells of both its ends",
            expected=", ".join(f"{kind} of {_SERVICE}" for kind in _WANTED),
            observed=who or "no span",
            # A proxy that is told of its pod's labels puts the name of the workload before it.
            ok=all(kind in spans and spans[kind].service.endswith(_SERVICE) for kind in _WANTED),
        ),
        check(f"{way.direction} spans say what was asked and answered", expected="all", observed=wrong or "all"),
        check(
            f"{way.direction} spans hang together, and with the request",
            expected="one trace",
            observed=_torn(way, spans, reply) or "one trace",
        ),
    )


def _wrong(way: _Way, spans: dict[SpanKind, Span]) -> str:
    wanted = {
        "direction": way.direction,
        "http.request.method": "GET",
        "url.path": way.path,
        "http.response.status_code": "200",
    }
    return "; ".join(
        f"{kind}: {name} is {seen or 'missing'}, not {value}"
        for kind, span in spans.items()
        for name, value in wanted.items()
        if (seen := dict(span.attributes).get(name, "")) != value
    )


def _torn(way: _Way, spans: dict[SpanKind, Span], reply: Reply) -> str:
    """Where the trace is broken. Other proxies on the way may tell spans too, where the whole mesh is traced.

    The client's own proxy sees the request first, and the server's own proxy last: there nobody is in between.
    """
    server, client = spans.get(SpanKind.SERVER), spans.get(SpanKind.CLIENT)
    if server is None or client is None:
        return ""
    if client.parent != server.id:
        return f"the client's span has the parent {client.parent or 'none'}, the server's is {server.id}"
    if way is _FROM and server.parent != way.parent:
        return f"the first span has the parent {server.parent or 'none'}, the request came with {way.parent}"
    seen = seen_by_server(reply, _TRACEPARENT) or "no traceparent"
    if way is _TO and client.id not in seen:
        return f"the application saw {seen}, not the last span {client.id}"
    return ""


def _unsampled(spans: tuple[Span, ...]) -> str:
    paths = {way.path for way in _UNSAMPLED.values()}
    return ", ".join(f"{span.kind} {span.name}" for span in spans if span.name in paths)


def _without_proxies(stage: Stage) -> tuple[Step, ...]:
    asked = get(at_service(stage, "su"), Wishes(spans=EACH_ATTEMPT).on("/"), headers=_context(_TO, sampled=True))
    return (Calls("untraced", UNMESHED, asked),)


def _untold(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("untraced")
    told = sum(len(reply.echo.spans) for reply in replies if reply.echo is not None)
    return (
        all_ok("a request is answered", replies),
        check(
            "it keeps its trace",
            expected=f"the span {_TO.parent}",
            observed=", ".join(sorted({seen_by_server(reply, _TRACEPARENT) or "none" for reply in replies})),
            ok=bool(replies) and all(_TO.parent in (seen_by_server(reply, _TRACEPARENT) or "") for reply in replies),
        ),
        check("nobody tells of it", expected=0, observed=told),
    )


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    scene = Scene(service=TRACED, server=TRACED)
    return (*scene.steps(stage), Looked(_COLLECTORS, PODS, stage.meshed, labels=f"app={COLLECTOR}"))


def _variables(evidence: Evidence) -> dict[str, dict[str, str]]:
    """The variables of the proxies that should tell spans, by pod."""
    proxies = {pod_name(pod): proxy_of(pod) for pod in objects_of(evidence, why.SERVER_PODS)}
    return {
        pod: {text(each, "name"): text(each, "value") for each in rows(proxy, "env")}
        for pod, proxy in proxies.items()
        if proxy is not None
    }


def _not_told_where(stage: Stage, evidence: Evidence) -> str | None:
    wanted = _collector(stage)
    wrong = {pod: env.get(_ADDRESS, "") for pod, env in _variables(evidence).items() if env.get(_ADDRESS) != wanted}
    return "; ".join(f"{pod} has {_ADDRESS}={found or 'nothing'}" for pod, found in sorted(wrong.items())) or None


TRACE_ENV_MISSING = Cause(
    code="TRACE_ENV_MISSING",
    rung=Rung.OBJECT,
    seen=cautious(_not_told_where),
    message="The proxy was not told of the collector: the annotation that adds variables had no effect.",
    expected=f"the container linkerd-proxy has {_ADDRESS}",
    disproof=f"The pod that the probe brings has {_ADDRESS} in its proxy's environment.",
    remedy="See that the injector is of Linkerd 2.20 or newer, and that the annotation is a JSON list of variables.",
    command=f"kubectl get pod <pod> -n <namespace> -o yaml | grep -A1 {_ADDRESS}",
)


def _misnamed(stage: Stage, evidence: Evidence) -> str | None:
    told = {env[_IDENTITY] for env in _variables(evidence).values() if _IDENTITY in env}
    accounts = {text(pod, "spec", "serviceAccountName", default="default") for pod in objects_of(evidence, _COLLECTORS)}
    shown = {stage.identity(account) for account in accounts}
    if not told or not shown or told <= shown:
        return None
    return f"the proxy expects {', '.join(sorted(told))}; the collector shows {', '.join(sorted(shown))}"


COLLECTOR_MISNAMED = Cause(
    code="COLLECTOR_MISNAMED",
    rung=Rung.OBJECT,
    seen=cautious(_misnamed),
    message="The collector has another identity than the proxy expects, so no connection to it comes about.",
    expected=f"{_IDENTITY} is the identity of the collector's ServiceAccount, in the trust domain of the mesh",
    disproof=f"{_IDENTITY} names the ServiceAccount and namespace under which the collector runs.",
    remedy="Name the collector's own ServiceAccount; older charts take the cluster's domain for the trust domain.",
    command="kubectl get pod -n <namespace> -l app=sp -o jsonpath='{.items[*].spec.serviceAccountName}'",
)


def _unreachable(stage: Stage, evidence: Evidence) -> str | None:
    addr = _collector(stage)
    if evidence.effect("told").met:
        # An export that is under way has no answer yet.
        return None
    asked, well = (
        growth_of(evidence, "traced-before", "traced-after", name, addr=addr, **labels)
        for name, labels in (("control_request_total", {}), ("control_response_total", {"classification": "success"}))
    )
    return f"of {asked:g} exports to {addr} {well:g} were taken" if asked > well else None


COLLECTOR_UNREACHABLE = Cause(
    code="COLLECTOR_UNREACHABLE",
    rung=Rung.PROXY,
    seen=cautious(_unreachable),
    message="The proxy has spans to tell, and cannot tell them: its collector is not reached, or refuses them.",
    expected="control_response_total of the collector's address counts successes only",
    disproof="control_response_total of the collector's address counts no failures while requests are sampled.",
    remedy="See that the collector runs, has a proxy and serves OTLP by gRPC, and that NetworkPolicies let its port.",
    command="linkerd diagnostics proxy-metrics -n <namespace> <pod> | grep -e opentelemetry_ -e control_response_total",
)


def _dropped(_stage: Stage, evidence: Evidence) -> str | None:
    spans, sent = _collected(evidence), [way for way in _WAYS if all(map(good, evidence.replies(way.step)))]
    missing = [f"{way.direction} {kind}" for way in sent for kind in _WANTED if kind not in _by_kind(spans, way)]
    exports = growth_of(evidence, "traced-before", "traced-after", _EXPORTS)
    return f"never told: {', '.join(missing)}; {_EXPORTS} + {exports:g}" if missing else None


SPANS_DROPPED = Cause(
    code="SPANS_DROPPED",
    rung=Rung.PROXY,
    seen=cautious(_dropped),
    message="The proxy does not tell of requests that are sampled.",
    expected="each half of the proxy tells a span as server and one as client",
    disproof="opentelemetry_span_exports grows by four for a request that both halves carry.",
    remedy="See that requests carry `traceparent` with the flag 01 (or headers of B3), and that no filter removes it.",
    command="kubectl logs <pod> -n <namespace> -c linkerd-proxy | grep -i span",
)


def _told_unasked(_stage: Stage, evidence: Evidence) -> str | None:
    return f"told though not sampled: {told}" if (told := _unsampled(_collected(evidence))) else None


SAMPLING_IGNORED = Cause(
    code="SAMPLING_IGNORED",
    rung=Rung.PROXY,
    seen=cautious(_told_unasked),
    message="The proxy tells of requests that are not sampled: the collector gets many times what it was made for.",
    expected="a `traceparent` with the flag 00 leaves no span",
    disproof="A request with the flag 00 leaves no span at the collector.",
    remedy="See that nothing between client and proxy rewrites `traceparent`, and that the proxy is of this release.",
    command="kubectl logs <pod> -n <namespace> -c linkerd-proxy | grep -i span",
)


def _broken_trace(_stage: Stage, evidence: Evidence) -> str | None:
    spans = _collected(evidence)
    torn = [_torn(way, _by_kind(spans, way), evidence.reply(way.step)) for way in _WAYS]
    return "; ".join(filter(None, torn)) or None


TRACE_BROKEN = Cause(
    code="TRACE_BROKEN",
    rung=Rung.PROXY,
    seen=cautious(_broken_trace),
    message="Spans do not hang together: the proxy does not pass on in `traceparent` what it told.",
    expected="each span has the one before as its parent, and the application sees the last",
    disproof="The `traceparent` that an application sees names a span of its own proxy.",
    remedy="See that no filter of a route sets or removes `traceparent`.",
    command="kubectl get httproutes.gateway.networking.k8s.io -A -o yaml | grep -i traceparent",
)


def _said_wrongly(_stage: Stage, evidence: Evidence) -> str | None:
    spans = _collected(evidence)
    return "; ".join(filter(None, (_wrong(way, _by_kind(spans, way)) for way in _WAYS))) or None


SPANS_INCOMPLETE = Cause(
    code="SPANS_INCOMPLETE",
    rung=Rung.PROXY,
    seen=cautious(_said_wrongly),
    message="Spans do not say what was asked and how it was answered.",
    expected="direction, http.request.method, url.path and http.response.status_code",
    disproof="A span of the proxy has these attributes, with the values of its request.",
    remedy="Compare the proxy's release with its notes: attributes follow the conventions of OpenTelemetry.",
    command="kubectl get pod <pod> -n <namespace> -o jsonpath='{.spec.initContainers[*].image}'",
)

TRACE = Probe(
    id="obs.trace",
    claim="The proxies of a sampled request tell a collector of it, in its own trace; of others they tell nothing.",
    tier=Tier.DEPTH,
    steps=_steps,
    proof=_proof,
    control=Control(
        "Where there is no proxy, a request keeps its trace, and nobody tells of it.", _without_proxies, _untold
    ),
    causes=(
        TRACE_ENV_MISSING,
        COLLECTOR_MISNAMED,
        *COMMON,
        COLLECTOR_UNREACHABLE,
        SPANS_DROPPED,
        SAMPLING_IGNORED,
        TRACE_BROKEN,
        SPANS_INCOMPLETE,
        DATAPATH,
    ),
    diagnosis=_diagnosis,
    since="2.20",
    depends_on=("proto.http1",),
    extra_pods=1,
    bound=timedelta(seconds=120),
    sources=(
        "https://www.w3.org/TR/trace-context/",
        "https://github.com/linkerd/linkerd2/pull/15156",
    ),
)
