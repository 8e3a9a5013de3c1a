"""The whole service beside a real Prometheus, a real Alertmanager and a real NATS server, on a fake Kubernetes API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import yaml
from prometheus_client import CollectorRegistry
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools

from services.alerting.metrics import METRICS
from services.alerting.service import serve
from services.alerting.settings import (
    AlertingGroup,
    AlertingSettings,
    AlertmanagerSettings,
    FilesSettings,
    PrometheusSettings,
    TempoSettings,
    WebhookSettings,
)
from steward.bus.settings import BusSettings
from steward.jsonvalue import JsonObject
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, CRDS, NAMESPACES, SECRETS, SERVICES, Resource
from steward.resources import KINDS
from steward.resources.alert_channel import AlertChannel
from steward.resources.alert_policy import AlertPolicy
from steward.resources.base import Condition, condition_of
from steward.resources.definitions import definition
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd_pages.synthetic import SyntheticLinkerd
from steward.testing.nats import NatsServer, free_ports

PATIENCE = 90.0
CLUSTER = "testing"
HOME = "linkerd-steward"
T = TypeVar("T")
NOTHING_YET = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
"""What an Alertmanager starts with, before the service has written anything."""


@dataclass
class Replica:
    """One running copy of the service."""

    task: asyncio.Task[None]
    registry: CollectorRegistry

    async def stop(self) -> None:
        """End it as a signal would, and wait."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=PATIENCE)

    def sample(self, name: str, **labels: str) -> float | None:
        """A metric of its own."""
        return self.registry.get_sample_value(f"steward_alerting_{name}", labels)


@dataclass
class World:
    """Everything around the service."""

    kubernetes: FakeKubernetes
    nats: NatsServer
    prometheus: Prometheus
    alertmanager: Alertmanager
    folder: Path
    port: int
    token: Path

    def group(self) -> AlertingGroup:
        """Settings for delivery by files, quick about everything."""
        return AlertingGroup(
            prometheus=PrometheusSettings(url=self.prometheus.url),
            alertmanager=AlertmanagerSettings(url=self.alertmanager.url),
            files=FilesSettings(
                rules=self.folder / "rules",
                alertmanager=self.folder / "alertmanager",
                secrets=self.folder / "secrets",
                good=self.folder / "good",
            ),
            webhook=WebhookSettings(port=self.port, token_file=self.token),
            tempo=TempoSettings(
                settle=timedelta(milliseconds=100),
                look_again=timedelta(seconds=1),
                begin_again=timedelta(milliseconds=200),
                refresh=timedelta(seconds=1),
                ends_after=timedelta(seconds=10),
            ),
        )

    def start(self, group: AlertingGroup | None = None) -> Replica:
        """Start a replica."""
        registry = CollectorRegistry()
        settings = AlertingSettings(
            bus=BusSettings(
                servers=(self.nats.url,),
                cluster=CLUSTER,
                publish_deadline=timedelta(seconds=2),
                drain_deadline=timedelta(seconds=1),
            ),
            cluster=ClusterSettings(kubeconfig=self.kubernetes.kubeconfig()),
            lease=LeaseSettings(duration=timedelta(seconds=2)),
            log=LogSettings(level="error"),
            alerting=group or self.group(),
        )
        return Replica(asyncio.create_task(_run(settings, registry)), registry)

    @asynccontextmanager
    async def running(self, group: AlertingGroup | None = None) -> AsyncIterator[Replica]:
        """A replica for the length of a block; what it died of is raised."""
        replica = self.start(group)
        try:
            yield replica
        finally:
            await replica.stop()
            if not replica.task.cancelled():
                replica.task.result()

    def policy(self, name: str, spec: JsonObject, namespace: str = "shop") -> None:
        """Make an AlertPolicy, or give it another spec."""
        self._put(ALERT_POLICIES, namespace, name, {"spec": spec})

    def channel(self, name: str, spec: JsonObject, namespace: str = HOME) -> None:
        """Make an AlertChannel, or give it another spec."""
        self._put(ALERT_CHANNELS, namespace, name, {"spec": spec})

    def secret(self, name: str, values: Mapping[str, str], namespace: str = HOME) -> None:
        """Make a Secret."""
        self._put(SECRETS, namespace, name, {"stringData": dict(values)})

    def service(self, name: str, namespace: str = "shop", annotations: Mapping[str, str] | None = None) -> None:
        """Make a Service with one HTTP port."""
        self._put(
            SERVICES,
            namespace,
            name,
            {"spec": {"ports": [{"name": "http", "port": 8080}], "selector": {"app": name}}},
            annotations,
        )

    def delete(self, resource: Resource, name: str, namespace: str) -> None:
        """Take an object away."""
        self.kubernetes.cluster.delete(resource, name, namespace)

    def find_policy(self, name: str, namespace: str = "shop") -> AlertPolicy:
        """As it is at this moment."""
        return AlertPolicy.of(self.kubernetes.cluster.get(ALERT_POLICIES, name, namespace))

    def find_channel(self, name: str, namespace: str = HOME) -> AlertChannel:
        """As it is at this moment."""
        return AlertChannel.of(self.kubernetes.cluster.get(ALERT_CHANNELS, name, namespace))

    async def policy_says(self, name: str, kind: str, reason: str, namespace: str = "shop") -> Condition:
        """Wait until a condition of the policy's own generation has that reason."""

        def holds() -> Condition | None:
            policy = self.find_policy(name, namespace)
            found = condition_of(policy.status.conditions, kind) if policy.status else None
            current = found is not None and found.observed_generation == policy.metadata.generation
            return found if found is not None and current and found.reason == reason else None

        return await self._until(
            holds, lambda: f"{name}: {kind} never was {reason}: {self.find_policy(name, namespace)}"
        )

    async def channel_says(self, name: str, reason: str, namespace: str = HOME) -> Condition:
        """Wait until the channel says of being in force what it should."""

        def holds() -> Condition | None:
            channel = self.find_channel(name, namespace)
            found = condition_of(channel.status.conditions, "InForce") if channel.status else None
            current = found is not None and found.observed_generation == channel.metadata.generation
            return found if found is not None and current and found.reason == reason else None

        return await self._until(holds, lambda: f"{name} never was {reason}: {self.find_channel(name, namespace)}")

    async def _until(self, holds: Callable[[], T | None], otherwise: Callable[[], str]) -> T:
        """Look after every write."""
        written = asyncio.Event()
        self.kubernetes.on_write(lambda _: written.set())
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    written.clear()
                    found = holds()
                    if found is not None:
                        return found
                    await written.wait()
        except TimeoutError:
            raise AssertionError(otherwise()) from None

    def _put(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: JsonObject,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        metadata: JsonObject = {"name": name, "namespace": namespace}
        if annotations:
            metadata["annotations"] = dict(annotations)
        cluster = self.kubernetes.cluster
        if cluster.find(NAMESPACES, namespace) is None:
            cluster.create(NAMESPACES, {"metadata": {"name": namespace}})
        found = cluster.find(resource, name, namespace)
        whole: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}
        if found is None:
            cluster.create(resource, whole)
        else:
            cluster.replace(resource, {**yaml.safe_load(yaml.safe_dump(found)), **body})


@asynccontextmanager
async def world(tools: MonitoringTools, folder: Path, mesh: SyntheticLinkerd | None = None) -> AsyncIterator[World]:
    """A cluster without policies; `mesh` is what Prometheus scrapes, and has to run already."""
    rules, configuration = folder / "rules", folder / "alertmanager" / "alertmanager.yml"
    rules.mkdir(parents=True)
    configuration.parent.mkdir()
    configuration.write_text(NOTHING_YET)
    token = folder / "token"
    token.write_text("agreed\n")
    async with AsyncExitStack() as stack:
        kubernetes = await stack.enter_async_context(FakeKubernetes())
        nats = await stack.enter_async_context(NatsServer())
        alertmanager = await stack.enter_async_context(Alertmanager(tools, configuration))
        options = PrometheusOptions(document=configuration(mesh, rules, alertmanager.url))
        prometheus = await stack.enter_async_context(Prometheus(tools, options))
        for kind in KINDS:
            kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(definition(kind))))
        for name in (HOME, "shop", "linkerd"):
            kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": name}})
        port = free_ports(1)[0]
        yield World(kubernetes, nats, prometheus, alertmanager, folder, port, token)


def configuration(mesh: SyntheticLinkerd | None, rules: Path, alertmanager: str, prefix: str = "") -> str:
    """A Prometheus that scrapes every page of the mesh with the labels that its job would have in a cluster."""
    scrapes = mesh.scrapes(prefix=prefix) if mesh is not None else ()
    document: JsonObject = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{rules}/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]},
        "scrape_configs": [
            {
                "job_name": scrape.job,
                "static_configs": [
                    {
                        "targets": [mesh.address if mesh is not None else ""],
                        "labels": {"__metrics_path__": path, "instance": path, **labels},
                    }
                    for path, labels in scrape.targets
                ],
            }
            for scrape in scrapes
        ],
    }
    return yaml.safe_dump(document)


async def _run(settings: AlertingSettings, registry: CollectorRegistry) -> None:
    async with lent("alerting", settings, METRICS, registry=registry, health=Health()) as chassis:
        await serve(chassis)
