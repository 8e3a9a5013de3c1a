"""How many pods each part of the control plane should have, and has ready."""

from dataclasses import dataclass

from services.alerting.core.exported.samples import Sample, Samples
from steward.linkerd.control_plane import COMPONENTS, ControlPlane


@dataclass(frozen=True, slots=True)
class ReplicaGauges:
    """Both by {component}."""

    expected: Samples = ()
    ready: Samples = ()


def replica_gauges(control_plane: ControlPlane | None) -> ReplicaGauges:
    """The replicas of every component. One whose Deployment is gone has none ready, and should have.

    What the installation is configured for counts where a Deployment asks for less: one that was scaled to nothing by
    hand would otherwise expect nothing, and never be missed.
    """
    if control_plane is None:
        return ReplicaGauges()
    configured = max(1, control_plane.config.controller_replicas if control_plane.config is not None else 0)
    seen = {each.name: (max(each.desired, configured), each.ready) for each in control_plane.components}
    found = {name: seen.get(name, (configured, 0)) for name in COMPONENTS}
    return ReplicaGauges(
        expected=tuple(Sample((name,), float(expected)) for name, (expected, _) in sorted(found.items())),
        ready=tuple(Sample((name,), float(ready)) for name, (_, ready) in sorted(found.items())),
    )
