"""Load balancing: requests are spread, by how fast pods answer, and follow the endpoints as these come and go."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from services.conformance.core import diagnosis as why
from services.conformance.core.controls import WHO_ANSWERS
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import (
    EVERY,
    PACE,
    V1,
    V2,
    by,
    calling,
    evenly,
    front,
    known,
    named,
    servers,
    until,
)
from services.conformance.core.known_causes import COMMON, DATAPATH, SP_SHADOWS, cautious
from services.conformance.core.known_causes.breaking import BREAKER_AMPLIFIES
from services.conformance.core.known_causes.reading import growth_of
from services.conformance.core.objects import INJECT, echo, service_port
from services.conformance.core.orders import Call, Protocol, Replies, Reply, Report
from services.conformance.core.outbound import READY, around, endpoints, opaque, routed
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import (
    all_are,
    all_ok,
    answered_by,
    counter_grew_by,
    from_pods,
    gauge_is,
    together,
    within,
)
from services.conformance.core.stage import Port, Stage
from services.conformance.core.steps import Applied, Calls, During, Pages, Ready, Step, Wait
from services.conformance.core.targets import CLIENT, at_service, paced
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, table

SPREAD, EWMA, ADDED, REMOVED, STALE = "p-spread", "p-ewma", "p-added", "p-removed", "p-stale"
FLOOD, PLAIN, FIRST = "p-flood", "p-flood-plain", "p-flood-first"
UNMESHED_PODS = 4
SAMPLE = 90
"""Enough that each of three pods is asked: missing one by chance happens once in 10^15."""
SLOW = timedelta(seconds=1)
"""Far above what a busy node makes of a quick answer: a balancer tells pods apart by nothing else."""
FEW = 0.15
BOUND = timedelta(seconds=90)


def _opaque(name: str, port: Port) -> Cause:
    def seen(stage: Stage, evidence: Evidence) -> str | None:
        connections, requests = opaque(stage, name, port=port), routed(stage, name, port=port)
        carried = growth_of(evidence, why.CLIENT_BEFORE, why.CLIENT_AFTER, connections.name, **connections.labels)
        counted = growth_of(evidence, why.CLIENT_BEFORE, why.CLIENT_AFTER, requests.name, **requests.labels)
        return f"{carried:g} connections carried, no request counted" if carried and not counted else None

    return Cause(
        code="APPPROTO_OPAQUE",
        rung=Rung.OBJECT,
        seen=cautious(seen),
        message="The port is carried as opaque, so whole connections are balanced and not requests.",
        expected="the client's proxy counts requests of the Service",
        disproof="outbound_http_route_request_statuses_total moves for the Service.",
        remedy="Look for opaque-ports on Service, pod and namespace, and for an appProtocol that is not known.",
        command="kubectl get service <service> -o yaml | grep -e opaque-ports -e appProtocol",
    )


def _unbalanced(name: str, port: Port = Port.HTTP, step: str = "sample") -> Cause:
    def seen(stage: Stage, evidence: Evidence) -> str | None:
        ready = endpoints(stage, name, READY, port=port)
        counts = [page.total(ready.name, **ready.labels) for page in evidence.pages("after").values()]
        replies = evidence.replies(step)
        if len(replies) < SAMPLE or not counts or min(counts) < len(named(stage)):
            return None
        shares = Counter(reply.echo.pod for reply in replies if reply.echo is not None)
        told = ", ".join(f"{pod} {count}" for pod, count in sorted(shares.items()))
        return f"{counts[0]:g} endpoints are ready; of {len(replies)} requests: {told or 'none answered'}"

    return Cause(
        code="NOT_BALANCED",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The client's proxy knows all endpoints, and does not share requests out among them as it should.",
        expected="all endpoints get requests, the slow ones fewer",
        disproof="A hundred requests over one connection come to all pods, and few of them to a slow one.",
        remedy="Compare the proxy's version with the control plane's; report it with the proxy's metrics.",
        command="linkerd diagnostics proxy-metrics po/<client> | grep outbound_http_balancer",
    )


def _causes(name: str, port: Port = Port.HTTP, step: str = "sample") -> tuple[Cause, ...]:
    return (_opaque(name, port), SP_SHADOWS, BREAKER_AMPLIFIES, *COMMON, _unbalanced(name, port, step), DATAPATH)


def _spread(stage: Stage) -> tuple[Step, ...]:
    return (
        known(stage, SPREAD),
        Pages("before", CLIENT),
        Calls("sample", CLIENT, _streams(stage)),
        Pages("after", CLIENT),
    )


def _streams(stage: Stage) -> Call:
    """Requests over one connection, several at a time as HTTP/2 can."""
    call = Call(target=at_service(stage, SPREAD, Port.H2C), protocol=Protocol.HTTP2, times=SAMPLE)
    return evenly(call)


def _spread_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies, pods = evidence.replies("sample"), named(stage)
    clients = len(evidence.reports("sample"))
    connections = {(report.pod, reply.connection) for report in evidence.reports("sample") for reply in _of(report)}
    return together(
        lambda: (
            within("the Service is found", evidence.effect("known"), stage.timings.propagation),
            all_ok("every request is answered", replies),
            check("over one connection of each client", expected=clients, observed=len(connections)),
            answered_by("all its pods answer", replies, pods),
        ),
        lambda: (
            gauge_is(
                "which the balancer counts as ready",
                around(evidence)[1],
                endpoints(stage, SPREAD, READY, port=Port.H2C),
                len(pods),
            ),
            counter_grew_by(
                "and every request with them",
                around(evidence),
                routed(stage, SPREAD, port=Port.H2C, http_status="200"),
                len(replies),
            ),
        ),
    )


def _of(report: Report) -> tuple[Reply, ...]:
    return report.seen.replies if isinstance(report.seen, Replies) else ()


def _slow_pod(stage: Stage) -> str:
    found = servers(stage)
    return found[0].pod if found else "no-pod-yet"


def _ewma(stage: Stage) -> tuple[Step, ...]:
    load = evenly(calling(stage, EWMA, times=180), Wishes(delay=SLOW, only=_slow_pod(stage)))
    return (known(stage, EWMA), Pages("before", CLIENT), Calls("sample", CLIENT, load), Pages("after", CLIENT))


def _ewma_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("sample")
    of_slow = from_pods(named(stage)[0])
    shared = sum(1 for reply in replies if of_slow(reply)) / max(len(replies), 1)
    spent = sorted(reply.seconds for reply in replies)
    p90 = spent[int(len(spent) * 0.9)] if spent else float("inf")
    limit = SLOW.total_seconds()
    slowest = max((reply.seconds for reply in replies if not of_slow(reply)), default=0.0)
    doubt = f"pods that should be quick took up to {slowest:.2f} s as well" if slowest >= limit else ""
    return (
        all_ok("every request is answered", replies),
        check(
            "a slow pod gets much less than its third",
            expected=f"below {FEW:.0%}",
            observed=f"{shared:.1%}",
            ok=shared < FEW,
            doubt=doubt,
        ),
        check(
            "nine of ten never wait for it",
            expected=f"below {limit:g} s",
            observed=f"{p90:.3f} s",
            ok=p90 < limit,
            doubt=doubt,
        ),
    )


def _slowly(stage: Stage, name: str) -> Call:
    return calling(stage, name, Wishes(delay=PACE).on())


def _reselected(stage: Stage, name: str, before: str, after: dict[str, str]) -> tuple[Step, ...]:
    load = Calls("load", CLIENT, paced(evenly(calling(stage, name, times=240)), 40))
    if after == EVERY:
        effect = until(stage, "effect", _slowly(stage, name), by(stage, "v1"), "an answer of a new pod", consecutive=1)
    else:
        effect = until(stage, "effect", calling(stage, name), by(stage, "v2"), "answers of v2 only", consecutive=12)
    return (
        known(stage, name),
        Pages("before", CLIENT),
        During("under-load", load, (Applied(before, (front(stage, name, after),)), effect)),
        Calls("afterwards", CLIENT, evenly(calling(stage, name, times=60))),
        Pages("after", CLIENT),
    )


def _reselection_holds(
    stage: Stage, evidence: Evidence, name: str, pods: tuple[str, ...]
) -> tuple[AssertionResult, ...]:
    return together(
        lambda: (
            within("the change of endpoints shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            all_ok("no request is lost meanwhile", evidence.replies("load")),
            answered_by("afterwards just the right pods answer", evidence.replies("afterwards"), pods),
        ),
        lambda: (
            gauge_is("and the balancer has no others", evidence.pages("after"), endpoints(stage, name), len(pods)),
        ),
    )


def _stale(stage: Stage) -> tuple[Step, ...]:
    idle = stage.timings.discovery_idle
    return (
        known(stage, STALE),
        Wait("idle", idle * 1.2, "the proxy forgets a target that is idle"),
        Applied("replaced", (front(stage, STALE, V2),)),
        Wait("replacing", idle * 0.6, "endpoints change while nobody calls"),
        Pages("before", CLIENT),
        Calls("resumed", CLIENT, calling(stage, STALE, times=10)),
        Pages("after", CLIENT),
    )


def _stale_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("resumed")
    named(stage, "v2")
    return (
        all_ok("the first request after a rest is answered, and so are the next", replies),
        all_are("by pods that came meanwhile", replies, "200 from v2", by(stage, "v2")),
    )


def _flood_objects(stage: Stage) -> tuple[JsonObject, ...]:
    plain = echo(stage, PLAIN, {INJECT: "disabled"}, replicas=UNMESHED_PODS)
    return front(stage, FLOOD, {"probe-flood": "true"}), _in_flood(plain)


def _in_flood(workload: JsonObject) -> JsonObject:
    """The same Deployment, whose pods the Service selects."""
    spec = table(workload, "spec")
    template = table(spec, "template")
    metadata = table(template, "metadata")
    labels = table(metadata, "labels") | {"probe-flood": "true"}
    return workload | {"spec": spec | {"template": template | {"metadata": metadata | {"labels": labels}}}}


def _flood(stage: Stage) -> tuple[Step, ...]:
    return (
        Ready("plain", PLAIN, stage.meshed, UNMESHED_PODS),
        known(stage, FLOOD),
        Applied("joining", (_in_flood(echo(stage, FIRST)),)),
        Ready("meshed", FIRST, stage.meshed, 1),
        until(
            stage, "effect", _slowly(stage, FLOOD), _of_workload(FIRST), "an answer of the meshed pod", consecutive=1
        ),
        Pages("before", CLIENT),
        Calls("flood", CLIENT, evenly(calling(stage, FLOOD, times=240))),
        Pages("after", CLIENT),
    )


def _of_workload(name: str) -> Callable[[Reply], bool]:
    return lambda reply: reply.echo is not None and reply.echo.pod.startswith(f"{name}-")


def _flood_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("flood")
    drawn = sum(1 for reply in replies if _of_workload(FIRST)(reply)) / max(len(replies), 1)
    fair = 1 / (UNMESHED_PODS + 1)
    return (
        within(
            "the first meshed pod of the Service gets requests", evidence.effect("effect"), stage.timings.propagation
        ),
        all_ok("every request is answered", replies),
        check(
            "and no more than thrice its share",
            expected=f"at most {3 * fair:.0%}",
            observed=f"{drawn:.1%}",
            ok=drawn <= 3 * fair,
        ),
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        id="lb.spread",
        claim="Requests over one connection are spread over all pods of a Service.",
        tier=Tier.FOUNDATION,
        objects=lambda stage: (front(stage, SPREAD, EVERY, service_port(Port.HTTP), service_port(Port.H2C)),),
        steps=_spread,
        proof=_spread_holds,
        control=WHO_ANSWERS,
        diagnosis=Scene(service=SPREAD, port=Port.H2C).steps,
        causes=_causes(SPREAD, Port.H2C),
    ),
    Probe(
        id="lb.ewma",
        claim="A pod that answers slowly gets few requests.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, EWMA),),
        steps=_ewma,
        proof=_ewma_holds,
        diagnosis=Scene(service=EWMA).steps,
        causes=_causes(EWMA),
    ),
    Probe(
        id="lb.endpoint-add",
        claim="New endpoints get requests within seconds, and none is lost.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, ADDED, V2),),
        steps=lambda stage: _reselected(stage, ADDED, "widened", EVERY),
        proof=lambda stage, evidence: _reselection_holds(stage, evidence, ADDED, named(stage)),
        diagnosis=Scene(service=ADDED).steps,
        causes=_causes(ADDED),
        bound=BOUND,
    ),
    Probe(
        id="lb.endpoint-remove",
        claim="Endpoints that go get no requests any more, and none is lost.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, REMOVED),),
        steps=lambda stage: _reselected(stage, REMOVED, "narrowed", V2),
        proof=lambda stage, evidence: _reselection_holds(stage, evidence, REMOVED, named(stage, "v2")),
        diagnosis=Scene(service=REMOVED).steps,
        causes=_causes(REMOVED),
        bound=BOUND,
    ),
    Probe(
        id="lb.staleness",
        claim="The first request after a rest, during which all servers were replaced, is answered.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, STALE, V1),),
        steps=_stale,
        proof=_stale_holds,
        diagnosis=Scene(service=STALE).steps,
        causes=_causes(STALE),
        bound=BOUND,
    ),
    Probe(
        id="lb.first-pod-flood",
        claim="The first meshed pod of a Service whose other pods are not meshed does not draw all requests to itself.",
        tier=Tier.DISRUPTIVE,
        safety=Safety.DISRUPTIVE,
        objects=_flood_objects,
        steps=_flood,
        proof=_flood_holds,
        diagnosis=Scene(service=FLOOD).steps,
        causes=_causes(FLOOD, step="flood"),
        extra_pods=UNMESHED_PODS + 1,
        bound=timedelta(seconds=180),
    ),
)
