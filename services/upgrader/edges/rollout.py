"""How far a Deployment is, and what keeps it: pods that cannot be scheduled, images that cannot be pulled."""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.kube.client import Kube
from steward.kube.resources import DEPLOYMENTS, PODS
from steward.linkerd import marks
from steward.linkerd.control_plane import COMPONENTS
from steward.linkerd.pods import PodFacts, trim
from steward.linkerd.workloads import WorkloadFacts, trim_workload


@dataclass(frozen=True, slots=True)
class Rollout:
    """The control plane's Deployments as they are."""

    settled: bool
    """Every Deployment is there, and every pod of it is of the newest template and available."""
    reason: str
    """CamelCase: `RolledOut`, `RollingOut`, `Missing`, or what keeps it, such as `ImagePullBackOff`."""
    message: str


async def observe_rollout(kube: Kube, namespace: str) -> Rollout:
    """Look at the control plane in `namespace`."""
    found = (await kube.list(DEPLOYMENTS, namespace, labels=marks.COMPONENT)).items
    pods = (await kube.list(PODS, namespace, labels=marks.COMPONENT)).items
    return judge_rollout(tuple(map(trim_workload, found)), tuple(map(trim, pods)))


def judge_rollout(deployments: tuple[WorkloadFacts, ...], pods: tuple[PodFacts, ...]) -> Rollout:
    """What the facts say together."""
    missing = set(COMPONENTS) - {each.component for each in deployments}
    if missing:
        names = ", ".join(sorted(missing))
        return Rollout(settled=False, reason="Missing", message=f"no Deployment of {names}")
    waiting = [each for each in deployments if not each.settled]
    if not waiting:
        names = ", ".join(sorted(each.ref.name for each in deployments))
        return Rollout(settled=True, reason="RolledOut", message=f"{names} are rolled out and available")
    reason, message = _obstacle(waiting, pods)
    return Rollout(settled=False, reason=reason, message=message)


def _obstacle(waiting: Iterable[WorkloadFacts], pods: Iterable[PodFacts]) -> tuple[str, str]:
    progress = "; ".join(_progress(each) for each in waiting)
    names = {each.ref for each in waiting}
    for pod in pods:
        if pod.workload in names and pod.problem and not pod.deleting:
            return _word(pod.problem), f"pod {pod.key} does not start: {pod.problem}; {progress}"
    stalled = next((each for each in waiting if each.stalled), None)
    if stalled is not None:
        return _word(stalled.stalled), f"{stalled.ref} is stuck: {stalled.stalled}; {progress}"
    return "RollingOut", progress


def _progress(deployment: WorkloadFacts) -> str:
    count = deployment.replicas
    if deployment.observed_generation < deployment.generation:
        return f"{deployment.ref} was not looked at yet by its controller"
    return (
        f"{deployment.ref}: {count.updated} of {count.desired} pods updated, {count.available} available, "
        f"{count.total - count.updated} old"
    )


def _word(reason: str) -> str:
    return reason if reason[:1].isupper() and reason.isalnum() else "Stuck"
