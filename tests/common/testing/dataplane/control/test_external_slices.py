"""EndpointSlices of ExternalWorkloads: when they are written, what they say, and how they can be wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steward.jsonvalue import Json, JsonObject, dig, rows, strings, text, texts
from steward.kube.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS
from steward.testing.dataplane.control.world import ZONE
from steward.testing.dataplane.faults import Scope
from steward.testing.kubernetes.cluster import Patch
from tests.common.testing.dataplane.control.world_of import Cluster, cluster

MANAGER = "linkerd-external-workloads-controller"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_IP = "10.96.0.20"


def workload(name: str = "vm", ip: str = "192.0.2.7", *, port: int = 8080, zone: str = "") -> JsonObject:
    ports: list[Json] = [{"name": "http", "port": port, "protocol": "TCP"}]
    labels: JsonObject = {"app": "outside"}
    if zone:
        labels[ZONE] = zone
    return {
        "apiVersion": "workload.linkerd.io/v1beta1",
        "kind": "ExternalWorkload",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {
            "meshTLS": {"identity": f"spiffe://root/{name}", "serverName": f"{name}.example"},
            "workloadIPs": [{"ip": ip}],
            "ports": ports,
        },
    }


@asynccontextmanager
async def shop() -> AsyncIterator[Cluster]:
    async with cluster() as world:
        world.mesh.cluster.create(NAMESPACES, {"metadata": {"name": "shop"}})
        yield world


async def outside(world: Cluster, *workloads: JsonObject, **service: Json) -> None:
    world.service("outside", _IP, **service)
    world.apply(*(workloads or (workload(),)))
    await world.settled()


async def state(world: Cluster, ready: str, name: str = "vm") -> None:
    status: JsonObject = {"conditions": [{"type": "Ready", "status": ready}]}
    world.mesh.cluster.set_status(EXTERNAL_WORKLOADS, name, status, "shop")
    await world.settled()


def written(world: Cluster) -> list[JsonObject]:
    return world.mesh.cluster.list(ENDPOINT_SLICES, "shop", labels=f"{_MANAGED_BY}={MANAGER}")


def readiness(world: Cluster) -> list[Json]:
    return [dig(one, "conditions", "ready") for slice_ in written(world) for one in rows(slice_, "endpoints")]


async def test_a_slice_of_its_own_says_what_the_workload_says() -> None:
    async with shop() as world:
        await outside(world, workload(zone="west"))
        (found,) = written(world)
        (endpoint,) = rows(found, "endpoints")
        assert text(found, "metadata", "name").startswith("linkerd-external-outside-")
        assert texts(found, "metadata", "labels")["kubernetes.io/service-name"] == "outside"
        assert [text(one, "kind") for one in rows(found, "metadata", "ownerReferences")] == ["Service"]
        assert strings(endpoint, "addresses") == ["192.0.2.7"]
        assert (text(endpoint, "targetRef", "kind"), text(endpoint, "zone")) == ("ExternalWorkload", "west")
        assert rows(found, "ports") == [{"name": "http", "port": 8080, "protocol": "TCP"}]


async def test_an_endpoint_is_as_ready_as_the_status_says_and_unready_before_it_says_anything() -> None:
    async with shop() as world:
        await outside(world, publishNotReadyAddresses=True)
        seen = [readiness(world)]
        for ready in ("True", "False"):
            await state(world, ready)
            seen.append(readiness(world))
        assert seen == [[False], [True], [False]]


async def test_a_port_that_the_workload_does_not_document_is_none() -> None:
    async with shop() as world:
        await outside(world, workload(port=9999))
        assert [rows(one, "ports") for one in written(world)] == [[]]


async def test_a_port_may_be_documented_by_its_name_with_a_number_for_each_workload() -> None:
    ports: list[Json] = [{"name": "web", "port": 80, "targetPort": "http"}]
    async with shop() as world:
        await outside(world, workload(), workload("old", "192.0.2.8", port=9090), ports=ports)
        found = {dig(one, "ports", 0, "port"): dig(one, "endpoints", 0, "addresses", 0) for one in written(world)}
        assert found == {8080: "192.0.2.7", 9090: "192.0.2.8"}


async def test_behind_a_headless_service_a_workload_has_a_name() -> None:
    async with shop() as world:
        await outside(world, clusterIP="None")
        (found,) = written(world)
        assert [text(one, "hostname") for one in rows(found, "endpoints")] == ["vm"]
        assert "service.kubernetes.io/headless" in texts(found, "metadata", "labels")


async def test_a_slice_goes_with_its_workload_and_with_the_selector() -> None:
    async with shop() as world:
        await outside(world)
        world.mesh.cluster.patch(
            EXTERNAL_WORKLOADS, "vm", Patch("merge", {"metadata": {"labels": {"app": "x"}}}), "shop"
        )
        await world.settled()
        assert written(world) == []


async def test_without_a_destination_controller_nothing_is_written() -> None:
    async with shop() as world:
        world.mesh.change("Deployment", "linkerd", "linkerd-destination", {"spec": {"replicas": 0}})
        await world.settled()
        await outside(world)
        assert written(world) == []


async def test_a_service_without_a_selector_has_none() -> None:
    async with shop() as world:
        world.mesh.cluster.create(
            SERVICES, {"metadata": {"name": "outside"}, "spec": {"ports": [{"port": 80}]}}, "shop"
        )
        world.apply(workload())
        await world.settled()
        assert written(world) == []


class TestFaultsOfTheSlices:
    async def test_slices_are_missing_where_the_fault_is(self) -> None:
        async with shop() as world:
            world.faults.switch_on(faults.EXTERNAL_SLICES_MISSING, Scope(pod="vm"))
            await outside(world, workload(), workload("old", "192.0.2.8"))
            found = [text(one, "targetRef", "name") for slice_ in written(world) for one in rows(slice_, "endpoints")]
            assert found == ["old"]

    async def test_readiness_stays_as_it_was(self) -> None:
        async with shop() as world:
            await outside(world)
            await state(world, "True")
            world.faults.switch_on(faults.EXTERNAL_READINESS_IGNORED)
            await state(world, "False")
            assert readiness(world) == [True]

    async def test_ports_are_others(self) -> None:
        async with shop() as world:
            world.faults.switch_on(faults.EXTERNAL_PORTS_WRONG)
            await outside(world)
            assert [dig(one, "ports", 0, "port") for one in written(world)] == [8081]
