"""What else there is to routes: gRPC, their status, backends that are missing, whose clients they hold for."""

from collections.abc import Sequence
from datetime import timedelta

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import EVERY, V1, by, calling, front, known, named, until
from services.conformance.core.known_causes.outbound import conditions, ladder
from services.conformance.core.known_causes.reading import cautious
from services.conformance.core.objects import (
    backend,
    grpc_route,
    header_match,
    http_route,
    parent,
    path_match,
    placed,
    rule,
    service_port,
)
from services.conformance.core.orders import Call, Protocol
from services.conformance.core.outbound import around, routed
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import (
    all_are,
    all_ok,
    counter_grew_by,
    header_present,
    none_are,
    seen_by_server,
    status_is,
    together,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Calls, Looked, LookedUntil, Pages, Step
from services.conformance.core.targets import CLIENT, at_service
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, text
from steward.kube import mesh_resources as mesh

GRPC_METHOD = "/steward.exerciser.v1.Echo/Unary"


MISSING = "p-no-backend"


def _missing_objects(stage: Stage) -> tuple[JsonObject, ...]:
    broken = rule(backend("p-not-there", Port.HTTP), matches=(path_match("/broken"),))
    route = http_route(stage, MISSING, parent("Service", MISSING, Port.HTTP), broken, rule(backend("v2", Port.HTTP)))
    return front(stage, MISSING, V1), route


def _missing(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, MISSING), by(stage, "v2"), "answers of v2"),
        Pages("before", CLIENT),
        Calls("broken", CLIENT, calling(stage, MISSING, "/broken", times=10)),
        Calls("sound", CLIENT, calling(stage, MISSING, "/sound", times=10)),
        Pages("after", CLIENT),
        LookedUntil(
            "status",
            Looked("routes", mesh.HTTP_ROUTES, stage.meshed, names=(MISSING,)),
            lambda routes: any(text(each, "status") == "False" for each in _refs(routes)),
            "ResolvedRefs=False",
            stage.timings.settle,
        ),
    )


def _refs(routes: Sequence[JsonObject]) -> list[JsonObject]:
    return [each for route in routes for each in conditions(route, "ResolvedRefs")]


def _missing_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("broken")
    return (
        within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        status_is("a backend that does not exist fails its share", replies, 500),
        header_present("and the proxy says which", replies, "l5d-proxy-error", containing="not found"),
        all_are("other rules of the route work", evidence.replies("sound"), "200 from v2", by(stage, "v2")),
        within("the status of the route says so", evidence.effect("status"), stage.timings.settle),
    )


STATUS = "p-status"
ORPHAN = "p-status-orphan"


def _status_objects(stage: Stage) -> tuple[JsonObject, ...]:
    fine = http_route(stage, STATUS, parent("Service", STATUS, Port.HTTP), rule(backend("v2", Port.HTTP)))
    orphan = http_route(stage, ORPHAN, parent("Service", "p-not-there", Port.HTTP), rule(backend("v2", Port.HTTP)))
    return front(stage, STATUS, V1), fine, orphan


def _condition(routes: Sequence[JsonObject], name: str) -> str:
    for route in routes:
        if text(route, "metadata", "name") == name:
            return " ".join(sorted({text(each, "status") for each in conditions(route, "Accepted")}))
    return ""


def _status(stage: Stage) -> tuple[Step, ...]:
    def said(name: str, status: str) -> LookedUntil:
        return LookedUntil(
            name,
            Looked("routes", mesh.HTTP_ROUTES, stage.meshed, names=(name,)),
            lambda routes: _condition(routes, name) == status,
            f"Accepted={status}",
            stage.timings.settle,
        )

    return said(STATUS, "True"), said(ORPHAN, "False")


def _status_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    orphan = evidence.effect(ORPHAN)
    reasons = {text(each, "reason") for route in orphan.objects for each in conditions(route, "Accepted")}
    writers = {text(each, "controllerName") for route in orphan.objects for each in rows(route, "status", "parents")}
    return (
        within("a good route is accepted", evidence.effect(STATUS), stage.timings.settle),
        within("a route of no Service is not", orphan, stage.timings.settle),
        check("and the reason is told", expected={"NoMatchingParent"}, observed=reasons),
        check("by Linkerd", expected={"linkerd.io/policy-controller"}, observed=writers),
    )


PRODUCER = "p-producer"
CONSUMER = "p-consumer"
MARK = "x-probe-route"


def _marking(stage: Stage, name: str, parent_namespace: str, value: str) -> JsonObject:
    marked: JsonObject = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": MARK, "value": value}]},
    }
    attached = parent("Service", name, Port.HTTP) | {"namespace": parent_namespace}
    server = backend(name, Port.HTTP, namespace=parent_namespace)
    return http_route(stage, name, attached, rule(server, filters=[marked]))


def _producer_objects(stage: Stage) -> tuple[JsonObject, ...]:
    unmeshed = placed(front(stage, CONSUMER, {"app": "su"}), stage.plain)
    return (
        front(stage, PRODUCER, EVERY),
        placed(_marking(stage, PRODUCER, stage.meshed, "foreign"), stage.plain),
        unmeshed,
        _marking(stage, CONSUMER, stage.plain, "own"),
    )


def _producer(stage: Stage) -> tuple[Step, ...]:
    consumer = calling(stage, CONSUMER)
    consumer = consumer.model_copy(
        update={"target": consumer.target.model_copy(update={"host": stage.service(CONSUMER, stage.plain)})}
    )
    return (
        until(stage, "effect", consumer, lambda reply: seen_by_server(reply, MARK) == "own", "the header of the route"),
        known(stage, PRODUCER),
        Calls("foreign", CLIENT, calling(stage, PRODUCER, times=20)),
    )


def _producer_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("foreign")
    return (
        within("a route of the client's namespace holds for its clients", evidence.effect("effect"), _bound(stage)),
        all_ok("every request is answered", replies),
        none_are(
            "a route of another namespace does not",
            replies,
            "marked by it",
            lambda reply: seen_by_server(reply, MARK) is not None,
        ),
    )


def _bound(stage: Stage) -> timedelta:
    return stage.timings.propagation


def _foreign(_stage: Stage, evidence: Evidence) -> str | None:
    marks = [mark for reply in evidence.replies("foreign") if (mark := seen_by_server(reply, MARK)) is not None]
    return f"{len(marks)} requests were treated by a route of another namespace" if marks else None


_FOREIGN = Cause(
    code="FOREIGN_ROUTE",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_foreign),
    message="Clients are told of a route in a namespace that is neither theirs nor the Service's.",
    expected="a route holds for clients of its own namespace, or for all where it is in the Service's",
    disproof="The outbound policy, asked for the client's namespace, does not have the route.",
    remedy="Restart linkerd-destination; until then delete the route that is named.",
    command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
)

GRPC = "p-grpc-route"


def _grpc_objects(stage: Stage) -> tuple[JsonObject, ...]:
    service, _, method = GRPC_METHOD.strip("/").partition("/")
    matching: tuple[JsonObject, ...] = (
        {"method": {"type": "Exact", "service": service, "method": method}, **header_match("x-probe", "v2")},
    )
    rules = (rule(backend("v2", Port.GRPC), matches=matching), rule(backend("v1", Port.GRPC)))
    return (
        front(stage, GRPC, V1, service_port(Port.GRPC, app_protocol="kubernetes.io/h2c")),
        grpc_route(stage, GRPC, parent("Service", GRPC, Port.GRPC), *rules),
    )


def _grpc_call(stage: Stage, version: str, times: int) -> Call:
    return Call(
        target=at_service(stage, GRPC, Port.GRPC), protocol=Protocol.GRPC, headers=(("x-probe", version),), times=times
    )


def _grpc(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", _grpc_call(stage, "v2", 1), by(stage, "v2"), "answers of v2"),
        Pages("before", CLIENT),
        Calls("match", CLIENT, _grpc_call(stage, "v2", 25)),
        Calls("other", CLIENT, _grpc_call(stage, "v1", 25)),
        Pages("after", CLIENT),
    )


def _grpc_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    named(stage, "v2")
    return together(
        lambda: (
            within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            all_are("what matches goes to v2", evidence.replies("match"), "OK from v2", by(stage, "v2")),
            all_are("what does not goes to v1", evidence.replies("other"), "OK from v1", by(stage, "v1")),
        ),
        lambda: (
            counter_grew_by(
                "the proxy counts gRPC statuses",
                around(evidence),
                routed(stage, GRPC, GRPC, port=Port.GRPC, grpc_status="OK"),
                50,
            ),
        ),
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        id="route.invalid-backend",
        claim="A backend that does not exist fails its own requests only, and the status of the route says so.",
        tier=Tier.DEPTH,
        objects=_missing_objects,
        steps=_missing,
        proof=_missing_holds,
        diagnosis=Scene(service=MISSING).steps,
        causes=ladder("the route", MISSING, lambda stage: (routed(stage, MISSING, MISSING),)),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        bound=timedelta(seconds=120),
    ),
    Probe(
        id="route.status",
        claim="The policy controller accepts good routes and says why it does not accept others.",
        tier=Tier.TRAFFIC,
        objects=_status_objects,
        steps=_status,
        proof=_status_holds,
        diagnosis=Scene(service=STATUS).steps,
        causes=ladder("the route", STATUS, lambda stage: (routed(stage, STATUS, STATUS),), route=STATUS),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        bound=timedelta(seconds=130),
    ),
    Probe(
        id="route.producer-consumer",
        claim="A route holds for the clients of its own namespace, unless it is in the namespace of the Service.",
        tier=Tier.DEPTH,
        objects=_producer_objects,
        steps=_producer,
        proof=_producer_holds,
        diagnosis=Scene(service=PRODUCER).steps,
        causes=(
            _FOREIGN,
            *ladder("the route", PRODUCER, lambda stage: (routed(stage, PRODUCER),)),
        ),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
    ),
    Probe(
        id="route.grpc",
        claim="A GRPCRoute matches methods and metadata, and counts gRPC statuses.",
        tier=Tier.TRAFFIC,
        objects=_grpc_objects,
        steps=_grpc,
        proof=_grpc_holds,
        diagnosis=Scene(service=GRPC, port=Port.GRPC).steps,
        causes=ladder("the route", GRPC, lambda stage: (routed(stage, GRPC, GRPC, port=Port.GRPC),)),
        needs=(Need.GATEWAY_GRPC_ROUTE,),
    ),
)
