"""The mesh, looked at again and again: what Linkerd itself does not export, as metrics of ours."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from services.alerting.core.exported.exposition import Facts, exposition
from services.alerting.edges.gauges import show
from services.alerting.edges.mesh_facts import MeshFacts
from services.alerting.engine.looking import Sighting
from services.alerting.metrics import UNREACHABLE
from steward.alerting.silences import RunInProgress
from steward.linkerd.version import Version
from steward.mesh.view import MeshView
from steward.service.chassis import Chassis

_SOON = timedelta(seconds=1)


class Exporting:
    """Keeps a view of the mesh, and shows what follows from it."""

    def __init__(self, chassis: Chassis, namespace: str, seen: Callable[[], Sighting]) -> None:
        self._clock = chassis.clock
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._seen = seen
        self._view = MeshView(chassis.kube, namespace)
        self._mesh = MeshFacts(chassis.kube, self._view)
        self._facts = Facts()
        self._unread: frozenset[str] = frozenset()
        self.looked = asyncio.Event()
        """The mesh was seen, or cannot be read."""

    async def run(self, every: timedelta) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._view.run(), name="mesh")
            tasks.create_task(self._mesh.run(), name="runs")
            tasks.create_task(self._show(every), name="export")

    def linkerd(self) -> Version | None:
        """The version of the control plane, None where it is not known."""
        inventory = self._facts.inventory
        plane = inventory.control_plane if inventory is not None else None
        return plane.version if plane is not None else None

    def upgrades(self) -> tuple[RunInProgress, ...] | None:
        """Those that act; None while nobody knows which ones there are."""
        if not self._facts.upgrades_known:
            return None
        return tuple(
            RunInProgress(each.name, each.uid, each.from_version, each.to_version, each.since, each.moved)
            for each in self._facts.upgrades
            if each.acts and each.since is not None
        )

    async def _show(self, every: timedelta) -> None:
        while True:
            self._facts = await self._mesh.look()
            seen = self._seen()
            scrapes = seen.scrapes
            self._instruments.set(UNREACHABLE, float(bool(seen.problems)))
            shown = await asyncio.to_thread(exposition, self._facts, scrapes.scrapes, scrapes.unread)
            show(self._instruments, shown)
            unread = frozenset(str(each) for each in shown.unread)
            if unread - self._unread:
                self._log.warning("not everything of the mesh can be told", problems=sorted(unread - self._unread))
            self._unread = unread
            if self._view.is_synced or self._view.problems:
                self.looked.set()
            await self._clock.sleep(every if self.looked.is_set() else min(every, _SOON))
