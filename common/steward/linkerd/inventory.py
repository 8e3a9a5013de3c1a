"""Everything that is known of one mesh at one moment, and the questions that are asked of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from steward.linkerd.control_plane import ControlPlane
from steward.linkerd.injection import pinned_version, why_not_meshed
from steward.linkerd.ownership import Ownership
from steward.linkerd.pods import PodFacts, WorkloadRef
from steward.linkerd.workloads import RESTARTABLE, NamespaceFacts, WorkloadFacts

_NONE: tuple[PodFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """One mesh. Build it with `Inventory.of`, which also finds the pods of each workload."""

    taken_at: datetime
    control_plane: ControlPlane | None
    ownership: Ownership | None
    namespaces: Mapping[str, NamespaceFacts]
    workloads: Mapping[WorkloadRef, WorkloadFacts]
    pods: Mapping[WorkloadRef, tuple[PodFacts, ...]]
    """Every pod, by the workload that a person would restart."""

    @classmethod
    def of(
        cls,
        taken_at: datetime,
        control_plane: ControlPlane | None,
        ownership: Ownership | None,
        seen: "Seen",
    ) -> "Inventory":
        """The inventory of what was seen."""
        return cls(
            taken_at=taken_at,
            control_plane=control_plane,
            ownership=ownership,
            namespaces={each.name: each for each in seen.namespaces},
            workloads={each.ref: each for each in seen.workloads},
            pods=by_workload(seen.pods),
        )

    def pods_of(self, ref: WorkloadRef) -> tuple[PodFacts, ...]:
        """The pods of one workload."""
        return self.pods.get(ref, _NONE)

    def every_pod(self) -> Iterator[PodFacts]:
        """All pods of the cluster."""
        for pods in self.pods.values():
            yield from pods

    def data_plane(self) -> Iterator[PodFacts]:
        """Every living pod outside the control plane that has a proxy, or should have one."""
        if self.control_plane is None:
            return
        for pod in self.every_pod():
            if why_not_meshed(pod, self.namespaces.get(pod.namespace), self.control_plane) is None:
                yield pod

    def proxies(self) -> Counter[str]:
        """Proxy version → pods, of the data plane; the empty version counts those that cannot be told."""
        return Counter(pod.proxy.label for pod in self.data_plane() if pod.proxy is not None)

    def pinned(self) -> dict[WorkloadRef, str]:
        """Workloads with meshed pods whose proxy version people fixed by annotation, and that version."""
        found = {}
        for ref, pods in self.pods.items():
            proven = next((pod for pod in pods if pod.proxy is not None and not pod.finished), None)
            if proven is None or (self.control_plane is not None and ref.namespace == self.control_plane.namespace):
                continue
            pin = pinned_version(proven, self.workloads.get(ref), self.namespaces.get(ref.namespace))
            if pin:
                found[ref] = pin
        return found

    def unsupported(self) -> dict[WorkloadRef, tuple[PodFacts, ...]]:
        """Meshed pods whose owner cannot be restarted by changing its template: reported, never forgotten."""
        found: defaultdict[WorkloadRef, list[PodFacts]] = defaultdict(list)
        for pod in self.data_plane():
            if pod.workload.kind not in RESTARTABLE:
                found[pod.workload].append(pod)
        return {ref: tuple(pods) for ref, pods in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the cluster brought."""

    namespaces: tuple[NamespaceFacts, ...] = ()
    workloads: tuple[WorkloadFacts, ...] = ()
    pods: tuple[PodFacts, ...] = ()


def by_workload(pods: Iterable[PodFacts]) -> dict[WorkloadRef, tuple[PodFacts, ...]]:
    """The pods of each workload."""
    found: dict[WorkloadRef, list[PodFacts]] = {}
    for pod in pods:
        found.setdefault(pod.workload, []).append(pod)
    return {ref: tuple(each) for ref, each in found.items()}
