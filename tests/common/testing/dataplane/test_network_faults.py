"""Every way in which the network and the control plane can be broken shows in what a client sees."""

import asyncio
from datetime import timedelta

import pytest

from steward.jsonvalue import JsonObject, rows, text, whole
from steward.kube.resources import PODS
from steward.testing.dataplane import network_faults
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.discovery import Asked
from steward.testing.dataplane.faults import Fault, Scope
from steward.testing.dataplane.proxy.exchange import Response
from steward.testing.linkerd.mesh import in_pod
from steward.testing.linkerd.simulation.pods import is_ready
from tests.common.testing.dataplane.lab import PORT, Lab, lab, seen, told

WEB = "web.shop.svc.cluster.local"


async def shop(it: Lab, *, web: JsonObject | None = None, cm: JsonObject | None = None) -> None:
    it.workload("web", changes=web)
    it.workload("cm", changes=cm)
    it.workload("cu", namespace="yard")
    it.service("web")
    await it.plane.settled()


async def identified(response: Response) -> bool:
    """Whether the server's proxy told the application who asks."""
    return "l5d-client-id" in await seen(response)


@pytest.mark.parametrize(
    ("fault", "scope"),
    [
        (network_faults.REDIRECTION_BROKEN, Scope(pod="cm")),
        (faults.NO_IDENTITY_OF_ENDPOINTS, Scope(pod="web")),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else value.pod,
)
async def test_traffic_loses_its_identity(fault: Fault, scope: Scope) -> None:
    async with lab() as it:
        await shop(it)
        assert await identified(await it.get("cm", WEB))
        it.plane.faults.switch_on(fault, scope)
        await it.until(lambda: _identified(it), lambda known: not known)


async def test_a_pod_whose_redirection_is_broken_is_reached_past_its_proxy() -> None:
    async with lab() as it:
        await shop(it)
        it.plane.faults.switch_on(network_faults.INBOUND_REDIRECTION_BROKEN, Scope(pod="web"))
        forged = await it.get("yard/cu", WEB, l5d_client_id="forged")
        assert (await seen(forged))["l5d-client-id"] == "forged"
        # The proxies of others connect to what the proxy itself listens on.
        assert await identified(await it.get("cm", WEB))


async def test_a_skipped_port_may_be_caught_all_the_same() -> None:
    skips = in_pod({"config.linkerd.io/skip-outbound-ports": "8000", "config.linkerd.io/skip-inbound-ports": "8080"})
    async with lab() as it:
        await shop(it, web=skips, cm=skips)
        forged = await it.get("cm", WEB, l5d_client_id="forged")
        assert (await seen(forged))["l5d-client-id"] == "forged"
        it.plane.faults.switch_on(network_faults.SKIPPED_PORTS_CAUGHT)
        caught = await it.get("cm", WEB, l5d_client_id="forged")
        assert "forged" not in (await seen(caught)).values()


async def test_a_subnet_may_be_skipped_too() -> None:
    async with lab() as it:
        await shop(it, cm=in_pod({"config.linkerd.io/skip-subnets": "127.22.0.0/16"}))
        assert not await identified(await it.get("cm", WEB))


async def test_a_pod_that_is_cut_off_reaches_nobody_and_then_does() -> None:
    async with lab() as it:
        await shop(it)
        it.plane.faults.switch_on(network_faults.PARTITIONED, Scope(pod="cm"))
        assert (await it.get("cm", WEB)).status == 504
        assert (await it.get("yard/cu", WEB)).status == 200
        it.plane.faults.clear()
        await it.until(lambda: it.get("cm", WEB), lambda response: response.status == 200)


async def test_a_pod_may_take_its_time_until_it_is_ready() -> None:
    async with lab() as it:
        it.plane.faults.switch_on(network_faults.SLOW_START, Scope(pod="web"), delay=timedelta(seconds=60))
        it.workload("web")
        it.workload("cm")
        await it.until_ready("cm")
        (pod,) = it.mesh.cluster.list(PODS, "shop", labels="app=web")
        assert not is_ready(pod)


@pytest.mark.parametrize(
    ("fault", "cni", "container"),
    [
        (network_faults.INIT_FAILING, False, "linkerd-init"),
        (network_faults.CNI_PLUGIN_MISSING, True, "linkerd-network-validator"),
    ],
    ids=["linkerd-init", "the CNI plugin"],
)
async def test_new_pods_of_a_node_where_nobody_redirects_them_wait_until_somebody_does(
    fault: Fault, cni: bool, container: str
) -> None:
    async with lab(cniEnabled=cni) as it:
        it.plane.faults.switch_on(fault, Scope(node="node-1"))
        for number in range(2):
            place = in_pod(spec={"nodeSelector": {"kubernetes.io/hostname": f"node-{number}"}})
            it.workload(f"web-{number}", changes=place)
        await it.until_ready("web-0")
        await it.plane.settled()
        (pod,) = it.mesh.cluster.list(PODS, "shop", labels="app=web-1")
        assert text(pod, "spec", "nodeName") == "node-1"
        assert not is_ready(pod)
        statuses = rows(pod, "status", "initContainerStatuses")
        ended = {text(one, "name"): whole(one, "lastState", "terminated", "exitCode") for one in statuses}
        assert ended.pop(container) > 0
        assert set(ended.values()) == {0}
        it.plane.faults.clear()
        await it.until_ready("web-1")


async def test_a_pod_that_selects_a_node_that_is_not_there_is_not_scheduled() -> None:
    async with lab() as it:
        it.workload("web", changes=in_pod(spec={"nodeSelector": {"kubernetes.io/hostname": "node-9"}}))
        await it.plane.settled()
        (pod,) = it.mesh.cluster.list(PODS, "shop", labels="app=web")
        assert text(pod, "spec", "nodeName") == ""
        assert text(rows(pod, "status", "conditions")[0], "reason") == "Unschedulable"


async def test_dns_may_forget_single_pods() -> None:
    async with lab() as it:
        it.mesh.workload("StatefulSet", "shop", "web", 1)
        it.service("web", clusterIP="None")
        await it.plane.settled()
        it.plane.faults.switch_on(network_faults.DNS_FORGETS_PODS)
        assert await it.plane.resolve(f"web-0.{WEB}", "shop") == ()
        assert len(await it.plane.resolve(WEB, "shop")) == 1


async def test_dns_may_know_names_that_nobody_has() -> None:
    async with lab() as it:
        await shop(it)
        assert await it.plane.resolve("nobody.shop", "shop") == ()
        it.plane.faults.switch_on(network_faults.DNS_WILDCARD)
        assert len(await it.plane.resolve("nobody.shop", "shop")) == 1
        assert (await it.get("cm", WEB)).status == 200


async def test_what_is_sent_to_one_pod_may_arrive_at_another_one() -> None:
    async with lab() as it:
        it.workload("web", 2)
        it.workload("cm")
        it.workload("cu", namespace="yard")
        await it.plane.settled()
        pods = it.mesh.cluster.list(PODS, "shop", labels="app=web")
        addresses = {text(pod, "metadata", "name"): text(pod, "status", "podIP") for pod in pods}

        async def answers_for_itself(pod: str) -> bool:
            return await told(await it.get("yard/cu", addresses[pod], port=PORT), "pod") == pod

        assert [await answers_for_itself(pod) for pod in addresses] == [True, True]
        it.plane.faults.switch_on(network_faults.ADDRESSES_CROSSED, Scope(pod="web"))
        assert [await answers_for_itself(pod) for pod in addresses] == [False, False]


async def test_requests_to_pods_without_a_proxy_may_lose_their_query() -> None:
    async with lab() as it:
        await shop(it)
        it.workload("other", namespace="yard")
        it.service("other", namespace="yard")
        await it.plane.settled()
        it.plane.faults.switch_on(network_faults.QUERIES_LOST)
        for client in ("yard/cu", "cm"):
            assert await told(await it.get(client, "other.yard", "/a?b=c"), "path") == "/a"
        assert await told(await it.get("cm", WEB, "/a?b=c"), "path") == "/a?b=c"


async def test_a_port_that_the_service_does_not_have_may_be_open() -> None:
    async with lab() as it:
        await shop(it)
        it.plane.faults.switch_on(faults.UNDEFINED_PORT_OPEN)
        assert (await it.get("cm", WEB, port=8080)).status == 200


async def test_a_policy_controller_that_is_down_lets_new_targets_hang() -> None:
    async with lab() as it:
        await shop(it)
        it.plane.faults.switch_on(faults.POLICY_DOWN)
        hanging = asyncio.create_task(it.get("cm", WEB))
        done, _ = await asyncio.wait({hanging}, timeout=0.2)
        assert not done
        it.plane.faults.clear()
        assert (await hanging).status == 200


async def test_a_leaf_that_is_not_renewed_expires_and_stays_so() -> None:
    async with lab() as it:
        await shop(it)
        leaf = it.plane.proxy("web", "shop").leaf
        before = leaf.current
        it.plane.faults.switch_on(faults.NO_RENEWAL)
        assert leaf.current == before


async def test_local_traffic_stays_on_its_node_unless_the_control_plane_forgets() -> None:
    async with lab() as it:
        it.mesh.workload("DaemonSet", "shop", "web")
        it.workload("cm")
        it.service("web", internalTrafficPolicy="Local")
        await it.plane.settled()
        place = it.plane.proxy("cm").place
        asked = Asked("web", "shop", 8000)
        (only,) = it.plane.control.directory.endpoints(asked, place)
        assert only.node == place.node
        assert await it.served_by("cm", WEB) == dict(only.labels)["pod"]
        it.plane.faults.switch_on(faults.LOCAL_POLICY_IGNORED)
        assert len(it.plane.control.directory.endpoints(asked, place)) == 2


async def _identified(it: Lab) -> bool:
    return await identified(await it.get("cm", WEB))
