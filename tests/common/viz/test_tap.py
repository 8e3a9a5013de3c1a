"""Tap by way of the API server: what is heard, and how it is told that nothing will be."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from steward.jsonvalue import rows, text
from steward.kube.client import Kube
from steward.kube.resources import API_SERVICES
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.viz.extension import SimulatedViz, trust_another
from steward.viz.events import TapRefused
from steward.viz.framing import Malformed, messages, payload
from steward.viz.tap import API_SERVICE, Target, tap

_WATCH = Rule(("watch",), ("tap.linkerd.io",), ("deployments/tap",))
_READ = Rule(("get",), ("apiregistration.k8s.io",), ("apiservices",))


@asynccontextmanager
async def _viz(*rules: Rule) -> AsyncIterator[tuple[Kube, SimulatedDataPlane]]:
    """Somebody with these rights, on a mesh with the extension."""
    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh, SimulatedDataPlane(mesh) as plane:
        await mesh.install("edge-26.8.3")
        await plane.settled()
        async with (
            SimulatedViz(plane),
            await Kube.connect(kubeconfig=kubernetes.add_user("token", "somebody", rules)) as kube,
        ):
            yield kube, plane


async def _refusal(kube: Kube, target: Target) -> tuple[int, str]:
    with pytest.raises(TapRefused) as caught:
        async with aclosing(tap(kube, target)) as events:
            await anext(events)
    return caught.value.status, caught.value.message


async def test_without_the_right_the_api_server_refuses() -> None:
    async with _viz(Rule(("get",), ("tap.linkerd.io",))) as (kube, _):
        status, message = await _refusal(kube, Target("shop", "web"))
    assert status == 403
    assert 'cannot watch resource "deployments/tap" in API group "tap.linkerd.io" in the namespace "shop"' in message


async def test_where_nobody_can_be_tapped_tap_says_why() -> None:
    async with _viz(_WATCH) as (kube, plane):
        assert await _refusal(kube, Target("shop", "web")) == (200, "no pods to tap for deployment/web\n")
        plane.mesh.change("Deployment", "linkerd-viz", "tap-injector", {"spec": {"replicas": 0}})
        await plane.settled()
        plane.mesh.workload("Deployment", "shop", "web")
        await plane.settled()
        status, message = await _refusal(kube, Target("shop", "web"))
    assert status == 200
    assert "1 pods found with tap not enabled" in message


async def test_without_the_extension_there_is_nothing_to_ask() -> None:
    async with _viz(_WATCH) as (kube, plane):
        plane.mesh.delete(API_SERVICES, API_SERVICE)
        status, _ = await _refusal(kube, Target("shop", "web"))
    assert status == 404


async def _available(kube: Kube) -> tuple[str, str]:
    (condition,) = rows(await kube.get(API_SERVICES, API_SERVICE), "status", "conditions")
    return text(condition, "status"), text(condition, "reason")


async def test_a_certificate_that_the_api_server_does_not_trust_makes_tap_unavailable() -> None:
    async with _viz(_WATCH, _READ) as (kube, plane):
        assert (await _refusal(kube, Target("shop", "web")))[0] == 200
        assert await _available(kube) == ("True", "Passed")
        trust_another(plane.mesh)
        assert await _refusal(kube, Target("shop", "web")) == (503, "service unavailable")
        assert await _available(kube) == ("False", "FailedDiscoveryCheck")


async def test_without_a_pod_of_tap_it_is_unavailable_until_there_is_one() -> None:
    async with _viz(_WATCH, _READ) as (kube, plane):
        for replicas, status, available in ((0, 503, ("False", "MissingEndpoints")), (1, 200, ("True", "Passed"))):
            plane.mesh.change("Deployment", "linkerd-viz", "tap", {"spec": {"replicas": replicas}})
            await plane.settled()
            assert (await _refusal(kube, Target("shop", "web")))[0] == status
            assert await _available(kube) == available


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_messages_are_whole_however_their_bytes_arrive() -> None:
    sent = payload(b"one") + payload(b"") + payload(b"three")
    for size in (1, 2, 5, len(sent)):
        parts = [sent[at : at + size] for at in range(0, len(sent), size)]
        assert [message async for message in messages(_chunks(*parts))] == [b"one", b"", b"three"]


async def test_a_message_that_breaks_off_is_left_out() -> None:
    assert [message async for message in messages(_chunks(payload(b"one"), payload(b"two")[:-1]))] == [b"one"]


async def test_a_length_that_no_message_has_ends_it() -> None:
    with pytest.raises(Malformed):
        [message async for message in messages(_chunks(b"<html>welcome</html>"))]
