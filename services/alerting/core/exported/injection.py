"""Which running pods have a proxy, and which should have one and have none.

Who should have one follows from the injector's own rules, `steward.linkerd.injection`. Only running pods count: what
has not begun or is over sends nothing past the mesh.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.alerting.core.exported.samples import Samples, counted
from steward.linkerd.control_plane import ControlPlane
from steward.linkerd.injection import why_not_meshed
from steward.linkerd.inventory import Inventory
from steward.linkerd.pods import PodFacts

_RUNNING = "Running"
_SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Kubernetes' own namespaces: left out where nobody can tell which ones the injector's webhook leaves out."""


@dataclass(frozen=True, slots=True)
class Pods:
    """The running pods that are this mesh's business."""

    meshed: tuple[PodFacts, ...] = ()
    """With a proxy, those of the control plane itself too."""
    unmeshed: tuple[PodFacts, ...] = ()
    """Asked for a proxy, and running without one."""


def pods_of(inventory: Inventory) -> Pods:
    """The pods of a mesh; none where there is no control plane."""
    control_plane = inventory.control_plane
    if control_plane is None:
        return Pods()
    meshed: list[PodFacts] = []
    unmeshed: list[PodFacts] = []
    for pod in inventory.every_pod():
        if pod.phase != _RUNNING or pod.deleting:
            continue
        if pod.proxy is not None:
            if pod.mesh in ("", control_plane.namespace):
                meshed.append(pod)
        elif _should_be(pod, inventory, control_plane):
            unmeshed.append(pod)
    return Pods(tuple(meshed), tuple(unmeshed))


def meshed_pods(pods: Pods) -> Samples:
    """{namespace}"""
    return counted(_namespaces(pods.meshed), ())


def unmeshed_pods(pods: Pods) -> Samples:
    """{namespace}; 0 where every pod that should have a proxy has one."""
    return counted(_namespaces(pods.unmeshed), _namespaces(pods.meshed))


def _should_be(pod: PodFacts, inventory: Inventory, control_plane: ControlPlane) -> bool:
    if control_plane.config is None and pod.namespace in _SYSTEM:
        return False
    return why_not_meshed(pod, inventory.namespaces.get(pod.namespace), control_plane) is None


def _namespaces(pods: Iterable[PodFacts]) -> Iterable[str]:
    return (pod.namespace for pod in pods)
