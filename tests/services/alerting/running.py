"""The whole service beside a real Prometheus, a real Alertmanager and a real NATS server, on a fake Kubernetes API."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import aiohttp
import yaml
from prometheus_client import CollectorRegistry, start_http_server

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
from steward.alerting.rules import seconds
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.events.alerts import AlertFiring, AlertResolved
from steward.events.base import Envelope, Event, enclose
from steward.events.subjects import subject_filter
from steward.jsonvalue import Json, JsonObject, text
from steward.kube.mesh_resources import SERVICE_PROFILES
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, CRDS, NAMESPACES, SECRETS, SERVICES, Resource
from steward.resources import KINDS
from steward.resources.alert_channel import AlertChannel
from steward.resources.alert_policy import AlertPolicy
from steward.resources.base import Condition, condition_of
from steward.resources.definitions import definition
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.deletion import Undertaker
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd_pages.synthetic import SyntheticLinkerd
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from steward.testing.nats import NatsServer, free_ports

PATIENCE = 90.0
CLUSTER = "testing"
HOME = "linkerd-steward"
T = TypeVar("T")
E = TypeVar("E", bound=Event)
ALERTING: JsonObject = {"namespace": HOME, "service": "linkerd-steward-alerting", "container": "alerting"}
NOTHING_YET = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
"""What an Alertmanager starts with, before the service has written anything."""


@dataclass
class Replica:
    """One running copy of the service."""

    task: asyncio.Task[None]
    registry: CollectorRegistry
    shut: Callable[[], None]

    async def stop(self) -> None:
        """End it as a signal would, and wait."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=PATIENCE)
        if self.task.done() and not self.task.cancelled():
            self.task.exception()
        self.shut()

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
    metrics_port: int
    token: Path
    kubeconfig: Path | None = None
    """Whose rights the service has; by default all."""
    lease: timedelta = timedelta(seconds=2)
    """How long one that nobody renews lasts."""

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
                reread=timedelta(seconds=1),
                compare=timedelta(seconds=5),
            ),
        )

    def start(self, group: AlertingGroup | None = None, *, level: str = "error", nats: str = "") -> Replica:
        """Start a replica; `nats` is another way to NATS."""
        registry = CollectorRegistry()
        settings = AlertingSettings(
            bus=BusSettings(
                servers=(nats or self.nats.url,),
                cluster=CLUSTER,
                publish_deadline=timedelta(seconds=2),
                drain_deadline=timedelta(seconds=1),
            ),
            cluster=ClusterSettings(kubeconfig=self.kubeconfig or self.kubernetes.kubeconfig()),
            lease=LeaseSettings(duration=self.lease),
            log=LogSettings(level=level),
            alerting=group or self.group(),
        )
        server, thread = start_http_server(self.metrics_port, "127.0.0.1", registry)

        def shut() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return Replica(asyncio.create_task(_run(settings, registry)), registry, shut)

    @asynccontextmanager
    async def running(self, group: AlertingGroup | None = None, *, level: str = "error") -> AsyncIterator[Replica]:
        """A replica for the length of a block; what it died of is raised."""
        replica = self.start(group, level=level)
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
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self._put(SECRETS, namespace, name, {"data": dict(encoded)})

    def put_secret(self, name: str, body: JsonObject, namespace: str = HOME) -> None:
        """Make a Secret of anything."""
        self._put(SECRETS, namespace, name, body)

    def service(self, name: str, namespace: str = "shop", annotations: Mapping[str, str] | None = None) -> None:
        """Make a Service with one HTTP port."""
        self._put(
            SERVICES,
            namespace,
            name,
            {"spec": {"ports": [{"name": "http", "port": 8080}], "selector": {"app": name}}},
            annotations,
        )

    def install(self, resource: Resource) -> None:
        """Make a kind known, whatever its objects say."""
        schema: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version: JsonObject = {
            "name": resource.version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        spec: JsonObject = {
            "group": resource.group,
            "names": {"plural": resource.plural, "kind": resource.kind},
            "scope": "Namespaced",
            "versions": [version],
        }
        name = f"{resource.plural}.{resource.group}"
        self.kubernetes.cluster.create(CRDS, {"metadata": {"name": name}, "spec": spec})

    def profile(self, name: str, routes: Iterable[str], namespace: str = "shop") -> None:
        """Make a ServiceProfile, or give it other routes."""
        written: list[Json] = [{"name": each, "condition": {"pathRegex": "/.*"}} for each in routes]
        self._put(SERVICE_PROFILES, namespace, name, {"spec": {"routes": written}})

    async def scrape_also(self, jobs: Sequence[JsonObject]) -> None:
        """Have Prometheus scrape more."""
        itself = (self.prometheus.address, self.alertmanager.address, f"127.0.0.1:{self.metrics_port}")
        document = scraping(None, self.folder / "rules", itself, more=jobs)
        self.prometheus.configure(PrometheusOptions(document=document))
        await self.prometheus.reload()

    def delete(self, resource: Resource, name: str, namespace: str) -> None:
        """Take an object away."""
        Undertaker(self.kubernetes.cluster).delete(resource, name, namespace)

    def find_policy(self, name: str, namespace: str = "shop") -> AlertPolicy:
        """As it is at this moment."""
        return AlertPolicy.of(self.kubernetes.cluster.get(ALERT_POLICIES, name, namespace))

    def find_channel(self, name: str, namespace: str = HOME) -> AlertChannel:
        """As it is at this moment."""
        return AlertChannel.of(self.kubernetes.cluster.get(ALERT_CHANNELS, name, namespace))

    async def policy_says(
        self, name: str, kind: str, reason: str, namespace: str = "shop", *, saying: str = ""
    ) -> Condition:
        """Wait until a condition of the policy's own generation has that reason, and says that."""

        def holds() -> Condition | None:
            policy = self.find_policy(name, namespace)
            found = condition_of(policy.status.conditions, kind) if policy.status else None
            current = found is not None and found.observed_generation == policy.metadata.generation
            said = found is not None and current and found.reason == reason and saying in found.message
            return found if said else None

        return await self._until(
            holds, lambda: f"{name}: {kind} never was {reason}: {self.find_policy(name, namespace)}"
        )

    async def channel_says(self, name: str, reason: str, namespace: str = HOME, *, saying: str = "") -> Condition:
        """Wait until the channel says of being in force what it should."""

        def holds() -> Condition | None:
            channel = self.find_channel(name, namespace)
            found = condition_of(channel.status.conditions, "InForce") if channel.status else None
            current = found is not None and found.observed_generation == channel.metadata.generation
            said = found is not None and current and found.reason == reason and saying in found.message
            return found if said else None

        return await self._until(holds, lambda: f"{name} never was {reason}: {self.find_channel(name, namespace)}")

    async def until_made(self, resource: Resource, name: str, namespace: str, *, not_uid: str) -> None:
        """Wait until there is such an object, another one than that."""
        cluster = self.kubernetes.cluster

        def holds() -> bool | None:
            found = cluster.find(resource, name, namespace)
            return True if found is not None and text(found, "metadata", "uid") != not_uid else None

        await self._until(holds, lambda: f"{resource} {namespace}/{name} was not made anew")

    async def until_gone(self, resource: Resource, name: str, namespace: str) -> None:
        """Wait until there is no such object."""
        cluster = self.kubernetes.cluster
        await self._until(
            lambda: True if cluster.find(resource, name, namespace) is None else None,
            lambda: f"{resource} {namespace}/{name} is still there",
        )

    async def scraped(self, *, times: int) -> None:
        """Wait until Prometheus has evaluated its rules so often, on top of as many scrapes."""
        before = await self._evaluations()
        async with asyncio.timeout(PATIENCE):
            while await self._evaluations() < before + times:
                await SystemClock().sleep(timedelta(milliseconds=200))

    async def prometheus_until(self, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
        """Ask again and again until it is as `holds` says."""
        found = await ask()
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds(found):
                    await SystemClock().sleep(timedelta(milliseconds=300))
                    found = await ask()
        except TimeoutError:
            raise AssertionError(f"it never was so; it is {found!r}") from None
        return found

    async def until_sample(self, replica: Replica, name: str, **labels: str) -> None:
        """Wait until a counter or gauge of the service is not 0."""

        async def there() -> bool:
            return bool(replica.sample(name, **labels))

        await eventually(name, there)

    async def ended_in_alertmanager(self, name: str) -> None:
        """Wait until Alertmanager has had an alert, and has it no more."""

        async def gone() -> bool:
            return all(each.labels.get("alertname") != name for each in await self.alertmanager.alerts())

        await eventually(f"end of {name}", gone)

    async def _evaluations(self) -> float:
        page = await self.prometheus.query("sum(count_over_time(up{job='linkerd-steward'}[1h]))")
        return sum(each.value for each in page)

    async def event(self, kind: type[E], holds: Callable[[E], bool] = lambda _event: True) -> E:
        """The first event of a kind that is as `holds` says, waited for."""
        async with self._bus() as bus, asyncio.timeout(PATIENCE):
            async for envelope in bus.tail(subject_filter(kind.name, cluster=CLUSTER), start=Start.ALL):
                if isinstance(envelope.data, kind) and holds(envelope.data):
                    return envelope.data
        raise AssertionError(f"no {kind.name} ever came")

    async def events(self, kind: type[E]) -> list[E]:
        """All of a kind so far."""
        async with self._bus() as bus:
            wanted = subject_filter(kind.name, cluster=CLUSTER)
            return [
                each.data
                async for each in bus.tail(wanted, start=Start.ALL, follow=False)
                if isinstance(each.data, kind)
            ]

    async def say(self, event: Event, *, at: datetime, service: str = "test") -> None:
        """Publish an event, as the service whose it is does."""
        async with self._bus() as bus:
            id = f"{event.name}/{'/'.join(event.key)}/{at.isoformat()}"
            await bus.publish(enclose(event, id=id, cluster=CLUSTER, service=service, time=at))

    async def every_event(self) -> list[Envelope[Event]]:
        """All of any kind so far."""
        async with self._bus() as bus:
            everything = bus.tail(subject_filter("*", cluster=CLUSTER), start=Start.ALL, follow=False)
            return [each async for each in everything]

    async def episodes(self) -> list[datetime]:
        """When alerts began, once each of them has ended; one that began or ended twice is there twice."""
        found: list[datetime] = []

        async def all_ended() -> bool:
            begun = [each.since for each in await self.events(AlertFiring)]
            ended = [each.since for each in await self.events(AlertResolved)]
            found[:] = begun if len(begun) >= len(ended) else ended
            return set(begun) == set(ended)

        await eventually("end of every alert", all_ended)
        return found

    async def knock(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Post something where Alertmanager posts; status and words of the answer."""
        url = f"http://127.0.0.1:{self.port}/alertmanager"
        async with aiohttp.ClientSession() as session, session.post(url, data=BytesIO(body), headers=headers) as answer:
            return answer.status, await answer.text()

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[Bus]:
        bus = await Bus.connect(
            BusSettings(servers=(self.nats.url,), cluster=CLUSTER), name="test", clock=SystemClock()
        )
        try:
            await bus.reconcile()
            yield bus
        finally:
            await bus.close()

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
            kept = yaml.safe_load(yaml.safe_dump(found))
            if annotations is not None:
                kept["metadata"]["annotations"] = dict(annotations)
            cluster.replace(resource, {**kept, **body})


@asynccontextmanager
async def world(tools: MonitoringTools, folder: Path) -> AsyncIterator[World]:
    """A cluster without a mesh, and without policies."""
    async with AsyncExitStack() as stack:
        kubernetes = await cluster(stack)
        yield await beside(stack, kubernetes, tools, folder)


async def cluster(stack: AsyncExitStack) -> FakeKubernetes:
    """With the definitions of Steward's own kinds, and its namespace."""
    kubernetes = await stack.enter_async_context(FakeKubernetes())
    for kind in KINDS:
        kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(definition(kind))))
    kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": HOME}})
    return kubernetes


async def beside(
    stack: AsyncExitStack,
    kubernetes: FakeKubernetes,
    tools: MonitoringTools,
    folder: Path,
    pages: SyntheticLinkerd | None = None,
) -> World:
    """NATS and the monitoring, which scrapes these pages, in `folder`."""
    rules, configuration = folder / "rules", folder / "alertmanager" / "alertmanager.yml"
    rules.mkdir(parents=True)
    configuration.parent.mkdir(parents=True)
    configuration.write_text(NOTHING_YET)
    token = folder / "token"
    token.write_text("agreed\n")
    nats = await stack.enter_async_context(NatsServer())
    alertmanager = await stack.enter_async_context(Alertmanager(tools, configuration))
    port, metrics_port = free_ports(2)
    prometheus = await stack.enter_async_context(Prometheus(tools))
    # Its own address, which it scrapes too, is known only now.
    itself = (prometheus.address, alertmanager.address, f"127.0.0.1:{metrics_port}")
    prometheus.configure(PrometheusOptions(document=scraping(pages, rules, itself)))
    await prometheus.reload()
    return World(kubernetes, nats, prometheus, alertmanager, folder, port, metrics_port, token)


def scraping(
    mesh: SyntheticLinkerd | None,
    rules: Path,
    itself: tuple[str, str, str],
    prefix: str = "",
    *,
    every: timedelta = timedelta(seconds=1),
    more: Sequence[JsonObject] = (),
) -> str:
    """A Prometheus that scrapes every page of the mesh with the labels that its job would have in a cluster.

    `itself`: addresses of Prometheus, of Alertmanager, and of the service's own metrics. `more`: further jobs.
    """
    prometheus, alertmanager, own = itself
    scrapes = mesh.scrapes(prefix=prefix) if mesh is not None else ()
    jobs: list[Json] = [
        {"job_name": "linkerd-steward", "static_configs": [{"targets": [own], "labels": ALERTING}]},
        {"job_name": "alertmanager", "static_configs": [{"targets": [alertmanager]}]},
        {"job_name": "prometheus", "static_configs": [{"targets": [prometheus]}]},
    ]
    for scrape in scrapes:
        pages: list[Json] = [
            {
                "targets": [mesh.address if mesh is not None else ""],
                "labels": {"__metrics_path__": path, "instance": path, **labels},
            }
            for path, labels in scrape.targets
        ]
        jobs.append({"job_name": scrape.job, "static_configs": pages})
    jobs += more
    document: JsonObject = {
        "global": dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), seconds(every)),
        "rule_files": [f"{rules}/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": jobs,
    }
    return yaml.safe_dump(document)


async def _run(settings: AlertingSettings, registry: CollectorRegistry) -> None:
    async with lent("alerting", settings, METRICS, registry=registry, health=Health()) as chassis:
        await serve(chassis)
