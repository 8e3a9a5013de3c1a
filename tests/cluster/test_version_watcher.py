"""version_watcher on a real API server, with Linkerd as real as this machine has it."""

import asyncio
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.version_watcher.metrics import METRICS
from services.version_watcher.service import serve
from services.version_watcher.settings import VersionWatcherSettings
from steward.bus.settings import BusSettings
from steward.events.versions import MeshDrifted, NewVersion
from steward.kube.client import Kube
from steward.kube.reflector import Reflector
from steward.kube.resources import RELEASE_CATALOGS
from steward.linkerd.version import Version
from steward.mesh.certificates import gather_certificates
from steward.mesh.gather import gather
from steward.resources import ReleaseCatalog
from steward.resources.base import Condition, condition_of
from steward.resources.definitions import definition
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LogSettings
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.workloads import MESHED, Fleet, Kind, Namespace, Workload, unique
from steward.testing.nats import NatsServer
from tests.services.version_watcher.running import CLUSTER, events_of
from tests.services.version_watcher.upstream import Upstream, release

OLD, NEW = "edge-26.6.3", "edge-26.8.3"
_PATIENCE = 60.0


async def test_a_mesh_that_was_really_installed_is_seen_as_it_is(linkerd: Linkerd) -> None:
    linkerd.by_helm(OLD)
    fleet = _fleet(linkerd)
    async with await Kube.connect(kubeconfig=linkerd.cluster.kubeconfig) as kube:
        inventory = await gather(kube, secrets=True)
        certificates = await gather_certificates(kube)

    control_plane = inventory.control_plane
    assert control_plane is not None
    assert (control_plane.configured, control_plane.version) == (OLD, Version.parse(OLD))
    assert inventory.ownership is not None
    assert inventory.ownership.label == "Helm"
    assert inventory.proxies()[OLD] >= sum(workload.replicas for workload in fleet.workloads)
    assert certificates.problems == ()
    assert certificates.issuer_verifies
    assert all(webhook.agree for webhook in certificates.webhooks)


async def test_a_release_and_a_drift_are_said_and_written_down(linkerd: Linkerd) -> None:
    linkerd.by_helm(OLD)
    _fleet(linkerd)
    api = linkerd.cluster.api
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    if api.find(f"{crds}/releasecatalogs.steward.linkerd.io") is None:
        api.create(crds, definition(ReleaseCatalog))
    if api.find("/api/v1/namespaces/linkerd-steward") is None:
        api.create("/api/v1/namespaces", {"metadata": {"name": "linkerd-steward"}})

    async with NatsServer() as nats, Upstream() as upstream, events_of(nats.url) as events:
        upstream.offer(edge=NEW)
        upstream.publish(release(NEW), release(OLD))
        upstream.index("2026.8.3", "2026.6.3")
        serving = asyncio.create_task(_serve(linkerd.cluster.kubeconfig, nats.url, upstream))
        try:
            (announced,) = await events.first(1)
            assert isinstance(announced.data, NewVersion)
            assert (announced.data.release, announced.data.running) == (NEW, OLD)
            async with await Kube.connect(kubeconfig=linkerd.cluster.kubeconfig) as kube:
                await _until(kube, "MeshAsExpected", "AsExpected")
                # In a thread: helm takes seconds, in which the service must renew its lease.
                await asyncio.to_thread(linkerd.by_helm, NEW)
                drifted = (await events.first(2))[1].data
                assert isinstance(drifted, MeshDrifted)
                assert "StaleProxy" in {each.kind.value for each in drifted.drifts}
        finally:
            serving.cancel()
            await asyncio.wait([serving])


async def _serve(kubeconfig: Path, nats: str, upstream: Upstream) -> None:
    settings = VersionWatcherSettings(
        bus=BusSettings(servers=(nats,), cluster=CLUSTER),
        cluster=ClusterSettings(kubeconfig=kubeconfig),
        log=LogSettings(level="warning"),
        version_watcher=upstream.group(drift_quiet=timedelta(seconds=1), drift_at_most=timedelta(seconds=30)),
    )
    async with lent("version-watcher", settings, METRICS, registry=CollectorRegistry(), health=Health()) as chassis:
        await serve(chassis, identity=unique("watcher"))


async def _until(kube: Kube, type_: str, reason: str) -> Condition:
    """Follow the catalog until a condition has that reason."""
    written = asyncio.Event()
    catalogs = Reflector(kube, RELEASE_CATALOGS, trim=ReleaseCatalog.of, on_change=lambda *_: written.set())
    following = asyncio.create_task(catalogs.run())
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                written.clear()
                catalog = catalogs.get("default")
                found = condition_of(catalog.status.conditions, type_) if catalog and catalog.status else None
                if found is not None and found.reason == reason:
                    return found
                await written.wait()
    finally:
        following.cancel()
        await asyncio.wait([following])


def _fleet(linkerd: Linkerd) -> Fleet:
    namespace = unique("watched")
    workloads = tuple(Workload(kind, namespace, kind.value.lower()) for kind in (Kind.DEPLOYMENT, Kind.STATEFUL_SET))
    fleet = Fleet((Namespace(namespace, MESHED),), workloads)
    fleet.create(linkerd.cluster.api)
    fleet.until_ready(linkerd.cluster.api)
    return fleet
