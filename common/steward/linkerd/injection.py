"""Who gets a proxy: the injector's own rules, so that a pod without one can be told from a pod that needs none."""

from enum import StrEnum

from steward.linkerd import marks
from steward.linkerd.control_plane import ControlPlane
from steward.linkerd.marks import Inject, native_sidecar_wish
from steward.linkerd.pods import PodFacts
from steward.linkerd.workloads import NamespaceFacts, WorkloadFacts


class NotMeshed(StrEnum):
    """Why a pod is none of the mesh's business."""

    NOT_ASKED_FOR = "NotAskedFor"
    OPTED_OUT = "OptedOut"
    HOST_NETWORK = "HostNetwork"
    FOREIGN_SIDECAR = "ForeignSidecar"
    NAMESPACE_EXEMPT = "NamespaceExempt"
    CONTROL_PLANE = "ControlPlane"
    OTHER_CONTROL_PLANE = "OtherControlPlane"
    FINISHED = "Finished"


def why_not_meshed(pod: PodFacts, namespace: NamespaceFacts | None, control_plane: ControlPlane) -> NotMeshed | None:
    """Why the injector would leave `pod` alone, None where it would give it a proxy."""
    if pod.finished or pod.deleting:
        return NotMeshed.FINISHED
    if pod.namespace == control_plane.namespace or pod.component:
        return NotMeshed.CONTROL_PLANE
    if pod.mesh and pod.mesh != control_plane.namespace:
        return NotMeshed.OTHER_CONTROL_PLANE
    if pod.proxy is not None:
        return None
    return _left_alone(pod, namespace, control_plane)


def _left_alone(pod: PodFacts, namespace: NamespaceFacts | None, control_plane: ControlPlane) -> NotMeshed | None:
    if pod.host_network:
        return NotMeshed.HOST_NETWORK
    if pod.foreign_sidecar:
        return NotMeshed.FOREIGN_SIDECAR
    asked = pod.inject if pod.inject is not None else (namespace.inject if namespace is not None else None)
    if asked is None:
        return NotMeshed.NOT_ASKED_FOR
    if not asked.wanted:
        return NotMeshed.OPTED_OUT
    if namespace is not None and not webhook_selects(namespace, control_plane):
        return NotMeshed.NAMESPACE_EXEMPT
    return None


def webhook_selects(namespace: NamespaceFacts, control_plane: ControlPlane) -> bool:
    """Whether the injector's webhook is called for pods of the namespace."""
    labels = {"kubernetes.io/metadata.name": namespace.name, **namespace.labels}
    if labels.get(marks.ADMISSION_WEBHOOKS) == "disabled":
        return False
    config = control_plane.config
    return config is None or all(requirement.holds(labels) for requirement in config.injection)


def asked_for_injection(workload: WorkloadFacts, namespace: NamespaceFacts | None) -> bool:
    """Whether new pods of the workload ask for a proxy: the template wins over the namespace."""
    wish = Inject.read(workload.template_annotations.get(marks.INJECT))
    if wish is None and namespace is not None:
        wish = namespace.inject
    return wish is not None and wish.wanted and not workload.host_network


def pinned_version(pod: PodFacts, workload: WorkloadFacts | None, namespace: NamespaceFacts | None) -> str:
    """The proxy version that people fixed for the pod's successors; empty where they fixed none.

    The pod's own annotation may be inherited from a pin that is gone, so it decides only where the template is unknown.
    """
    if workload is None:
        return pod.pin_version
    return workload.template_annotations.get(marks.PIN_VERSION, "") or (
        namespace.annotations.get(marks.PIN_VERSION, "") if namespace is not None else ""
    )


def native_expected(
    pod: PodFacts, workload: WorkloadFacts | None, namespace: NamespaceFacts | None, control_plane: ControlPlane
) -> bool | None:
    """Whether the pod's successor would have its proxy among the init containers; None where nobody can tell."""
    wishes = (
        native_sidecar_wish(workload.template_annotations) if workload is not None else pod.native_wish,
        native_sidecar_wish(namespace.annotations) if namespace is not None else None,
        control_plane.native_sidecar,
    )
    return next((wish for wish in wishes if wish is not None), None)
