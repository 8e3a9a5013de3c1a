"""The edges, as the engine sees them. What goes wrong is raised as a StewardError, whose message can be shown."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.conformance.core.capability import ClusterSeen
from services.conformance.core.evidence import NotTold, Told, Turned, Would
from services.conformance.core.marks import Mark
from services.conformance.core.orders import Doing, Report
from services.conformance.core.stage import Place
from services.conformance.core.steps import Looked
from steward.conformance.reports import Form, RunReport
from steward.conformance.results import FeatureResult
from steward.errors import StewardError
from steward.jsonvalue import JsonObject
from steward.resources.conformance_run import OwnedNamespace
from steward.viz.events import TapEvent

Render = Callable[[RunReport, Form], bytes]
"""A report in one of its forms."""


class Unable(StewardError):
    """A step cannot be done, by no fault of the mesh that is known. `reason` is CamelCase."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Agents(Protocol):
    """The exercisers of all runs. Whoever gets no report raises a StewardError."""

    async def do(self, run: str, pod: str, doing: Doing, *, deadline: timedelta, order: str = "") -> Report:
        """Have the agent of a pod do something within `deadline`."""
        ...

    async def stop(self, run: str, pod: str, order: str) -> None:
        """Let an order end early; `do` then returns with what was seen so far."""
        ...

    async def until_present(self, run: str, pods: frozenset[str], *, within_time: timedelta) -> frozenset[str]:
        """Wait until these pods have an agent that takes orders; those that have none by then."""
        ...


@dataclass(frozen=True, slots=True)
class Landed:
    """An object as the API server took it."""

    object: JsonObject
    existed: bool
    """Whether it was there before, made by somebody else than the probe."""


class Cluster(Protocol):
    """The API server."""

    async def apply(self, thing: JsonObject, manager: str) -> Landed | Turned:
        """Create the object, or change exactly these fields of it."""
        ...

    async def state(self, thing: JsonObject, manager: str) -> JsonObject | Turned:
        """Change the status of an object that is there."""
        ...

    async def put(self, thing: JsonObject) -> None:
        """Make an object of the run's own production, or put it back. A refusal is raised."""
        ...

    async def remove(self, thing: JsonObject) -> None:
        """Delete the object; nothing happens where it is gone."""
        ...

    async def release(self, thing: JsonObject, manager: str) -> None:
        """Give up what `manager` set on an object of somebody else."""
        ...

    async def attempt(self, thing: JsonObject) -> Would | Turned:
        """Create as a dry run."""
        ...

    async def look(self, looked: Looked) -> tuple[JsonObject, ...]:
        """Read objects; one that is not there is left out."""
        ...

    async def log(self, namespace: str, pod: str, container: str, since: timedelta) -> str:
        """What a container wrote within the time until now."""
        ...

    def tap(self, namespace: str, deployment: str, path: str) -> AsyncGenerator[TapEvent, None]:
        """Listen to the requests of a Deployment whose path begins so; raises TapRefused."""
        ...

    async def evict(self, pod: JsonObject) -> Turned | None:
        """Ask a pod to go, as its disruption budgets allow; why not, where it is not let go."""
        ...

    async def places(self, namespaces: Sequence[str]) -> Mapping[str, tuple[Place, ...]]:
        """The pods of these namespaces by what they play; those of a version also under its name."""
        ...

    async def survey(self) -> tuple[ClusterSeen, str]:
        """What this cluster and its mesh have, and the API server's version."""
        ...

    async def refusals(self) -> tuple[str, ...]:
        """The rights that are missing, in sentences."""
        ...

    async def claim(self, namespace: JsonObject) -> OwnedNamespace:
        """Make a namespace, or renew the one that is ours. Raise where the name belongs to somebody else."""
        ...

    async def remains(self, owned: Sequence[OwnedNamespace]) -> tuple[OwnedNamespace, ...]:
        """Those that still exist."""
        ...

    async def drop(self, owned: OwnedNamespace, run_uid: str) -> str:
        """Ask for the deletion of a namespace of a run; why not, where it is not certainly ours."""
        ...

    async def abandoned(self, living: frozenset[str], now: datetime) -> tuple[tuple[OwnedNamespace, str], ...]:
        """Namespaces of ours that nobody will clean up, each with the uid of its run."""
        ...

    async def leftovers(self, namespaces: Sequence[str]) -> tuple[JsonObject, ...]:
        """Objects that a probe applied and could not remove, because its process ended."""
        ...


class ControlPlane(Protocol):
    """Linkerd's destination and policy controllers."""

    async def destinations(self, authority: str) -> Told | NotTold:
        """What each replica of destination tells of an authority."""
        ...

    async def profile(self, address: str) -> Told | NotTold:
        """The profile of `ip:port` or of an authority."""
        ...

    async def outbound_policy(self, namespace: str, authority: str) -> Told | NotTold:
        """What proxies of a namespace are told about a target."""
        ...

    async def inbound_policy(self, namespace: str, pod: str, port: int) -> Told | NotTold:
        """What the proxy of a pod is told about one of its ports."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A result in the stream, as little of it as states need."""

    feature: str
    mark: Mark


class Results(Protocol):
    """The stream of results."""

    async def keep(self, result: FeatureResult) -> None:
        """Store a result once, however often this is asked."""
        ...

    def marks(self) -> AsyncIterator[Kept]:
        """All that is stored of all features."""
        ...

    def of_run(self, run_uid: str, run: str) -> AsyncIterator[FeatureResult]:
        """All that is stored of one run."""
        ...

    async def one(self, feature: str, mark: Mark) -> FeatureResult | None:
        """One result, whole."""
        ...


class EvidenceStore(Protocol):
    """The object store."""

    async def put(self, name: str, data: bytes) -> None:
        """Keep a blob."""
        ...


@dataclass(frozen=True, slots=True)
class Edges:
    """All of them."""

    agents: Agents
    cluster: Cluster
    control_plane: ControlPlane
    results: Results
    evidence: EvidenceStore
    render: Render = field(compare=False)
