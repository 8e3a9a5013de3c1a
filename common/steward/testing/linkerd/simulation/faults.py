"""What may go wrong with the pods of a workload or with the injector, switched on and off by a test."""

from dataclasses import dataclass, field
from enum import StrEnum


class PodFault(StrEnum):
    """How a new pod fails."""

    NEVER_READY = "NeverReady"
    """It runs, but its own container does not become ready."""
    PROXY_NEVER_READY = "ProxyNeverReady"
    """It runs, but its proxy does not become ready."""
    IMAGE_PULL = "ImagePullBackOff"
    """Its image cannot be pulled."""
    CRASH = "CrashLoopBackOff"
    """Its own container ends again and again."""
    UNSCHEDULABLE = "Unschedulable"
    """No node takes it."""


class InjectorFault(StrEnum):
    """How the injector fails."""

    DOWN = "Down"
    """Nobody answers, although its pods look well."""
    BAD_CERTIFICATE = "BadCertificate"
    """It serves a certificate that the webhook configuration does not trust."""
    FOREIGN_BUNDLE = "ForeignBundle"
    """It gives pods a bundle of trust anchors that is not the mesh's."""


@dataclass(slots=True)
class Faults:
    """The faults that are on."""

    workloads: dict[tuple[str, str], PodFault] = field(default_factory=dict)
    """By namespace and name of the workload; new pods only."""
    unpullable: set[str] = field(default_factory=set)
    """Images (or tags) that cannot be pulled."""
    injector: InjectorFault | None = None

    def break_workload(self, namespace: str, name: str, fault: PodFault = PodFault.NEVER_READY) -> None:
        """Pods of this workload that are created from here on fail."""
        self.workloads[namespace, name] = fault

    def mend_workload(self, namespace: str, name: str) -> None:
        """Pods that are created from here on are well again."""
        self.workloads.pop((namespace, name), None)

    def cannot_be_pulled(self, image: str) -> bool:
        """Whether the image, or its tag, is one that cannot be pulled."""
        return image in self.unpullable or image.rpartition(":")[2] in self.unpullable
