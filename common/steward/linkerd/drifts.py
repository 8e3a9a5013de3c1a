"""How the mesh differs from what its own configuration says, pod by pod and as a whole.

What nobody can tell is no difference: without a readable configuration there is nothing to differ from.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steward.events.versions import Drift, DriftKind
from steward.linkerd.control_plane import ControlPlane
from steward.linkerd.injection import NotMeshed, native_expected, pinned_version, why_not_meshed
from steward.linkerd.inventory import Inventory
from steward.linkerd.knowledge import Knowledge
from steward.linkerd.pods import PodFacts, ProxyFacts, WorkloadRef
from steward.linkerd.version import Version
from steward.linkerd.workloads import NamespaceFacts, WorkloadFacts

EXAMPLES = 10
MOST_STEPS_BEHIND = 1
"""Logical versions that a proxy may be behind its control plane."""

_NOTHING: frozenset[DriftKind] = frozenset()
_MISSING = frozenset({DriftKind.MISSING_PROXY})


@dataclass(frozen=True, slots=True)
class PodVerdict:
    """One pod against what a pod made now would be."""

    pod: PodFacts
    skipped: NotMeshed | None
    kinds: frozenset[DriftKind]
    expected: str
    """The proxy version that its successor would get."""
    pinned: bool
    """People fixed the version, so that being another than the control plane's is no difference."""

    @property
    def as_expected(self) -> bool:
        """Whether it is part of the mesh and nothing about it differs."""
        return self.skipped is None and not self.kinds


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that differs. `detail` is what makes it another difference than before."""

    kind: DriftKind
    subject: str
    detail: str
    example: str


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What all pods of a workload have in common, wherever the workload itself is known."""

    namespace: NamespaceFacts | None
    workload: WorkloadFacts | None
    pin: str
    native: bool | None


class Judge:
    """Judges the pods of one inventory; what many pods have in common is worked out once."""

    __slots__ = ("_control_plane", "_expected", "_inventory", "_knowledge", "_known", "_surroundings")

    def __init__(self, inventory: Inventory, control_plane: ControlPlane, knowledge: Knowledge) -> None:
        self._inventory = inventory
        self._control_plane = control_plane
        self._knowledge = knowledge
        self._expected = control_plane.expected_proxy
        # By identity: pods with the same proxy share one object, which the inventory keeps alive.
        self._known: dict[tuple[int, str, bool | None], frozenset[DriftKind]] = {}
        self._surroundings: dict[WorkloadRef, _Surroundings] = {}

    def verdict(self, pod: PodFacts) -> PodVerdict:
        """What is to be said of one pod."""
        around = self.around(pod)
        skipped = why_not_meshed(pod, around.namespace, self._control_plane)
        kinds = _NOTHING if skipped is not None else self._kinds(pod, around)
        return PodVerdict(pod, skipped, kinds, around.pin or self._expected, bool(around.pin))

    def differences(self, pods: tuple[PodFacts, ...]) -> list[Difference]:
        """The differences of all pods of one workload, without the ceremony of a verdict for each."""
        found: list[Difference] = []
        around = self.around(pods[0])
        for pod in pods:
            if around.workload is None:
                around = self.around(pod)
            kinds = self._kinds(pod, around)
            if kinds and why_not_meshed(pod, around.namespace, self._control_plane) is None:
                actual = pod.proxy.label if pod.proxy is not None else ""
                detail = f"{actual}>{around.pin or self._expected}"
                found += [Difference(kind, str(pod.workload), detail, pod.key) for kind in kinds]
        return found

    def around(self, pod: PodFacts) -> _Surroundings:
        """What surrounds a pod; worked out once for each workload that is known."""
        found = self._surroundings.get(pod.workload)
        if found is not None:
            return found
        namespace = self._inventory.namespaces.get(pod.namespace)
        workload = self._inventory.workloads.get(pod.workload)
        around = _Surroundings(
            namespace,
            workload,
            pinned_version(pod, workload, namespace),
            native_expected(pod, workload, namespace, self._control_plane),
        )
        if workload is not None:
            self._surroundings[pod.workload] = around
        return around

    def _kinds(self, pod: PodFacts, around: _Surroundings) -> frozenset[DriftKind]:
        proxy = pod.proxy
        if proxy is None:
            return _MISSING
        key = (id(proxy), around.pin, around.native)
        known = self._known.get(key)
        if known is None:
            kinds = set(_proxy_differs(proxy, around.pin or self._expected, self._control_plane, self._knowledge))
            if around.native is not None and around.native != proxy.native:
                kinds.add(DriftKind.SIDECAR_MODE)
            known = self._known[key] = frozenset(kinds)
        return known


def _proxy_differs(
    proxy: ProxyFacts, expected: str, control_plane: ControlPlane, knowledge: Knowledge
) -> Iterator[DriftKind]:
    if control_plane.trust_sha256 and proxy.trust and proxy.trust != control_plane.trust_sha256:
        yield DriftKind.FOREIGN_TRUST
    if not proxy.label:
        yield DriftKind.UNKNOWN_PROXY
    elif expected and not same_version(proxy.label, expected):
        yield DriftKind.STALE_PROXY
    if skewed(proxy.version, control_plane, knowledge):
        yield DriftKind.VERSION_SKEW


def same_version(one: str, other: str) -> bool:
    """Whether two tags mean the same release: suffixes that Linkerd ignores are ignored."""
    if one == other:
        return True
    first, second = Version.maybe(one), Version.maybe(other)
    return first is not None and first == second


def skewed(proxy: Version | None, control_plane: ControlPlane, knowledge: Knowledge) -> bool:
    """Whether upstream supports the proxy under this control plane no more: ahead of it, or too far behind."""
    running = Version.maybe(control_plane.configured)
    if proxy is None or running is None:
        return False
    if proxy.channel == running.channel and proxy > running:
        return True
    steps = knowledge.steps_between(proxy, running)
    return steps is not None and not 0 <= steps <= MOST_STEPS_BEHIND


def differences(inventory: Inventory, knowledge: Knowledge) -> list[Difference]:
    """Every difference of the mesh, in no particular order."""
    control_plane = inventory.control_plane
    if control_plane is None or control_plane.config is None:
        return []
    found = list(_control_plane_differs(control_plane))
    judge = Judge(inventory, control_plane, knowledge)
    for pods in inventory.pods.values():
        found += judge.differences(pods)
    return found


def _control_plane_differs(control_plane: ControlPlane) -> Iterator[Difference]:
    for component in control_plane.components:
        others = [version for version, _ in component.running if not same_version(version, control_plane.configured)]
        if others:
            yield Difference(
                DriftKind.CONTROL_PLANE_VERSION,
                str(component.ref),
                f"{','.join(others)}>{control_plane.configured}",
                f"{component.ref.namespace}/{component.ref.name}",
            )


def drifts(inventory: Inventory, knowledge: Knowledge) -> tuple[Drift, ...]:
    """The differences as they are announced: one for each kind, in the order of the kinds."""
    return summarize(differences(inventory, knowledge), inventory)


def summarize(found: Iterable[Difference], inventory: Inventory) -> tuple[Drift, ...]:
    """One Drift for each kind of difference."""
    grouped: defaultdict[DriftKind, list[Difference]] = defaultdict(list)
    for each in found:
        grouped[each.kind].append(each)
    return tuple(
        Drift(
            kind=kind,
            count=len(grouped[kind]),
            message=_sentence(kind, grouped[kind], inventory.control_plane),
            examples=tuple(sorted({each.example for each in grouped[kind]})[:EXAMPLES]),
        )
        for kind in DriftKind
        if kind in grouped
    )


def fingerprint(found: Iterable[Difference]) -> str:
    """The same for the same differences, whatever their order and however many pods share one; empty for none.

    It counts workloads, not pods: a stale pod that is replaced by another stale pod is no news.
    """
    parts = sorted({f"{each.kind.value}|{each.subject}|{each.detail}" for each in found})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] if parts else ""


def _sentence(kind: DriftKind, found: list[Difference], control_plane: ControlPlane | None) -> str:
    expected = control_plane.expected_proxy if control_plane is not None else ""
    configured = control_plane.configured if control_plane is not None else ""
    count, owners = len(found), len({each.subject for each in found})
    pods = f"{count} pod{'s' if count != 1 else ''} of {owners} workload{'s' if owners != 1 else ''}"
    match kind:
        case DriftKind.CONTROL_PLANE_VERSION:
            return f"{count} of the control plane's Deployments do not run {configured}, which linkerd-config names"
        case DriftKind.STALE_PROXY:
            return f"{pods} run another proxy than they would get now ({expected}): restart the workloads"
        case DriftKind.MISSING_PROXY:
            return f"{pods} ask for a proxy and have none: check the injector, then restart the workloads"
        case DriftKind.FOREIGN_TRUST:
            return f"{pods} trust another bundle than linkerd-identity-trust-roots has: restart the workloads"
        case DriftKind.SIDECAR_MODE:
            return f"{pods} have their proxy as another kind of container than they would get now"
        case DriftKind.UNKNOWN_PROXY:
            return f"{pods} run a proxy whose version neither its image tag nor its annotation tells"
        case DriftKind.VERSION_SKEW:
            return f"{pods} run a proxy that is not supported under a control plane {configured}"
