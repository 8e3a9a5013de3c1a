from steward.jsonvalue import JsonObject, text
from steward.kube.resources import ENDPOINT_SLICES, NODES
from steward.testing.dataplane.config import Endpoint, Meta, Protocol
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.discovery import Asked, Client
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS
from steward.testing.dataplane.faults import Scope
from steward.testing.kubernetes.cluster import Patch
from steward.testing.linkerd.mesh import in_pod
from tests.common.testing.dataplane.control.world_of import Cluster, cluster

IP = "10.96.0.10"


def endpoints(world: Cluster, client: Client | None = None, **more: str) -> tuple[Endpoint, ...]:
    asked = Asked("web", "shop", 80, more.get("hostname", ""))
    return world.control.directory.endpoints(asked, client or Client("cm-1", "shop"), replica=more.get("replica", ""))


async def web(world: Cluster, replicas: int = 2) -> None:
    world.mesh.workload("Deployment", "shop", "web", replicas)
    world.service("web", IP)
    await world.settled()


async def test_ready_pods_are_endpoints_with_the_identity_of_their_account() -> None:
    async with cluster() as world:
        await web(world)
        found = endpoints(world)
        assert {one.ip for one in found} == {text(pod, "status", "podIP") for pod in world.pods("web")}
        assert {(one.port, one.identity, one.h2) for one in found} == {
            (8080, "default.shop.serviceaccount.identity.linkerd.cluster.local", True)
        }
        labels = dict(found[0].labels)
        assert labels["deployment"] == "web"
        assert labels["service"] == "web"
        assert labels["namespace"] == "shop"
        assert labels["control_plane_ns"] == "linkerd"


async def test_a_pod_without_a_proxy_is_told_without_identity() -> None:
    async with cluster() as world:
        world.mesh.namespace("shop", inject="disabled")
        await web(world)
        assert {(one.identity, one.h2) for one in endpoints(world)} == {(None, False)}


async def test_scaling_is_followed_and_a_service_without_pods_has_none() -> None:
    async with cluster() as world:
        await web(world)
        world.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 0}})
        await world.settled()
        assert endpoints(world) == ()
        (slice_,) = world.mesh.cluster.list(ENDPOINT_SLICES, "shop")
        assert slice_["endpoints"] == []


async def test_the_target_of_a_service_names_parent_authority_and_the_default_route() -> None:
    async with cluster() as world:
        await web(world)
        target = world.target(IP)
        assert target.parent == Meta("core", "Service", "web", "shop", 80)
        assert target.authority == "web.shop.svc.cluster.local:80"
        assert target.protocol is Protocol.DETECT
        assert target.http_routes[0].meta == Meta("", "default", "http")
        assert target.http_routes[0].rules[0].backends[0].endpoints == endpoints(world)
        assert world.target(IP, 81).undefined_port


async def test_a_pod_dialled_by_its_address_is_no_balanced_target() -> None:
    async with cluster() as world:
        await web(world)
        pod = world.pods("web")[0]
        target = world.target(text(pod, "status", "podIP"), 8080)
        assert not target.balance
        assert target.parent == Meta("", "default", "endpoint")
        assert target.default is not None
        assert target.default.endpoints[0].identity is not None


async def test_opaque_ports_come_by_annotation_and_by_default() -> None:
    ports: list[JsonObject] = [{"name": "db", "port": 3306, "targetPort": 3306}, {"name": "odd", "port": 9000}]
    async with cluster() as world:
        await web(world)
        world.service("other", "10.96.0.11", selector={"app": "web"}, ports=list(ports))
        assert world.target("10.96.0.11", 3306).protocol is Protocol.OPAQUE
        assert world.target("10.96.0.11", 9000).protocol is Protocol.DETECT
        world.annotate("other", {"config.linkerd.io/opaque-ports": "9000-9001"})
        assert world.target("10.96.0.11", 9000).protocol is Protocol.OPAQUE
        assert world.target("10.96.0.11", 3306).protocol is Protocol.DETECT
        world.faults.switch_on(faults.OPAQUE_IGNORED)
        assert world.target("10.96.0.11", 9000).protocol is Protocol.DETECT


async def test_a_pods_own_annotation_makes_its_endpoint_opaque() -> None:
    async with cluster() as world:
        changes = in_pod({"config.linkerd.io/opaque-ports": "8080"})
        world.mesh.workload("Deployment", "shop", "web", 1, changes=changes)
        world.service("web", IP)
        await world.settled()
        assert [(one.opaque, one.h2) for one in endpoints(world)] == [(True, False)]


async def test_app_protocol_decides_what_is_spoken_and_an_unknown_word_is_opaque() -> None:
    words = {
        "http": Protocol.HTTP1,
        "kubernetes.io/h2c": Protocol.HTTP2,
        "linkerd.io/opaque": Protocol.OPAQUE,
        "steward.example/unheard-of": Protocol.OPAQUE,
    }
    async with cluster() as world:
        world.mesh.namespace("shop")
        for number, word in enumerate(words):
            port: JsonObject = {"name": "p", "port": 80, "appProtocol": word}
            world.service(f"s{number}", f"10.96.1.{number}", ports=[port])
        found = [world.target(f"10.96.1.{number}").protocol for number in range(len(words))]
        assert found == list(words.values())
        world.faults.switch_on(faults.APP_PROTOCOL_IGNORED)
        assert world.target("10.96.1.0").protocol is Protocol.DETECT


async def test_hints_keep_traffic_in_its_zone_unless_the_control_plane_ignores_them() -> None:
    async with cluster(nodes=2) as world:
        for number in range(2):
            labels: JsonObject = {"topology.kubernetes.io/zone": f"zone-{number}"}
            world.mesh.cluster.patch(NODES, f"node-{number}", Patch("merge", {"metadata": {"labels": labels}}))
        world.mesh.workload("DaemonSet", "shop", "web")
        world.service("web", IP)
        world.annotate("web", {"service.kubernetes.io/topology-mode": "Auto"})
        await world.settled()
        client = Client("cm-1", "shop", "node-1", "zone-1")
        assert [one.zone for one in endpoints(world, client)] == ["zone-1"]
        assert dict(endpoints(world, client)[0].labels)["zone_locality"] == "local"
        world.faults.switch_on(faults.ZONE_HINTS_IGNORED)
        assert {one.zone for one in endpoints(world, client)} == {"zone-0", "zone-1"}


async def test_a_local_traffic_policy_tells_only_endpoints_of_the_clients_node() -> None:
    async with cluster(nodes=2) as world:
        world.mesh.workload("DaemonSet", "shop", "web")
        world.service("web", IP, internalTrafficPolicy="Local")
        await world.settled()
        assert [one.node for one in endpoints(world, Client("cm-1", "shop", "node-1"))] == ["node-1"]


async def test_one_pod_of_a_stateful_set_has_a_name_of_its_own() -> None:
    async with cluster() as world:
        world.mesh.workload("StatefulSet", "shop", "web", 2)
        world.service("web", "None")
        await world.settled()
        assert [dict(one.labels)["pod"] for one in endpoints(world, hostname="web-1")] == ["web-1"]
        world.faults.switch_on(faults.HEADLESS_ANSWERS_ALL)
        assert len(endpoints(world, hostname="web-1")) == 2


async def test_an_external_workload_is_an_endpoint_with_the_identity_that_it_declares() -> None:
    workload: JsonObject = {
        "apiVersion": "workload.linkerd.io/v1beta1",
        "kind": "ExternalWorkload",
        "metadata": {"name": "vm", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "meshTLS": {"identity": "spiffe://root/vm", "serverName": "vm.example"},
            "workloadIPs": [{"ip": "192.0.2.7"}],
            "ports": [{"name": "http", "port": 8080}],
        },
    }
    async with cluster() as world:
        await web(world, replicas=1)
        world.apply(workload)
        ready: JsonObject = {"conditions": [{"type": "Ready", "status": "True"}]}
        world.mesh.cluster.set_status(EXTERNAL_WORKLOADS, "vm", ready, "shop")
        await world.settled()
        found = {one.ip: one.identity for one in endpoints(world)}
        assert found["192.0.2.7"] == "spiffe://root/vm"


class TestFaultsOfTheDirectory:
    async def test_stale_endpoints_are_those_of_the_moment_before(self) -> None:
        async with cluster() as world:
            await web(world)
            before = endpoints(world)
            world.faults.switch_on(faults.STALE_ENDPOINTS)
            world.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 0}})
            await world.settled()
            assert endpoints(world) == before
            world.faults.clear()
            await world.settled()
            assert endpoints(world) == ()

    async def test_one_replica_may_be_stale_alone(self) -> None:
        async with cluster() as world:
            await web(world)
            before = endpoints(world)
            world.faults.switch_on(faults.STALE_REPLICA, Scope(pod="linkerd-destination-b"))
            world.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 0}})
            await world.settled()
            assert endpoints(world, replica="linkerd-destination-a") == ()
            assert endpoints(world, replica="linkerd-destination-b") == before

    async def test_new_pods_may_be_overlooked_and_removed_ones_kept(self) -> None:
        async with cluster() as world:
            await web(world)
            before = endpoints(world)
            world.faults.switch_on(faults.NEW_PODS_MISSING)
            world.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 4}})
            await world.settled()
            assert set(endpoints(world)) == set(before)
            world.faults.clear()
            before = endpoints(world)
            assert len(before) == 4
            world.faults.switch_on(faults.REMOVED_PODS_STAY)
            world.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 0}})
            await world.settled()
            assert set(endpoints(world)) == set(before)

    async def test_identity_may_be_forgotten_for_some_pods(self) -> None:
        async with cluster() as world:
            await web(world)
            world.faults.switch_on(faults.NO_IDENTITY_OF_ENDPOINTS, Scope(pod="web"))
            assert {one.identity for one in endpoints(world)} == {None}


async def test_a_slice_written_by_hand_has_endpoints_that_nobody_knows() -> None:
    slice_: JsonObject = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "hand", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.9"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 9000}],
    }
    async with cluster() as world:
        world.mesh.namespace("shop")
        world.service("web", IP, selector={})
        world.apply(slice_)
        await world.settled()
        assert [(one.ip, one.port, one.identity) for one in endpoints(world)] == [("192.0.2.9", 9000, None)]
