"""A mesh all the time: caches kept current by watches, from which an inventory is made in milliseconds.

    view = MeshView(kube, "linkerd", on_change=decide_again.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(view.run())
        await view.synced()
        inventory = view.inventory()

A pod costs about five hundred bytes. No Secret is read: what Helm and the CLI keep in them is `gather.read_installers`.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import KubeError
from steward.kube.reflector import Reflector, unmanaged
from steward.kube.resources import CONFIG_MAPS, CRDS, NAMESPACES, PODS, Resource
from steward.linkerd import marks
from steward.linkerd.control_plane import ControlPlane, Sighting, read_control_plane, trim_crd
from steward.linkerd.inventory import Inventory
from steward.linkerd.mesh_config import CONFIG_MAP, TRUST_ROOTS
from steward.linkerd.ownership import Installers, ownership_of
from steward.linkerd.pods import PodFacts, WorkloadRef, trim
from steward.linkerd.workloads import WorkloadFacts, trim_namespace, trim_workload
from steward.mesh.gather import WORKLOADS, Installation, marked_objects


class Cache(Protocol):
    """What all caches have, whatever is in them."""

    resource: Resource
    synced: asyncio.Event
    problem: KubeError | None

    async def run(self) -> None:
        """Keep it current until cancelled."""
        ...

    def staleness(self) -> timedelta:
        """How long ago the API server was last heard."""
        ...


class PodIndex:
    """Pods by workload, of which only the changed ones are put together again."""

    def __init__(self) -> None:
        self._pods: dict[WorkloadRef, dict[str, PodFacts]] = {}
        self._groups: dict[WorkloadRef, tuple[PodFacts, ...]] = {}
        self._changed: set[WorkloadRef] = set()

    def change(self, key: str, old: PodFacts | None, new: PodFacts | None) -> None:
        """Take note of one pod."""
        if old is not None and (new is None or new.workload != old.workload):
            self._pods.get(old.workload, {}).pop(key, None)
            self._changed.add(old.workload)
        if new is not None:
            self._pods.setdefault(new.workload, {})[key] = new
            self._changed.add(new.workload)

    def groups(self) -> dict[WorkloadRef, tuple[PodFacts, ...]]:
        """The pods of each workload, as they are at this moment."""
        for ref in self._changed:
            pods = self._pods.get(ref)
            if pods:
                self._groups[ref] = tuple(pods.values())
            else:
                self._pods.pop(ref, None)
                self._groups.pop(ref, None)
        self._changed.clear()
        return dict(self._groups)


class MeshView:
    """The mesh whose control plane is in `namespace`."""

    def __init__(self, kube: Kube, namespace: str = "linkerd", *, on_change: Callable[[], None] | None = None) -> None:
        self.namespace = namespace
        self._clock = kube.clock
        self._on_change = on_change or _nobody
        self._index = PodIndex()
        self._pods = Reflector(kube, PODS, trim=trim, on_change=self._pod_changed)
        self._namespaces = Reflector(kube, NAMESPACES, trim=trim_namespace, on_change=self._changed)
        self._workloads = tuple(
            Reflector(kube, resource, trim=trim_workload, on_change=self._changed) for resource in WORKLOADS
        )
        self._config_maps = Reflector(kube, CONFIG_MAPS, trim=_config_map, namespace=namespace, on_change=self._changed)
        self._crds = Reflector(
            kube, CRDS, trim=trim_crd, labels=f"{marks.CONTROL_PLANE_NS}={namespace}", on_change=self._changed
        )
        self._caches: tuple[Cache, ...] = (
            self._pods,
            self._namespaces,
            self._config_maps,
            self._crds,
            *self._workloads,
        )

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for cache in self._caches:
                tasks.create_task(cache.run(), name=f"cache of {cache.resource}")

    async def synced(self) -> None:
        """Return once everything was listed: until then an inventory would be missing things."""
        for cache in self._caches:
            await cache.synced.wait()

    @property
    def is_synced(self) -> bool:
        """Whether everything was listed."""
        return all(each.synced.is_set() for each in self._caches)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why something cannot be read at present, a sentence each; empty while all is well."""
        return tuple(dict.fromkeys(str(each.problem) for each in self._caches if each.problem is not None))

    @property
    def staleness(self) -> timedelta:
        """How long ago the API server was heard of the resource that is heard of least."""
        return max(each.staleness() for each in self._caches)

    def inventory(self, installers: Installers | None = None) -> Inventory:
        """The mesh as it is known at this moment; with what was read of the installers, where somebody did."""
        installation = Installation(
            self._config_maps.get(f"{self.namespace}/{CONFIG_MAP}"),
            self._config_maps.get(f"{self.namespace}/{TRUST_ROOTS}"),
            tuple(self._crds.values()),
        )
        pods = self._index.groups()
        workloads = {each.ref: each for reflector in self._workloads for each in reflector.values()}
        own = tuple(each for each in workloads.values() if each.component and each.ref.namespace == self.namespace)
        control_plane = self._control_plane(installation, own, pods)
        objects = marked_objects(installation, own, self.namespace)
        return Inventory(
            taken_at=self._clock.now(),
            control_plane=control_plane,
            ownership=ownership_of(objects, installers or Installers()) if control_plane is not None else None,
            namespaces={each.name: each for each in self._namespaces.values()},
            workloads=workloads,
            pods=pods,
        )

    def _control_plane(
        self,
        installation: Installation,
        own: tuple[WorkloadFacts, ...],
        pods: dict[WorkloadRef, tuple[PodFacts, ...]],
    ) -> ControlPlane | None:
        return read_control_plane(
            Sighting(
                namespace=self.namespace,
                config_map=installation.config_map,
                trust_roots=installation.trust_roots,
                workloads=own,
                pods=tuple(pod for workload in own for pod in pods.get(workload.ref, ())),
                crds=installation.crds,
            )
        )

    def _pod_changed(self, key: str, old: PodFacts | None, new: PodFacts | None) -> None:
        self._index.change(key, old, new)
        self._on_change()

    def _changed(self, _key: str, _old: object, _new: object) -> None:
        self._on_change()


def _config_map(raw: JsonObject) -> JsonObject | None:
    """The two that matter, whole; of the others nothing."""
    return unmanaged(raw) if text(raw, "metadata", "name") in (CONFIG_MAP, TRUST_ROOTS) else None


def _nobody() -> None:
    """Nobody wants to know."""
