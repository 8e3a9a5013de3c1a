"""Who counts the requests of a target: precedence, ports, sides, and what is refused with what remedy."""

import pytest

from steward.alerting.objectives.counters import GRPC_ROUTES, HTTP_ROUTES, PODS, PROFILE
from steward.alerting.objectives.counting import Counted, CountedBy, Counting
from steward.alerting.objectives.facts import MeshFacts, Place
from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.targets import counted
from steward.alerting.objectives.wanted import Target, View
from steward.jsonvalue import JsonObject
from steward.resources.alert_policy import Granularity, Side, TargetKind
from tests.common.alerting.objectives.shop import ADDRESS, mesh, profile, route, service

WEB = Target(TargetKind.SERVICE, Place("shop", "web"))
LIST = Target(TargetKind.HTTP_ROUTE, Place("shop", "list"))
VOTE = Target(TargetKind.GRPC_ROUTE, Place("shop", "vote"))
PROFILED = Target(TargetKind.SERVICE_PROFILE, Place("shop", ADDRESS))
SERVER = View(side=Side.SERVER)
GRPC: JsonObject = {"port": 50051, "name": "grpc"}
HTTP: JsonObject = {"port": 8080, "name": "http"}


def looked_at(target: Target, facts: MeshFacts, view: View | None = None) -> Counting:
    (one,) = counted(target, view or View(), facts)
    return one


def found(target: Target, facts: MeshFacts, view: View | None = None) -> Counted:
    one = looked_at(target, facts, view)
    assert isinstance(one, Counted), one
    return one


def refused(target: Target, facts: MeshFacts, view: View | None = None) -> Refused:
    one = looked_at(target, facts, view)
    assert isinstance(one, Refused), one
    return one


def matchers(counting: Counted, number: int = 0) -> list[str]:
    return [str(matcher) for matcher in counting.sources[number].matchers]


def test_without_a_profile_routes_count() -> None:
    for facts in (mesh(), mesh(http=(route(),))):
        counting = found(WEB, facts)
        assert counting.by is CountedBy.ROUTES
        assert [source.counters for source in counting.sources] == [HTTP_ROUTES]
        assert matchers(counting)[2:] == ['parent_namespace="shop"', 'parent_name="web"']


@pytest.mark.parametrize(
    "winning",
    [profile(), profile(routes=(), dstOverrides=[{"authority": "web-2.shop.svc.cluster.local", "weight": "1"}])],
    ids=["routes", "targets"],
)
def test_a_profile_with_routes_or_targets_wins_over_routes(winning: JsonObject) -> None:
    counting = found(WEB, mesh(profiles=(winning,), http=(route(),)))
    assert counting.by is CountedBy.SERVICE_PROFILE
    assert [source.counters for source in counting.sources] == [PROFILE, HTTP_ROUTES]
    assert matchers(counting) == [
        'direction="outbound"',
        r'dst=~"web\\.shop\\.svc\\.cluster\\.local|web\\.shop\\.svc\\.cluster\\.local:8080"',
    ]
    (note,) = counting.notes
    assert note.reason == "RoutesWithoutEffect"
    assert "list have no effect as long as it is there" in note.message


def test_an_empty_profile_wins_over_nothing() -> None:
    empty = profile(routes=(), retryBudget={"retryRatio": 0.2})
    assert found(WEB, mesh(profiles=(empty,))).by is CountedBy.ROUTES
    no = refused(PROFILED, mesh(profiles=(empty,)))
    assert no.reason == "EmptyProfile"
    assert "give it routes, or set the objective on the Service" in no.message


def test_a_profile_of_a_clients_namespace_is_for_the_clients_there() -> None:
    theirs = profile(namespace="clients")
    counting = found(WEB, mesh(profiles=(theirs,)))
    assert counting.by is CountedBy.ROUTES
    assert [source.counters for source in counting.sources] == [HTTP_ROUTES, PROFILE]
    assert matchers(counting, 1)[-1] == 'namespace=~"clients"'
    (note,) = counting.notes
    assert note.reason == "ProfileOfClients"
    assert "clients in namespace 'clients' have a ServiceProfile of their own" in note.message

    both = found(WEB, mesh(profiles=(theirs, profile())))
    assert both.by is CountedBy.SERVICE_PROFILE
    assert len(matchers(both)) == 2, "all clients are counted, with whichever profile"

    at_home = found(Target(TargetKind.SERVICE_PROFILE, Place("clients", ADDRESS)), mesh(profiles=(theirs,)))
    assert (at_home.by, at_home.service) == (CountedBy.SERVICE_PROFILE, Place("shop", "web"))
    assert all(matchers(at_home, number)[-1] == 'namespace="clients"' for number in (0, 1))


def test_a_profile_for_something_else_than_a_service_is_known_by_its_address() -> None:
    away = profile("api.example.com")
    counting = found(Target(TargetKind.SERVICE_PROFILE, Place("shop", "api.example.com")), mesh(profiles=(away,)))
    assert [source.counters for source in counting.sources] == [PROFILE]
    assert 'dst=~"api\\\\.example\\\\.com(:[0-9]+)?"' in matchers(counting)


def test_a_grpc_route_on_a_port_counts_there_and_wins_over_http_routes() -> None:
    everywhere = mesh(service(ports=(GRPC,)), grpc=(route("vote"),), http=(route(),))
    assert [source.counters for source in found(WEB, everywhere).sources] == [GRPC_ROUTES]
    assert found(VOTE, everywhere).route == "GRPCRoute/shop/vote"
    no = refused(LIST, everywhere)
    assert no.reason == "GrpcRouteWins"
    assert "set the objective on the GRPCRoute or on the Service" in no.message

    at_port: JsonObject = {"group": "core", "kind": "Service", "name": "web", "port": 50051}
    on_one = mesh(service(ports=(HTTP, GRPC)), grpc=(route("vote", parents=(at_port,)),), http=(route(),))
    assert [source.counters for source in found(WEB, on_one).sources] == [HTTP_ROUTES, GRPC_ROUTES]
    assert found(LIST, on_one).sources[0].counters is HTTP_ROUTES


@pytest.mark.parametrize("port", [GRPC, {"port": 50051, "name": "grpc-web"}], ids=lambda port: str(port["name"]))
def test_grpc_without_a_grpc_route_does_not_tell_success(port: JsonObject) -> None:
    counting = found(WEB, mesh(service(ports=(port,))))
    assert counting.blind is not None
    assert counting.blind.reason == "GrpcWithoutRoute"
    assert "make a GRPCRoute for it" in counting.blind.message

    partly = found(WEB, mesh(service(ports=(HTTP, port))))
    assert partly.blind is None
    assert [note.reason for note in partly.notes] == ["GrpcWithoutRoute"]

    for facts in (
        mesh(service(ports=(port,)), grpc=(route("vote"),)),
        mesh(service(ports=(port,)), profiles=(profile(),)),
    ):
        assert found(WEB, facts).blind is None


def test_an_http_route_does_not_tell_success_of_grpc_either() -> None:
    counting = found(LIST, mesh(service(ports=(GRPC,)), http=(route(),)))
    assert counting.blind is not None
    assert counting.blind.reason == "GrpcWithoutRoute"


@pytest.mark.parametrize(
    "opaque",
    [
        service(ports=({"port": 50051, "appProtocol": "grpc"},)),
        service(ports=({"port": 443, "appProtocol": "https"},)),
        service(ports=({"port": 5432, "appProtocol": "linkerd.io/opaque"},)),
        service(ports=({"port": 5000},), annotations={"config.linkerd.io/opaque-ports": "25,4444, 5000-6000"}),
        service(ports=({"port": 3306},)),
    ],
    ids=["grpc", "https", "linkerd", "annotation", "default"],
)
def test_ports_that_proxies_do_not_look_into_are_refused(opaque: JsonObject) -> None:
    for target in (WEB, LIST):
        no = refused(target, mesh(opaque, http=(route(),)))
        assert no.reason == "OpaquePorts"
        assert "if they are HTTP, write appProtocol http or kubernetes.io/h2c" in no.message


def test_an_annotation_replaces_the_ports_that_are_opaque_by_default() -> None:
    said = service(ports=({"port": 3306},), annotations={"config.linkerd.io/opaque-ports": ""})
    assert found(WEB, mesh(said)).by is CountedBy.ROUTES


def test_what_a_port_says_of_itself_goes_before_the_annotation_of_its_service() -> None:
    ports: tuple[JsonObject, ...] = (
        {"port": 80, "appProtocol": "http"},
        {"port": 81, "appProtocol": "kubernetes.io/h2c"},
        {"port": 82},
    )
    annotations = {"config.linkerd.io/opaque-ports": "80-90,nonsense,99999999999"}
    facts = mesh(service(ports=ports, annotations=annotations), grpc=(route("vote"),))
    counting = found(WEB, facts)
    assert [source.counters for source in counting.sources] == [HTTP_ROUTES, GRPC_ROUTES]
    (note,) = counting.notes
    assert note.message == "proxies do not look into port 82, and requests to it are not counted"
    only_http = mesh(service(ports=ports[:1]), grpc=(route("vote"),))
    assert refused(VOTE, only_http).reason == "NotGrpc"


@pytest.mark.parametrize(
    ("other", "reason", "remedy"),
    [
        (service(clusterIP="None"), "HeadlessService", "look at it from the side of the server"),
        (service(type="ExternalName", externalName="example.com"), "ExternalName", "on a Service with pods"),
    ],
    ids=["headless", "external"],
)
def test_services_whose_clients_count_nothing_are_refused(other: JsonObject, reason: str, remedy: str) -> None:
    for target in (WEB, LIST):
        no = refused(target, mesh(other, http=(route(),)))
        assert no.reason == reason
        assert remedy in no.message


def test_a_route_is_counted_for_each_service_that_it_is_attached_to() -> None:
    parents: tuple[JsonObject, ...] = (
        {"group": "", "kind": "Service", "name": "web"},
        {"group": "core", "kind": "Service", "name": "web", "port": 8080},
        {"group": "core", "kind": "Service", "name": "api", "namespace": "back"},
        {"kind": "Gateway", "name": "edge"},
        {"group": "policy.linkerd.io", "kind": "Server", "name": "web"},
    )
    facts = mesh(service(), service("api", "back"), http=(route(parents=parents, rules=3),))
    at_web, at_api = counted(LIST, View(), facts)
    assert isinstance(at_web, Counted)
    assert isinstance(at_api, Counted)
    assert (at_web.service, at_api.service) == (Place("shop", "web"), Place("back", "api"))
    assert matchers(at_api)[2:] == [
        'parent_namespace="back"',
        'parent_name="api"',
        'route_group=~"gateway\\\\.networking\\\\.k8s\\\\.io"',
        'route_kind="HTTPRoute"',
        'route_namespace="shop"',
        'route_name="list"',
    ]
    (note,) = at_web.notes
    assert note.reason == "RulesSummed"
    assert "the 3 rules of HTTPRoute 'list' are counted together" in note.message


def test_routes_of_one_name_in_both_groups_are_one_target() -> None:
    counting = found(LIST, mesh(http=(route(),), own=(route(),)))
    assert r'route_group=~"gateway\\.networking\\.k8s\\.io|policy\\.linkerd\\.io"' in matchers(counting)


@pytest.mark.parametrize(
    ("facts", "reason", "said"),
    [
        (mesh(), "NoSuchTarget", "there is no HTTPRoute 'list' in namespace 'shop'"),
        (mesh(http=(route(parents=({"kind": "Gateway", "name": "edge"},)),)), "NoServiceParent", "give it a Service"),
        (mesh(http=(route(accepted=False),)), "RouteNotAccepted", "NoMatchingParent: mend its parentRefs"),
        (mesh(service("api"), http=(route(),)), "NoSuchService", "attached to Service 'web'"),
        (
            mesh(http=(route(),), profiles=(profile(),)),
            "ServiceProfileWins",
            "delete the profile, or set the objective",
        ),
    ],
    ids=["absent", "no parent", "not accepted", "parent absent", "profile"],
)
def test_a_route_that_nobody_counts_by_is_refused(facts: MeshFacts, reason: str, said: str) -> None:
    no = refused(LIST, facts)
    assert no.reason == reason
    assert said in no.message


def test_a_route_that_is_accepted_or_not_yet_looked_at_counts() -> None:
    for accepted in (True, None):
        assert found(LIST, mesh(http=(route(accepted=accepted),))).by is CountedBy.ROUTES


@pytest.mark.parametrize("target", [WEB, PROFILED, LIST, VOTE], ids=str)
def test_targets_that_are_not_there_are_named(target: Target) -> None:
    no = refused(target, mesh(service("other")))
    assert no.reason == "NoSuchTarget"
    assert f"{target.place.name!r} in namespace 'shop'" in no.message


def test_pods_are_known_by_what_the_service_selects() -> None:
    ports: tuple[JsonObject, ...] = ({"port": 80, "targetPort": 8080}, {"port": 81})
    selector: JsonObject = {"app.kubernetes.io/name": 'we"b', "linkerd.io/proxy-deployment": "web"}
    counting = found(WEB, mesh(service(ports=ports, selector=selector)), SERVER)
    assert counting.by is CountedBy.PODS
    assert counting.sources[0].counters is PODS
    assert matchers(counting) == [
        'direction="inbound"',
        'namespace="shop"',
        r'app_kubernetes_io_name="we\"b"',
        'deployment="web"',
        'target_port=~"8080|81"',
        'target_port!="4191"',
        'route_name!="probe"',
    ]


def test_a_port_by_name_leaves_the_port_open() -> None:
    counting = found(WEB, mesh(service(ports=({"port": 80, "targetPort": "http"},))), SERVER)
    assert not any(matcher.startswith("target_port=") for matcher in matchers(counting))


@pytest.mark.parametrize(
    ("selector", "reason"),
    [({}, "NoSelector"), ({"direction": "north"}, "SelectorUnfit"), ({"3scale": "yes"}, "SelectorUnfit")],
    ids=["none", "hides a label", "no label"],
)
def test_a_selector_that_series_cannot_be_found_by_is_refused(selector: JsonObject, reason: str) -> None:
    no = refused(WEB, mesh(service(selector=selector)), SERVER)
    assert no.reason == reason
    assert "look at it from the side of the client" in no.message


def test_headless_services_can_be_looked_at_from_their_own_side() -> None:
    assert found(WEB, mesh(service(clusterIP="None")), SERVER).by is CountedBy.PODS


def test_pods_tell_routes_apart_by_a_profile_beside_the_service_only() -> None:
    each = View(side=Side.SERVER, granularity=Granularity.ROUTE)
    counting = found(WEB, mesh(profiles=(profile(),)), each)
    assert counting.sources[0].counters is PROFILE
    assert matchers(counting)[0] == 'direction="inbound"'
    for facts in (mesh(), mesh(http=(route(),)), mesh(profiles=(profile(namespace="clients"),))):
        assert refused(WEB, facts, each).reason == "NoRoutesAtServer"
    assert found(PROFILED, mesh(profiles=(profile(),)), each).sources[0].counters is PROFILE


def test_what_only_clients_count_is_refused_at_the_server() -> None:
    assert refused(LIST, mesh(http=(route(),)), SERVER).reason == "NoServerSide"
    theirs = Target(TargetKind.SERVICE_PROFILE, Place("clients", ADDRESS))
    no = refused(theirs, mesh(profiles=(profile(namespace="clients"),)), SERVER)
    assert no.reason == "NoServerSide"
    assert "look at it from the side of the client" in no.message
