import pytest

from steward.jsonvalue import JsonObject, rows, text
from steward.testing.dataplane.config import InboundServer, Meta, Network, Protocol
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.kinds import RATE_LIMITS
from steward.testing.kubernetes.refusal import Refusal
from steward.testing.linkerd.mesh import in_pod
from tests.common.testing.dataplane.control.objects import (
    POLICY,
    authorization,
    mesh_tls,
    network,
    rate_limit,
    ref,
    route,
    rule,
    server,
    thing,
)
from tests.common.testing.dataplane.control.world_of import Cluster, cluster

DOMAIN = "serviceaccount.identity.linkerd.cluster.local"
FRIENDS = ref("MeshTLSAuthentication", "friends")


async def web(world: Cluster, changes: JsonObject | None = None) -> None:
    world.mesh.workload("Deployment", "shop", "web", 1, changes=changes)
    await world.settled()


def told(world: Cluster, port: int = 8080) -> InboundServer:
    return world.control.policy_of(world.pods("web")[0], port)


@pytest.mark.parametrize(
    ("policy", "identities", "everywhere"),
    [
        ("all-unauthenticated", None, True),
        ("all-authenticated", ("*",), True),
        ("cluster-unauthenticated", None, False),
        ("cluster-authenticated", ("*",), False),
    ],
)
async def test_a_default_policy_grants_by_identity_and_network(
    policy: str, identities: tuple[str, ...] | None, everywhere: bool
) -> None:
    async with cluster() as world:
        await web(world, in_pod({"config.linkerd.io/default-inbound-policy": policy}))
        (granted,) = told(world).authorizations
        assert granted.meta == Meta("", "default", policy)
        assert granted.identities == identities
        assert (granted.networks[0] == Network("0.0.0.0/0")) is everywhere
        world.faults.switch_on(faults.DEFAULT_POLICY_IGNORED)
        assert told(world).meta.name == "all-unauthenticated"


@pytest.mark.parametrize(("policy", "audit"), [("deny", False), ("audit", True)])
async def test_deny_and_audit_grant_nothing(policy: str, audit: bool) -> None:
    async with cluster() as world:
        await web(world, in_pod({"config.linkerd.io/default-inbound-policy": policy}))
        assert told(world).authorizations == ()
        assert told(world).audit is audit


async def test_the_admin_port_has_routes_for_the_kubelets_probes() -> None:
    async with cluster() as world:
        await web(world, in_pod({"config.linkerd.io/default-inbound-policy": "deny"}))
        probe, everything = told(world, 4191).routes
        assert probe.meta == Meta("", "default", "probe")
        assert {match.path_exact for match in probe.matches} == {"/live", "/ready"}
        assert probe.authorizations[0].identities is None
        assert everything.meta == Meta("", "default", "default")


async def test_a_server_denies_all_but_who_is_authorized() -> None:
    async with cluster() as world:
        await web(world)
        world.apply(server("web", proxyProtocol="HTTP/1"))
        found = told(world)
        assert found.meta == Meta(POLICY, "server", "web", "shop", 8080)
        assert (found.protocol, found.authorizations) == (Protocol.HTTP1, ())
        assert told(world, 9000).meta.name == "all-unauthenticated"
        world.apply(
            mesh_tls("friends", accounts=("cm",)),
            authorization("a", "Server", "web", FRIENDS),
            network("n", "10.0.0.0/8"),
        )
        (granted,) = told(world).authorizations
        assert granted.meta == Meta(POLICY, "authorizationpolicy", "a", "shop")
        assert granted.identities == (f"cm.shop.{DOMAIN}",)
        world.apply(authorization("a", "Server", "web", FRIENDS, ref("NetworkAuthentication", "n")))
        assert told(world).authorizations[0].networks == (Network("10.0.0.0/8"),)
        for fault, granted_then in ((faults.AUTHORIZATIONS_IGNORED, 0), (faults.SERVERS_IGNORED, 1)):
            world.faults.switch_on(fault)
            assert len(told(world).authorizations) == granted_then


async def test_policies_may_be_for_a_whole_namespace_and_name_accounts_themselves() -> None:
    async with cluster() as world:
        await web(world)
        world.apply(server("web"), authorization("ns", "Namespace", "shop", ref("ServiceAccount", "cm")))
        assert told(world).authorizations[0].identities == (f"cm.shop.{DOMAIN}",)


async def test_a_policy_whose_authentication_does_not_exist_grants_nothing() -> None:
    async with cluster() as world:
        await web(world)
        world.apply(server("web"), authorization("a", "Server", "web", FRIENDS))
        assert told(world).authorizations == ()


async def test_routes_on_a_server_have_authorizations_of_their_own() -> None:
    parent: JsonObject = {"group": POLICY, "kind": "Server", "name": "web"}
    attached = route("get", rule(path="/a"), parent=parent)
    attached["apiVersion"] = f"{POLICY}/v1beta3"
    async with cluster() as world:
        await web(world)
        world.apply(server("web"), attached, mesh_tls("friends", "*"), authorization("r", "HTTPRoute", "get", FRIENDS))
        (found,) = told(world).routes
        assert found.meta == Meta(POLICY, "HTTPRoute", "get", "shop")
        assert found.matches[0].path_prefix == "/a"
        assert found.authorizations[0].identities == ("*",)
        assert told(world).authorizations == ()
        world.faults.switch_on(faults.INBOUND_ROUTES_IGNORED)
        assert [one.meta.name for one in told(world).routes] == ["default"]


async def test_a_legacy_server_authorization_still_counts() -> None:
    spec: JsonObject = {
        "server": {"name": "web"},
        "client": {"networks": [{"cidr": "10.0.0.0/8"}], "meshTLS": {"serviceAccounts": [{"name": "cm"}]}},
    }
    async with cluster() as world:
        await web(world)
        world.apply(server("web"), thing(f"{POLICY}/v1beta1", "ServerAuthorization", "old", spec))
        (granted,) = told(world).authorizations
        assert granted.meta.kind == "serverauthorization"
        assert (granted.identities, granted.networks) == ((f"cm.shop.{DOMAIN}",), (Network("10.0.0.0/8"),))


async def test_the_access_policy_of_a_server_may_audit_or_open() -> None:
    async with cluster() as world:
        await web(world)
        world.apply(server("web", accessPolicy="audit"))
        assert told(world).audit
        world.faults.switch_on(faults.AUDIT_IGNORED)
        assert not told(world).audit
        world.apply(server("web", accessPolicy="all-unauthenticated"))
        assert told(world).authorizations[0].meta.name == "all-unauthenticated"


async def test_rate_limits_are_told_and_the_second_one_is_refused_in_its_status() -> None:
    override: JsonObject = {"requestsPerSecond": 20, "clientRefs": [{"kind": "ServiceAccount", "name": "cm"}]}
    async with cluster() as world:
        await web(world)
        world.apply(
            server("web"),
            rate_limit("a", "web", total={"requestsPerSecond": 40}, overrides=[override]),
            rate_limit("b", "web", total={"requestsPerSecond": 1}),
            rate_limit("c", "nobody", total={"requestsPerSecond": 1}),
        )
        await world.settled()
        limit = told(world).rate_limit
        assert limit is not None
        assert (limit.meta.name, limit.total) == ("a", 40)
        assert limit.overrides == ((f"cm.shop.{DOMAIN}", 20),)
        reasons = []
        for name in ("a", "b", "c"):
            (condition,) = rows(world.mesh.cluster.get(RATE_LIMITS, name, "shop"), "status", "conditions")
            reasons.append(text(condition, "reason"))
        assert reasons == ["Accepted", "RateLimitReasonAlreadyExists", "NoMatchingTarget"]
        world.faults.switch_on(faults.RATE_LIMITS_IGNORED)
        assert told(world).rate_limit is None


async def test_an_opaque_port_stays_one_without_a_server() -> None:
    async with cluster() as world:
        await web(world)
        assert told(world, 3306).protocol is Protocol.OPAQUE
        world.faults.switch_on(faults.OPAQUE_IGNORED)
        assert told(world, 3306).protocol is Protocol.DETECT


async def test_policies_may_be_told_as_they_were_before() -> None:
    async with cluster() as world:
        await web(world)
        world.faults.switch_on(faults.POLICY_STALE)
        world.apply(server("web"))
        assert told(world).meta.kind == "default"
        world.faults.clear()
        assert told(world).meta.kind == "server"


INVALID = (
    (thing(f"{POLICY}/v1beta3", "Server", "odd", {"port": 80}), "exactly one of podSelector"),
    (server("odd", port=0), "invalid port"),
    (server("odd", proxyProtocol="SMTP"), "invalid proxyProtocol"),
    (server("odd", accessPolicy="maybe"), "invalid accessPolicy"),
    (authorization("odd", "Deployment", "web"), "invalid targetRef kind"),
    (authorization("odd", "Server", "web", ref("Secret", "x")), "unsupported authentication"),
    (authorization("odd", "Server", "web", FRIENDS, FRIENDS), "only a single MeshTLSAuthentication"),
    (thing(f"{POLICY}/v1alpha1", "MeshTLSAuthentication", "odd", {}), "at least one of identities"),
    (network("odd", "10.0.0.0/99"), "invalid network"),
    (thing(f"{POLICY}/v1alpha1", "EgressNetwork", "odd", {"trafficPolicy": "Perhaps"}), "invalid trafficPolicy"),
    (rate_limit("odd", "web"), "at least one of total"),
    (rate_limit("odd", "web", total={"requestsPerSecond": 0}), "greater than zero"),
    (route("odd", rule(path="a")), "must be absolute"),
    (thing("linkerd.io/v1alpha2", "ServiceProfile", "odd", {"routes": [{}]}), "route with no name"),
)


@pytest.mark.parametrize(("wrong", "reason"), INVALID, ids=[reason for _, reason in INVALID])
async def test_what_makes_no_sense_is_refused_by_the_webhooks(wrong: JsonObject, reason: str) -> None:
    async with cluster() as world:
        world.mesh.namespace("shop")
        world.validate()
        with pytest.raises(Refusal, match=reason):
            world.apply(wrong)
        world.faults.switch_on(faults.INVALID_ACCEPTED)
        world.apply(wrong)


async def test_two_servers_for_the_same_port_are_refused() -> None:
    async with cluster() as world:
        world.mesh.namespace("shop")
        world.validate()
        world.apply(server("one"))
        with pytest.raises(Refusal, match="identical server spec"):
            world.apply(server("two"))


async def test_nobody_judges_while_the_controllers_are_away() -> None:
    async with cluster() as world:
        world.mesh.namespace("shop")
        world.validate()
        world.mesh.change("Deployment", "linkerd", "linkerd-destination", {"spec": {"replicas": 0}})
        await world.settled()
        world.apply(server("odd", port=0))
