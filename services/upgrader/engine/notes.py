"""What happened, as Kubernetes Events on the run and on the workloads that it touched."""

from dataclasses import dataclass
from typing import Protocol

from services.upgrader.core.rollout.standing import Standing
from steward.events.upgrades import UpgradeFinished, UpgradePaused, UpgradeStepFailed
from steward.kube.recorder import Reference
from steward.linkerd.pods import WorkloadRef
from steward.resources.base import API_VERSION
from steward.resources.upgrade_run import Transition, UpgradeRun, WorkloadState

_NORMAL, _WARNING = "Normal", "Warning"
_API_OF_KIND = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Pod": "v1"}

_REASONS = {
    WorkloadState.FAILED: "ProxyRestartFailed",
    WorkloadState.NO_EFFECT: "ProxyRestartNoEffect",
    WorkloadState.CONTESTED: "ProxyRestartContested",
    WorkloadState.HELD: "ProxyRestartHeld",
    WorkloadState.UNSUPPORTED: "ManualRestartRequired",
}


class Recorder(Protocol):
    """`steward.kube.recorder.EventRecorder`."""

    def record(self, about: Reference, kind: str, reason: str, message: str) -> None:
        """Remember one Event; returns at once and never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Notes:
    """Writes Events; one that is lost is no loss, for the run says the same."""

    recorder: Recorder

    def transitions(self, run: UpgradeRun, news: tuple[Transition, ...]) -> None:
        """What happened to a run."""
        about = Reference(API_VERSION, UpgradeRun.kind_name, "", run.metadata.name, run.metadata.uid)
        for each in news:
            bad = each.event in (UpgradeStepFailed.name, UpgradePaused.name)
            bad = bad or (each.event == UpgradeFinished.name and each.outcome != "Succeeded")
            step = f"{each.step}: " if each.step else ""
            name = "".join(part.capitalize() for part in each.event.split("-"))
            self.recorder.record(about, _WARNING if bad else _NORMAL, name, f"{step}{each.message}")

    def refused(self, run: UpgradeRun, reason: str, message: str) -> None:
        """A run cannot be planned."""
        about = Reference(API_VERSION, UpgradeRun.kind_name, "", run.metadata.name, run.metadata.uid)
        self.recorder.record(about, _WARNING, reason, message)

    def restarted(self, workload: WorkloadRef, uid: str, run: UpgradeRun) -> None:
        """A workload was restarted."""
        message = f"restarted by UpgradeRun {run.metadata.name!r} to get the proxy of {run.spec.target}"
        self.recorder.record(_about(workload, uid), _NORMAL, "ProxyRestarted", message)

    def standing(self, workload: WorkloadRef, standing: Standing) -> None:
        """A workload needs a look."""
        reason = _REASONS.get(standing.state)
        if reason is not None and workload.kind in _API_OF_KIND:
            kind = _NORMAL if standing.state is WorkloadState.HELD else _WARNING
            self.recorder.record(_about(workload, ""), kind, reason, f"{standing.reason}: {standing.message}")


def _about(workload: WorkloadRef, uid: str) -> Reference:
    return Reference(_API_OF_KIND.get(workload.kind, "apps/v1"), workload.kind, workload.namespace, workload.name, uid)
