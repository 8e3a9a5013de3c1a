import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.jsonvalue import Json, JsonObject, text
from steward.kube.resources import PODS, SERVICES
from steward.proxy_api.answers import ProxyApiError
from steward.proxy_api.client import ProxyApi, context_token
from steward.testing.dataplane import network_faults
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy.failures import ConnectFailed, ConnectionClosed
from steward.testing.dataplane.proxy.stream import open_stream
from steward.testing.kubernetes.refusal import Refusal
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh, in_pod
from steward.testing.linkerd.simulation.pods import is_ready
from tests.common.testing.dataplane.control.objects import (
    authorization,
    egress,
    mesh_tls,
    ref,
    route,
    rule,
    server,
    thing,
)
from tests.common.testing.dataplane.lab import FRONT, PORT, QUICK, VERSION, Lab, error, lab, seen

WEB = "web.shop.svc.cluster.local"
AMPLE = timedelta(seconds=20)
DOMAIN = "serviceaccount.identity.linkerd.cluster.local"


async def shop(it: Lab, replicas: int = 1, changes: JsonObject | None = None) -> None:
    """`web` and its client `cm` in the mesh, and `cu` outside of it."""
    it.workload("web", replicas, changes=changes)
    it.workload("cm")
    it.workload("cu", namespace="yard")
    it.service("web")
    await it.plane.settled()


async def test_a_meshed_client_reaches_a_meshed_server_with_its_identity() -> None:
    async with lab() as it:
        await shop(it, 2)
        response = await it.get("cm", WEB, l5d_client_id="forged")
        assert response.status == 200
        assert (await seen(response))["l5d-client-id"] == f"default.shop.{DOMAIN}"


async def test_an_unmeshed_client_is_served_without_identity() -> None:
    async with lab() as it:
        await shop(it)
        response = await it.get("yard/cu", WEB, l5d_client_id="forged")
        assert response.status == 200
        assert "l5d-client-id" not in await seen(response)


async def test_pods_have_addresses_of_their_own_and_are_ready_when_they_answer() -> None:
    async with lab() as it:
        await shop(it, 2)
        pods = it.mesh.cluster.list(PODS)
        assert all(map(is_ready, pods))
        addresses = [text(pod, "status", "podIP") for pod in pods]
        assert len(set(addresses)) == len(addresses)
        assert all(one.startswith("127.20.") for one in addresses)


async def test_a_service_that_comes_while_the_network_is_at_another_is_listened_for_as_well() -> None:
    async with lab() as it:
        await shop(it)
        ports: list[Json] = [
            {"name": f"p-{number}", "port": number, "targetPort": PORT} for number in range(9000, 9400)
        ]
        it.service("wide", selector={"app": "web"}, ports=ports)
        await it.plane.control.next_refresh()
        it.service("late", selector={"app": "web"})
        await it.plane.control.settled()
        address = text(it.mesh.cluster.get(SERVICES, "late", "shop"), "spec", "clusterIP")

        async def listened() -> bool:
            try:
                (await open_stream(address, FRONT)).close()
            except ConnectFailed:
                return False
            return True

        await it.until(listened, bool)


async def test_two_data_planes_beside_each_other_never_meet() -> None:
    async with lab() as one, lab() as other:
        ranges = {it.plane.addresses.pod().rpartition(".")[0] for it in (one, other)}
        assert len(ranges) == 2


async def test_the_servers_proxy_denies_what_its_policies_do_not_allow() -> None:
    async with lab() as it:
        await shop(it)
        it.apply(server("web"))
        await it.plane.settled()
        denied = await it.get("cm", WEB)
        assert (denied.status, error(denied)) == (403, "")
        it.apply(
            mesh_tls("friends", accounts=("default",)),
            authorization("a", "Server", "web", ref("MeshTLSAuthentication", "friends")),
        )
        await it.plane.settled()
        assert (await it.get("cm", WEB)).status == 200
        assert (await it.get("yard/cu", WEB)).status == 403


async def test_routes_are_followed() -> None:
    async with lab() as it:
        await shop(it)
        it.workload("other")
        it.service("other")
        it.apply(route("split", rule("other", path="/other"), port=8000))
        await it.plane.settled()
        assert (await it.get("cm", WEB, "/elsewhere")).status == 404
        answered = await it.get("cm", WEB, "/other")
        assert answered.status == 200


async def test_a_port_that_the_service_does_not_have_is_reset() -> None:
    async with lab() as it:
        await shop(it)
        with pytest.raises(ConnectionClosed):
            await it.get("cm", WEB, port=8080)


async def test_a_service_without_endpoints_fails_fast() -> None:
    async with lab() as it:
        await shop(it)
        it.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 0}})
        await it.plane.settled()
        first, second = await it.get("cm", WEB), await it.get("cm", WEB)
        assert first.status == 504
        assert error(first).endswith("service in fail-fast")
        assert second.status == 503


async def test_names_are_resolved_as_in_a_pod() -> None:
    async with lab() as it:
        it.mesh.workload("StatefulSet", "shop", "web", 2)
        it.service("web", clusterIP="None")
        it.service("away", type="ExternalName", externalName="web.shop.svc.cluster.local", selector={})
        await it.plane.settled()
        addresses = {text(pod, "status", "podIP") for pod in it.mesh.cluster.list(PODS, "shop")}
        for name in ("web", "web.shop", "web.shop.svc", WEB, f"{WEB}.", "away"):
            assert set(await it.plane.resolve(name, "shop")) == addresses, name
        (one,) = await it.plane.resolve(f"web-1.{WEB}", "yard")
        pod = it.mesh.cluster.get(PODS, "web-1", "shop")
        assert one == text(pod, "status", "podIP")
        assert await it.plane.resolve("web", "yard") == ()
        it.plane.faults.switch_on(faults.HEADLESS_ANSWERS_ALL)
        assert set(await it.plane.resolve(f"web-1.{WEB}", "yard")) == addresses
        it.plane.faults.switch_on(network_faults.DNS_FAILING, Scope(namespace="yard"))
        assert await it.plane.resolve(WEB, "yard") == ()


async def test_an_egress_network_denies_what_lies_outside() -> None:
    async with lab() as it:
        await shop(it)
        it.apply(egress("Deny"))
        await it.plane.settled()
        denied = await it.get("cm", "192.0.2.10", port=8080)
        assert (denied.status, error(denied)) == (403, "traffic not allowed")


async def test_what_answers_outside_is_reached_unless_it_is_denied() -> None:
    async with lab() as it:
        await shop(it)
        inside = it.plane.addresses.inside(it.ip("web"))
        it.plane.network.hosts["198.51.100.10"] = (inside, 8080)
        assert (await it.get("cm", "198.51.100.10", port=8080)).status == 200


async def test_the_admin_port_shows_figures_unless_a_strict_default_forbids_it() -> None:
    async with lab() as it:
        await shop(it, changes=in_pod({"config.linkerd.io/default-inbound-policy": "all-authenticated"}))
        ip = it.ip("web")
        assert (await it.get("yard/cu", ip, "/metrics", 4191)).status == 403
        assert (await it.get("yard/cu", ip, "/ready", 4191)).status == 200
        page = await it.get("cm", ip, "/metrics", 4191)
        assert page.status == 200
        assert b"control_identity_cert_expiration_timestamp_seconds" in await page.body.read()


async def test_a_network_policy_keeps_connections_from_arriving() -> None:
    policy = thing(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "no-mesh",
        {
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": 8080}]}],
        },
    )
    async with lab() as it:
        await shop(it)
        it.apply(policy)
        await it.plane.settled()
        assert (await it.get("cm", WEB)).status == 504
        assert (await it.get("yard/cu", WEB)).status == 200
        it.plane.faults.switch_on(network_faults.NETWORK_POLICIES_IGNORED)
        await it.until(lambda: it.get("cm", WEB), lambda response: response.status == 200)


async def test_a_skipped_port_goes_past_both_proxies() -> None:
    skips = {"config.linkerd.io/skip-outbound-ports": "8000", "config.linkerd.io/skip-inbound-ports": "8080"}
    async with lab() as it:
        it.workload("web", changes=in_pod(skips))
        it.workload("cm", changes=in_pod(skips))
        it.service("web")
        await it.plane.settled()
        response = await it.get("cm", WEB, l5d_client_id="forged")
        assert (await seen(response))["l5d-client-id"] == "forged"


class TestTheControlPlaneDown:
    async def test_known_targets_go_on_and_new_ones_hang_until_it_is_back(self) -> None:
        async with lab() as it:
            await shop(it)
            assert (await it.get("cm", WEB)).status == 200
            it.mesh.change("Deployment", "linkerd", "linkerd-destination", {"spec": {"replicas": 0}})
            await it.plane.settled()
            assert (await it.get("cm", WEB)).status == 200
            hanging = asyncio.create_task(it.get("cm", it.ip("web"), port=8080))
            done, _ = await asyncio.wait({hanging}, timeout=0.2)
            assert not done
            it.mesh.change("Deployment", "linkerd", "linkerd-destination", {"spec": {"replicas": 1}})
            assert (await hanging).status == 200

    async def test_new_pods_wait_for_it_and_are_ready_afterwards(self) -> None:
        async with lab() as it:
            await shop(it)
            it.plane.faults.switch_on(faults.IDENTITY_DOWN)
            it.workload("late")
            await it.plane.settled()
            (pod,) = it.mesh.cluster.list(PODS, "shop", labels="app=late")
            assert not is_ready(pod)
            it.plane.faults.clear()
            await it.until_ready("late")

    async def test_both_apis_answer_at_the_addresses_of_the_controllers_pods(self) -> None:
        async with lab(controllerReplicas=2) as it:
            await shop(it, 2)
            pods = it.mesh.cluster.list(PODS, "linkerd", labels="linkerd.io/control-plane-component=destination")
            assert len(pods) == 2
            wanted = {
                f"{text(pod, 'status', 'podIP')}:8080" for pod in it.mesh.cluster.list(PODS, "shop", labels="app=web")
            }
            for pod in pods:
                async with ProxyApi(f"{text(pod, 'status', 'podIP')}:8086", timeout=AMPLE) as api:
                    found = await api.endpoints(f"{WEB}:8000", context=context_token("shop"))
                    assert found.targets == wanted
            stale = text(pods[1], "metadata", "name")
            it.plane.faults.switch_on(faults.STALE_REPLICA, Scope(pod=stale))
            it.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 3}})
            await it.plane.settled()
            sizes = []
            for pod in pods:
                async with ProxyApi(f"{text(pod, 'status', 'podIP')}:8086", timeout=AMPLE) as api:
                    sizes.append(len((await api.endpoints(f"{WEB}:8000")).addresses))
            assert sizes == [3, 2]


class TestIdentity:
    async def test_an_expired_leaf_is_refused_while_the_pod_stays_ready(self) -> None:
        async with lab() as it:
            await shop(it)
            it.plane.faults.switch_on(faults.EXPIRED_LEAVES, Scope(pod="web"))
            await it.plane.settled()
            assert (await it.get("cm", WEB)).status >= 500
            assert all(map(is_ready, it.mesh.cluster.list(PODS, "shop")))

    async def test_a_leaf_of_another_anchor_is_refused(self) -> None:
        async with lab() as it:
            it.plane.faults.switch_on(faults.FOREIGN_ISSUER, Scope(pod="web"))
            await shop(it)
            assert (await it.get("cm", WEB)).status >= 500
            assert (await it.get("yard/cu", WEB)).status == 200

    async def test_leaves_are_renewed_in_time(self) -> None:
        async with lab(replace(QUICK, leaf_lifetime=timedelta(seconds=2))) as it:
            await shop(it)
            proxy = it.plane.proxy("web")
            first = proxy.leaf.current
            assert first is not None
            await it.until(lambda: _now(proxy.leaf.current), lambda current: current is not None and current != first)
            assert (await it.get("cm", WEB)).status == 200


class TestPods:
    async def test_a_pod_that_the_injector_overlooks_has_no_proxy(self) -> None:
        async with lab() as it:
            it.plane.faults.switch_on(network_faults.INJECTOR_OVERLOOKS, Scope(pod="web"))
            await shop(it)
            with pytest.raises(LookupError, match="no running pod 'web' with a proxy"):
                it.plane.proxy("web")
            assert "l5d-client-id" not in await seen(await it.get("cm", WEB))

    async def test_a_restart_under_way_loses_no_request(self) -> None:
        async with lab() as it:
            await shop(it, 2)
            it.mesh.restart("Deployment", "shop", "web", "again")
            statuses = [(await it.get("cm", WEB)).status for _ in range(20)]
            await it.plane.settled()
            assert set(statuses) == {200}

    async def test_a_container_that_ends_by_itself_finishes_its_job(self) -> None:
        @asynccontextmanager
        async def once(_pod: JsonObject, _inside: str, _outside: str) -> AsyncIterator[asyncio.Future[None]]:
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            yield done

        async with (
            FakeKubernetes() as kubernetes,
            SimulatedMesh(kubernetes) as mesh,
            SimulatedDataPlane(mesh, images={"job": once}, timings=QUICK) as plane,
        ):
            await mesh.install(VERSION)
            mesh.workload("Job", "shop", "job")
            await plane.settled()
            (pod,) = mesh.cluster.list(PODS, "shop")
            assert text(pod, "status", "phase") == "Succeeded"

    async def test_a_probe_that_is_denied_keeps_the_pod_unready(self) -> None:
        probe: JsonObject = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
        container: JsonObject = {"name": "app", "image": "example/web:1", "readinessProbe": probe}
        async with lab() as it:
            it.workload("web", changes=in_pod(spec={"containers": [container]}))
            await it.plane.settled()
            assert is_ready(it.mesh.cluster.list(PODS, "shop")[0])
            it.apply(
                server("web"),
                route("all", rule(), parent={"group": "policy.linkerd.io", "kind": "Server", "name": "web"}),
            )
            await it.until_ready("web", ready=False)


async def test_the_webhook_refuses_objects_that_make_no_sense() -> None:
    async with lab() as it:
        await shop(it)
        with pytest.raises(Refusal, match="exactly one of podSelector"):
            it.apply(thing("policy.linkerd.io/v1beta3", "Server", "odd", {"port": 80}))
        it.plane.faults.switch_on(faults.INVALID_ACCEPTED)
        it.apply(thing("policy.linkerd.io/v1beta3", "Server", "odd", {"port": 80}))


async def test_plain_requests_about_nothing_are_answered_as_by_linkerd() -> None:
    async with lab() as it:
        await shop(it)
        (controller,) = it.mesh.cluster.list(PODS, "linkerd", labels="linkerd.io/control-plane-component=destination")
        address = text(controller, "status", "podIP")
        async with ProxyApi(f"{address}:8086", timeout=AMPLE) as api:
            for authority, code in (
                ("nosuch.shop.svc.cluster.local:8000", "NotFound"),
                ("example.com:80", "InvalidArgument"),
            ):
                with pytest.raises(ProxyApiError) as refused:
                    await api.endpoints(authority)
                assert refused.value.code == code


async def _now(value: object) -> object:
    return value
