"""The simulated control plane as a whole: watches the cluster, tells proxies, writes statuses, issues identities."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from steward.clock import Clock
from steward.jsonvalue import JsonObject
from steward.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from steward.testing.dataplane.config import InboundServer, Timings
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.discovery import Client, Directory
from steward.testing.dataplane.control.external_slices import ExternalSlices
from steward.testing.dataplane.control.identity import IdentityController
from steward.testing.dataplane.control.inbound import InboundPolicies
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS, NETWORK_POLICIES, POLICIES, SERVICE_PROFILES
from steward.testing.dataplane.control.slices import Slices
from steward.testing.dataplane.control.statuses import Statuses
from steward.testing.dataplane.control.targets import target_of
from steward.testing.dataplane.control.watches import TargetWatch
from steward.testing.dataplane.control.world import World, labels_of
from steward.testing.dataplane.faults import Faults, Place
from steward.testing.dataplane.proxy.ports import Discover
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.store import Change
from steward.testing.linkerd.objects import COMPONENT
from steward.testing.linkerd.simulation.pods import is_ready
from steward.testing.linkerd.values import NAMESPACE

_WATCHED = (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    EXTERNAL_WORKLOADS,
    NETWORK_POLICIES,
    SERVICE_PROFILES,
    *POLICIES,
)
_RECOVERY_SHARE = 0.4
"""How long a target that was first tried during an outage stays silent afterwards, as a share of the outage."""


class ControlPlane:
    """One for each simulated mesh. What changes reaches the proxies after `Timings.propagation`."""

    def __init__(self, cluster: ClusterState, clock: Clock, faults: Faults, timings: Timings) -> None:
        self.world = World(cluster)
        self.faults = faults
        self.directory = Directory(self.world, faults)
        self.inbound = InboundPolicies(self.directory)
        self.identity = IdentityController(self.world, faults, clock, timings.leaf_lifetime)
        self.listeners: list[Callable[[], None]] = []
        """Told after every refresh."""
        self.refreshes = 0
        """How often everybody was told."""
        self._clock = clock
        self._timings = timings
        self._slices = Slices(self.world)
        self._external_slices = ExternalSlices(self.world, faults)
        self._statuses = Statuses(self.world, faults)
        self._watches: set[TargetWatch] = set()
        self._dirty = asyncio.Event()
        self._refreshed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._outage = timedelta(0)

    def start(self) -> None:
        """Watch the cluster."""
        for kind in _WATCHED:
            self.world.cluster.store.table((kind.group, kind.plural)).listeners.append(self._changed)
        self.faults.listeners.append(self._switched)
        self._refresh()
        self._task = asyncio.create_task(self._run(), name="simulated control plane")

    async def stop(self) -> None:
        """Look at the cluster no more."""
        for kind in _WATCHED:
            listeners = self.world.cluster.store.table((kind.group, kind.plural)).listeners
            if self._changed in listeners:
                listeners.remove(self._changed)
        if self._switched in self.faults.listeners:
            self.faults.listeners.remove(self._switched)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def destination_is_up(self, place: Place) -> bool:
        """Whether a proxy there gets an answer about targets: both controllers must speak."""
        down = self.faults.on(broken.DESTINATION_DOWN, place) or self.faults.on(broken.POLICY_DOWN, place)
        return not down and self.runs("destination")

    def policy_is_up(self, place: Place) -> bool:
        """Whether a proxy there gets an answer about its own ports."""
        return not self.faults.on(broken.POLICY_DOWN, place) and self.runs("destination")

    def runs(self, component: str) -> bool:
        """Whether a pod of this component of the control plane is ready."""
        found = self.world.all(PODS, NAMESPACE)
        return any(labels_of(one).get(COMPONENT) == component and is_ready(one) for one in found)

    def discover(self, client: Client) -> Discover:
        """How the proxy of one pod asks about addresses."""

        async def discover(ip: str, port: int) -> TargetWatch | None:
            while not self.destination_is_up(client):
                await self.next_refresh()
                if self.destination_is_up(client):
                    await self._clock.sleep(self._outage * _RECOVERY_SHARE)
            found = target_of(self.directory, ip, port, client)
            if found is None:
                return None
            watch = TargetWatch(client, (ip, port), found, self._watches.discard)
            self._watches.add(watch)
            return watch

        return discover

    def policy_of(self, pod: JsonObject, port: int) -> InboundServer:
        """What is in force on a port of a pod."""
        return self.inbound.server(pod, port)

    async def settled(self) -> None:
        """Return when the proxies have been told of everything that happened so far."""
        while self._dirty.is_set():
            await self.next_refresh()

    async def next_refresh(self) -> None:
        """Return when the cluster, or a fault, has changed and everybody was told."""
        self._refreshed.clear()
        await self._refreshed.wait()

    async def refresh_after(self, number: int) -> int:
        """Return when more was told than by then (`refreshes`): for those who do something else in between."""
        while self.refreshes == number:
            await self.next_refresh()
        return self.refreshes

    def _changed(self, change: Change) -> None:
        del change
        self._dirty.set()

    def _switched(self) -> None:
        self.directory.remember()
        self.world.freeze(POLICIES if self.faults.anywhere(broken.POLICY_STALE) else ())
        self._dirty.set()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            await self._clock.sleep(self._timings.propagation)
            self._dirty.clear()
            self._refresh()
            self.refreshes += 1
            self._refreshed.set()

    def _refresh(self) -> None:
        self._slices.reconcile()
        everywhere = Client()
        if self.runs("destination") and not self.faults.on(broken.DESTINATION_DOWN, everywhere):
            self._external_slices.reconcile()
        self.identity.secret_changed()
        self._note_outage()
        if self.policy_is_up(everywhere):
            self._statuses.write()
        for watch in tuple(self._watches):
            if self.destination_is_up(watch.client):
                found = target_of(self.directory, *watch.address, watch.client)
                watch.update(found)
        for listener in tuple(self.listeners):
            listener()

    def _note_outage(self) -> None:
        up, now = self.destination_is_up(Client()), self._clock.monotonic()
        if not up and self._down_since is None:
            self._down_since = now
        elif up and self._down_since is not None:
            self._outage = timedelta(seconds=now - self._down_since)
            self._down_since = None
