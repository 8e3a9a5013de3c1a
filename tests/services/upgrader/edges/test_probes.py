"""What gates look at, on a simulated mesh with everything that can be wrong with an injector."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from services.upgrader.core.observations import InjectionsSeen, KubernetesSeen, Unseen
from services.upgrader.edges.assembled import AssembledEdges, Surroundings, assembled
from services.upgrader.edges.tooling import Sources
from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube, KubeOptions
from steward.kube.resources import CONFIG_MAPS, NAMESPACES, PODS
from steward.kube.retries import RetryPolicy
from steward.linkerd.certificates import CertificateInventory
from steward.linkerd.ownership import Ownership
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import InstallMethod
from steward.testing.kubernetes.faults import Refuse
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.simulation.faults import InjectorFault

NEW = Version.parse("edge-26.8.3")


class World:
    """The mesh, and edges that look at it."""

    def __init__(self, kubernetes: FakeKubernetes, mesh: SimulatedMesh, edges: AssembledEdges, kube: Kube) -> None:
        self.kubernetes = kubernetes
        self.mesh = mesh
        self.probes = edges.probes
        self.kube = kube

    async def injections(self, *namespaces: str) -> InjectionsSeen:
        seen = await self.probes.injections(namespaces)
        assert isinstance(seen, InjectionsSeen), seen
        return seen


@pytest_asyncio.fixture
async def world(fake_kubernetes: FakeKubernetes, tmp_path: Path) -> AsyncIterator[World]:
    options = KubeOptions(retry=RetryPolicy(attempts=2, first=timedelta(milliseconds=1)))
    around = Surroundings(Path("/nonexistent/helm"), tmp_path / "work", Sources(tmp_path / "artifacts"))
    async with SimulatedMesh(fake_kubernetes) as mesh:
        await mesh.install("edge-26.6.3")
        mesh.namespace("shop")
        mesh.namespace("bank")
        async with (
            await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), options=options) as kube,
            assembled(kube, SystemClock(), around) as edges,
        ):
            yield World(fake_kubernetes, mesh, edges, kube)


async def test_a_healthy_injector_gives_the_proxy_and_the_trust_that_are_expected(world: World) -> None:
    seen = await world.injections("shop", "bank")
    assert [probe.namespace for probe in seen.probes] == ["shop", "bank"]
    for probe in seen.probes:
        assert (probe.admitted, probe.proxy) == (True, True)
        assert probe.version == seen.expected_version == "edge-26.6.3"
        assert probe.trust == seen.expected_trust != ""
    assert (await world.kube.list(PODS, "shop")).items == [], "a dry run leaves nothing behind"


async def test_no_namespace_is_no_probe(world: World) -> None:
    assert (await world.injections()).probes == ()


@pytest.mark.parametrize("fault", [InjectorFault.DOWN, InjectorFault.BAD_CERTIFICATE])
async def test_an_injector_that_fails_open_leaves_pods_without_a_proxy(world: World, fault: InjectorFault) -> None:
    world.mesh.faults.injector = fault
    (probe,) = (await world.injections("shop")).probes
    assert (probe.admitted, probe.proxy) == (True, False)
    assert "gave it no proxy" in probe.message


async def test_another_trust_bundle_is_seen(world: World) -> None:
    world.mesh.faults.injector = InjectorFault.FOREIGN_BUNDLE
    seen = await world.injections("shop")
    assert seen.probes[0].proxy
    assert seen.probes[0].trust != seen.expected_trust


async def test_a_namespace_that_fixed_its_own_version_proves_nothing(world: World) -> None:
    pin: JsonObject = {"metadata": {"annotations": {"config.linkerd.io/proxy-version": "edge-26.1.1"}}}
    await world.kube.merge(NAMESPACES, "bank", pin)
    assert [probe.namespace for probe in (await world.injections("shop", "bank")).probes] == ["shop"]


async def test_a_refused_pod_and_an_absent_namespace_are_said(world: World) -> None:
    world.kubernetes.faults.add(Refuse(403, "Forbidden", "exceeded quota: pods"), path="namespaces/shop/pods")
    refused, absent = (await world.injections("shop", "nowhere")).probes
    assert (refused.admitted, refused.message) == (False, "exceeded quota: pods")
    assert (absent.admitted, absent.proxy) == (False, False)
    assert "not found" in absent.message


async def test_a_webhook_that_must_answer_and_does_not_is_a_refusal(world: World) -> None:
    message = 'Internal error occurred: failed calling webhook "linkerd-proxy-injector.linkerd.io": x509'
    world.kubernetes.faults.add(Refuse(500, "InternalError", message), path="namespaces/shop/pods", times=None)
    (probe,) = (await world.injections("shop")).probes
    assert not probe.admitted
    assert "failed calling webhook" in probe.message


async def test_trouble_with_the_api_server_says_nothing_of_the_injector(world: World) -> None:
    world.kubernetes.faults.add(Refuse(503, "ServiceUnavailable", "away"), path="namespaces/shop/pods", times=None)
    seen = await world.probes.injections(["shop", "bank"])
    assert isinstance(seen, Unseen)
    assert (seen.reason, seen.transient) == ("ApiServerUnavailable", True)


async def test_without_linkerd_config_nothing_can_be_expected(world: World) -> None:
    await world.kube.delete(CONFIG_MAPS, "linkerd-config", "linkerd")
    seen = await world.probes.injections(["shop"])
    assert isinstance(seen, Unseen)
    assert seen.reason == "NoConfig"


async def test_certificates_owner_and_server_are_seen(world: World) -> None:
    certificates = await world.probes.certificates()
    assert isinstance(certificates, CertificateInventory)
    assert certificates.problems == ()
    assert all(webhook.agree for webhook in certificates.webhooks)
    owner = await world.probes.ownership()
    assert isinstance(owner, Ownership)
    assert owner.method is InstallMethod.CLI
    assert await world.probes.kubernetes(NEW) == KubernetesSeen("v1.36.3", "")


async def test_every_look_survives_an_api_server_in_trouble(world: World) -> None:
    world.kubernetes.faults.add(Refuse(500, "InternalError", "etcd is away"), times=None)
    for seen in (
        await world.probes.certificates(),
        await world.probes.ownership(),
        await world.probes.kubernetes(NEW),
        await world.probes.injections(["shop"]),
    ):
        assert isinstance(seen, Unseen)
        assert seen.transient


async def test_a_work_folder_that_others_may_write_to_is_refused(kube: Kube, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o777)
    around = Surroundings(Path("/nonexistent/helm"), tmp_path / "work")
    with pytest.raises(ConfigurationError, match="may be written to by others"):
        async with assembled(kube, SystemClock(), around):
            pass
