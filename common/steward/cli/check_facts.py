"""What `check` looks at, gathered once: each thing as it was seen, or why it could not be seen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

from pydantic import ValidationError

from steward.cli.explain import first_problem
from steward.jsonvalue import JsonObject, dig, rows, text, whole
from steward.kube.client import Kube
from steward.kube.errors import KubeError, NotFound
from steward.kube.resources import (
    ALERT_CHANNELS,
    ALERT_POLICIES,
    CONFORMANCE_RUNS,
    CONFORMANCE_SUITES,
    CRDS,
    DEPLOYMENTS,
    LEASES,
    NAMESPACES,
    RELEASE_CATALOGS,
    STATEFUL_SETS,
    STEWARD_GROUP,
    UPGRADE_PLANS,
    UPGRADE_RUNS,
)
from steward.kube.resources import Resource as Handle
from steward.resources import (
    KINDS,
    AlertChannel,
    AlertPolicy,
    ConformanceRun,
    ConformanceSuite,
    ReleaseCatalog,
    UpgradePlan,
    UpgradeRun,
)
from steward.resources.base import Resource

T = TypeVar("T")
R = TypeVar("R", bound=Resource)

EXTENSION_LABEL = "linkerd.io/extension"
EXTENSION = "steward"
OURS = "app.kubernetes.io/part-of=linkerd-steward"


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was there."""

    value: T


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why it cannot be told what is there. Never the same as: nothing is there."""

    why: str


Sight: TypeAlias = Seen[T] | Unseen


@dataclass(frozen=True, slots=True)
class Definition:
    """A CustomResourceDefinition as it is installed."""

    name: str
    installed: bool
    established: bool
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet of ours."""

    kind: str
    name: str
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True)
class NatsFact:
    """What NATS said: its version, and the streams that it lacks."""

    version: str
    missing: tuple[str, ...]
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks are about."""

    at: datetime
    server_version: Sight[str]
    definitions: Sight[tuple[Definition, ...]]
    namespaces: Sight[tuple[str, ...]]
    workloads: Sight[tuple[Workload, ...]]
    leader: Sight[str]
    """Who holds upgrader's Lease at present; empty where nobody does."""
    nats: Sight[NatsFact]
    catalogs: Sight[tuple[ReleaseCatalog, ...]]
    plans: Sight[tuple[UpgradePlan, ...]]
    runs: Sight[tuple[UpgradeRun, ...]]
    suites: Sight[tuple[ConformanceSuite, ...]]
    exercises: Sight[tuple[ConformanceRun, ...]]
    policies: Sight[tuple[AlertPolicy, ...]]
    channels: Sight[tuple[AlertChannel, ...]]


async def gather(kube: Kube, namespace: str, nats: Callable[[], Awaitable[Sight[NatsFact]]]) -> Facts:
    """Look at everything once."""
    return Facts(
        at=kube.clock.now(),
        server_version=await look(kube.server_version),
        definitions=await look(lambda: _definitions(kube)),
        namespaces=await look(lambda: _namespaces(kube)),
        workloads=await look(lambda: _workloads(kube, namespace)),
        leader=await look(lambda: _leader(kube, namespace)),
        nats=await nats(),
        catalogs=await look(lambda: _all(kube, RELEASE_CATALOGS, ReleaseCatalog)),
        plans=await look(lambda: _all(kube, UPGRADE_PLANS, UpgradePlan)),
        runs=await look(lambda: _all(kube, UPGRADE_RUNS, UpgradeRun)),
        suites=await look(lambda: _all(kube, CONFORMANCE_SUITES, ConformanceSuite)),
        exercises=await look(lambda: _all(kube, CONFORMANCE_RUNS, ConformanceRun)),
        policies=await look(lambda: _all(kube, ALERT_POLICIES, AlertPolicy)),
        channels=await look(lambda: _all(kube, ALERT_CHANNELS, AlertChannel)),
    )


async def look(read: Callable[[], Awaitable[T]]) -> Sight[T]:
    """What `read` sees; an error is a sight of its own."""
    try:
        return Seen(await read())
    except KubeError as error:
        return Unseen(str(error))
    except ValidationError as error:
        return Unseen(f"an object does not fit its schema: {first_problem(error)}")


async def _definitions(kube: Kube) -> tuple[Definition, ...]:
    return tuple([await _definition(kube, f"{kind.plural}.{STEWARD_GROUP}") for kind in KINDS])


async def _definition(kube: Kube, name: str) -> Definition:
    found = await kube.find(CRDS, name)
    if found is None:
        return Definition(name, installed=False, established=False, versions=())
    established = any(
        text(each, "type") == "Established" and text(each, "status") == "True"
        for each in rows(found, "status", "conditions")
    )
    versions = tuple(text(each, "name") for each in rows(found, "spec", "versions") if dig(each, "served") is True)
    return Definition(name, installed=True, established=established, versions=versions)


async def _namespaces(kube: Kube) -> tuple[str, ...]:
    listing = await kube.list(NAMESPACES, labels=f"{EXTENSION_LABEL}={EXTENSION}")
    return tuple(text(item, "metadata", "name") for item in listing.items)


async def _workloads(kube: Kube, namespace: str) -> tuple[Workload, ...]:
    found: list[Workload] = []
    for handle in (DEPLOYMENTS, STATEFUL_SETS):
        listing = await kube.list(handle, namespace, labels=OURS)
        found += [_workload(handle, item) for item in listing.items]
    return tuple(found)


def _workload(handle: Handle, item: JsonObject) -> Workload:
    return Workload(
        handle.kind,
        text(item, "metadata", "name"),
        whole(item, "status", "readyReplicas"),
        whole(item, "spec", "replicas", default=1),
    )


async def _leader(kube: Kube, namespace: str) -> str:
    lease = await kube.find(LEASES, "upgrader", namespace)
    renewed = text(lease, "spec", "renewTime")
    if not renewed:
        return ""
    lasts = timedelta(seconds=whole(lease, "spec", "leaseDurationSeconds"))
    held = datetime.fromisoformat(renewed) + lasts > kube.clock.now()
    return text(lease, "spec", "holderIdentity") if held else ""


async def _all(kube: Kube, handle: Handle, kind: type[R]) -> tuple[R, ...]:
    try:
        listing = await kube.list(handle)
    except NotFound:
        return ()  # the definition is missing, which is a finding of its own
    return tuple(kind.of(item) for item in listing.items)
