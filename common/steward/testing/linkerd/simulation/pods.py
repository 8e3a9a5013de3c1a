"""Pods of the simulation: created through admission, scheduled, ready after a while, gone after a while."""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Protocol

import orjson

from steward.jsonvalue import Json, JsonObject, flag, rows, strings, table, text, texts
from steward.kube.resources import DEPLOYMENTS, NODES, PODS, REPLICA_SETS
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.metadata import stamp
from steward.testing.kubernetes.store import copied
from steward.testing.linkerd.injection import Owner
from steward.testing.linkerd.proxy import PROXY
from steward.testing.linkerd.simulation.engine import NOTHING, Engine, Pace
from steward.testing.linkerd.simulation.faults import Faults, PodFault
from steward.testing.linkerd.simulation.statuses import write_status

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_STAGGERED = 4


def hash_of(template: JsonObject) -> str:
    """A short, stable name for a pod template, in the letters Kubernetes uses."""
    number = int.from_bytes(sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(letters)


def is_ready(pod: JsonObject) -> bool:
    """Whether the pod's Ready condition is true and it is not on its way out."""
    if text(pod, "metadata", "deletionTimestamp"):
        return False
    return any(
        text(one, "type") == "Ready" and text(one, "status") == "True" for one in rows(pod, "status", "conditions")
    )


def reference(owner: JsonObject) -> JsonObject:
    """The owner reference of a controller."""
    return {
        "apiVersion": text(owner, "apiVersion"),
        "kind": text(owner, "kind"),
        "name": text(owner, "metadata", "name"),
        "uid": text(owner, "metadata", "uid"),
        "controller": True,
        "blockOwnerDeletion": True,
    }


@dataclass(frozen=True, slots=True)
class NewPod:
    """How a controller wants its next pod."""

    name: str = ""
    """Empty: a generated one."""
    labels: dict[str, str] = field(default_factory=dict)
    node: str = ""


class Kubelet(Protocol):
    """Whoever really runs containers; without one, pods are ready as soon as their time has come."""

    def run(self, pod: JsonObject) -> None:
        """Start the pod, and tell its status by `Pods.show`."""
        ...

    async def settled(self) -> None:
        """Return when every pod is ready, or cannot be at present."""
        ...


class Pods:
    """Creates, starts and deletes pods of the simulated cluster."""

    def __init__(self, cluster: ClusterState, pace: Pace, faults: Faults) -> None:
        self.cluster = cluster
        self.pace = pace
        self.faults = faults
        self.engine: Engine
        self.kubelet: Kubelet | None = None
        self._addresses = count(1)
        self._turn = count()
        self._starting = 0

    def of(self, owner: JsonObject) -> list[JsonObject]:
        """Pods that the owner controls, oldest names first."""
        store = self.cluster.store
        places = store.dependents.get(text(owner, "metadata", "uid"), {})
        found = [store.get(table, key) for table, key in places if table == ("", "pods")]
        return sorted((pod for pod in found if pod is not None), key=lambda pod: text(pod, "metadata", "name"))

    def create(self, owner: JsonObject, wanted: NewPod) -> JsonObject:
        """A pod from the owner's template; a Refusal where admission refuses it."""
        template = copied(table(owner, "spec", "template"))
        metadata: JsonObject = dict(table(template, "metadata"))
        if wanted.name:
            metadata["name"] = wanted.name
        else:
            metadata["generateName"] = f"{text(owner, 'metadata', 'name')}-"
        metadata["labels"] = {**table(metadata, "labels"), **wanted.labels}
        metadata["ownerReferences"] = [reference(owner)]
        spec: JsonObject = dict(table(template, "spec"))
        spec.pop("restartPolicy", None)
        pod: JsonObject = {"metadata": metadata, "spec": spec}
        if text(owner, "kind") == "Job":
            spec["restartPolicy"] = "Never"
        node = self._where(texts(spec, "nodeSelector"), wanted.node)
        if node:
            spec["nodeName"] = node
        return self.cluster.create(PODS, pod, text(owner, "metadata", "namespace"))

    def begin(self, pod: JsonObject) -> None:
        """What the scheduler and the kubelet do with a new pod."""
        fault = self._fault(pod)
        if fault is PodFault.UNSCHEDULABLE:
            self._status(pod, _unschedulable(self._now))
            return
        if fault is not None:
            self._status(pod, _failing(pod, fault, self._now))
            return
        delay = self.pace.start
        if delay > NOTHING:
            delay += self.pace.stagger * (self._starting % _STAGGERED)
            self._starting += 1
            self._status(pod, _pending(pod, self._now))
        key = (text(pod, "metadata", "namespace"), text(pod, "metadata", "name"), text(pod, "metadata", "uid"))
        if delay == NOTHING:
            self._run(*key)
        else:
            self.engine.later(delay, lambda: self._run(*key))

    def delete(self, pod: JsonObject) -> None:
        """What a controller does to a pod it has one too many of."""
        if self.pace.stop > NOTHING:
            self.mark_deleted(pod)
        else:
            self._remove(pod)

    def mark_deleted(self, pod: JsonObject) -> None:
        """Say that the pod is on its way out; `end` follows."""
        if text(pod, "metadata", "deletionTimestamp"):
            return
        marked = copied(pod)
        table(marked, "metadata")["deletionTimestamp"] = self._now
        table(marked, "metadata")["deletionGracePeriodSeconds"] = 30
        self.cluster.store.put(self.cluster.kinds.of(PODS).table, marked)

    def end(self, pod: JsonObject) -> None:
        """What the kubelet does with a pod that is on its way out."""
        if self.pace.stop > NOTHING:
            self.engine.later(self.pace.stop, lambda: self._remove(pod))
        else:
            self._remove(pod)

    def owner_of(self, pod: JsonObject) -> Owner | None:
        """The workload in the end: a Deployment rather than its ReplicaSet, a CronJob rather than its Job."""
        namespace = text(pod, "metadata", "namespace")
        for owner in rows(pod, "metadata", "ownerReferences"):
            kind, name = text(owner, "kind"), text(owner, "name")
            if kind == "ReplicaSet":
                above = self.cluster.find(REPLICA_SETS, name, namespace)
                for upper in rows(above or {}, "metadata", "ownerReferences"):
                    if text(upper, "kind") == DEPLOYMENTS.kind:
                        return Owner(DEPLOYMENTS.kind, text(upper, "name"))
            return Owner(kind, name)
        return None

    def _where(self, selector: dict[str, str], proposed: str) -> str:
        """The proposed node, or the first other one that has the labels; none of them has: nowhere."""
        if not selector or not proposed:
            return proposed
        names = (text(one, "metadata", "name") for one in self.cluster.list(NODES) if self._has(one, selector))
        fitting = list(names)
        return proposed if proposed in fitting else next(iter(fitting), "")

    @staticmethod
    def _has(node: JsonObject, selector: dict[str, str]) -> bool:
        return selector.items() <= texts(node, "metadata", "labels").items()

    def node(self) -> str:
        """The next node in turn."""
        names = [text(node, "metadata", "name") for node in self.cluster.list(NODES)]
        return names[next(self._turn) % len(names)] if names else ""

    @property
    def _now(self) -> str:
        return stamp(self.cluster.clock.now())

    def _fault(self, pod: JsonObject) -> PodFault | None:
        owner = self.owner_of(pod)
        name = owner.name if owner else text(pod, "metadata", "name")
        fault = self.faults.workloads.get((text(pod, "metadata", "namespace"), name))
        if fault is None and texts(pod, "spec", "nodeSelector") and not text(pod, "spec", "nodeName"):
            return PodFault.UNSCHEDULABLE
        images = (text(one, "image") for kind in ("initContainers", "containers") for one in rows(pod, "spec", kind))
        if fault is None and any(self.faults.cannot_be_pulled(image) for image in images):
            return PodFault.IMAGE_PULL
        return fault

    def _run(self, namespace: str, name: str, uid: str) -> None:
        pod = self.cluster.find(PODS, name, namespace)
        gone = pod is None or text(pod, "metadata", "uid") != uid or text(pod, "metadata", "deletionTimestamp")
        if pod is None or gone:
            return
        if self.kubelet is not None:
            self.kubelet.run(pod)
            return
        number = next(self._addresses)
        self.show(pod, f"10.{42 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 256}")

    def show(self, pod: JsonObject, address: str, *, pending: bool = False, unready: str = "") -> None:
        """Write the status of a pod with an address: its init containers are not done, or all run but some are unready.

        `unready` names one container, or is `*` for all but the proxy.
        """
        status = _pending(pod, self._now) if pending else _running(pod, self._now, unready=unready)
        self._status(pod, status | {"podIP": address, "podIPs": [{"ip": address}]})

    def stuck(self, pod: JsonObject, address: str, container: str, *, code: int) -> None:
        """Write that an init container ends with an error again and again, so that nothing after it is started."""
        status = _pending(pod, self._now)
        ended: JsonObject = {"exitCode": code, "reason": "Error", "startedAt": self._now, "finishedAt": self._now}
        for one in rows(status, "initContainerStatuses"):
            if text(one, "name") == container:
                waiting: JsonObject = {"waiting": {"reason": "CrashLoopBackOff"}}
                one |= {"state": waiting, "lastState": {"terminated": ended}, "restartCount": 3}
        self._status(pod, status | {"podIP": address, "podIPs": [{"ip": address}]})

    def finished(self, pod: JsonObject, *, well: bool) -> None:
        """Write that the pod's own container has ended."""
        self._status(pod, {"phase": "Succeeded" if well else "Failed"})

    def _status(self, pod: JsonObject, status: JsonObject) -> None:
        write_status(self.cluster, PODS, text(pod, "metadata", "name"), status, text(pod, "metadata", "namespace"))

    def _remove(self, pod: JsonObject) -> None:
        still = self.cluster.find(PODS, text(pod, "metadata", "name"), text(pod, "metadata", "namespace"))
        if still is None or text(still, "metadata", "uid") != text(pod, "metadata", "uid"):
            return
        # What a finalizer holds stays until that is gone, though nothing runs in it any more.
        if not strings(still, "metadata", "finalizers"):
            self.cluster.remove(self.cluster.kinds.of(PODS), still)


def _condition(kind: str, now: str, *, holds: bool, reason: str = "", message: str = "") -> JsonObject:
    condition: JsonObject = {"type": kind, "status": "True" if holds else "False", "lastTransitionTime": now}
    if reason:
        condition |= {"reason": reason, "message": message}
    return condition


def _unschedulable(now: str) -> JsonObject:
    message = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    condition = _condition("PodScheduled", now, holds=False, reason="Unschedulable", message=message)
    return {"phase": "Pending", "conditions": [condition]}


def _pending(pod: JsonObject, now: str) -> JsonObject:
    waiting: JsonObject = {"waiting": {"reason": "PodInitializing"}}
    return {
        "phase": "Pending",
        "startTime": now,
        "conditions": [
            _condition("PodScheduled", now, holds=True),
            _condition("Initialized", now, holds=False),
            _condition("Ready", now, holds=False, reason="ContainersNotReady", message="containers are starting"),
        ],
        "initContainerStatuses": _containers(pod, "initContainers", ready=False, state=waiting),
        "containerStatuses": _containers(pod, "containers", ready=False, state=waiting),
    }


def _running(pod: JsonObject, now: str, *, unready: str = "") -> JsonObject:
    """All containers run; the one named `unready` (or `*`, those that are not the proxy) is not ready."""
    started: JsonObject = {"running": {"startedAt": now}}
    ready = not unready
    why: dict[str, str] = {} if ready else {"reason": "ContainersNotReady", "message": "containers with unready status"}
    conditions: list[Json] = [
        _condition("PodScheduled", now, holds=True),
        _condition("Initialized", now, holds=True),
        _condition("ContainersReady", now, holds=ready, **why),
        _condition("Ready", now, holds=ready, **why),
    ]
    statuses = {
        kind: _containers(pod, kind, ready=True, state=started, unready=unready, now=now)
        for kind in ("initContainers", "containers")
    }
    return {
        "phase": "Running",
        "startTime": now,
        "hostIP": "10.0.0.1",
        "conditions": conditions,
        "initContainerStatuses": statuses["initContainers"],
        "containerStatuses": statuses["containers"],
    }


def _failing(pod: JsonObject, fault: PodFault, now: str) -> JsonObject:
    if fault is PodFault.PROXY_NEVER_READY:
        return _running(pod, now, unready=PROXY)
    status = _running(pod, now, unready="*")
    if fault in (PodFault.IMAGE_PULL, PodFault.CRASH):
        waiting: JsonObject = {"waiting": {"reason": fault.value, "message": "simulated"}}
        restarts = 5 if fault is PodFault.CRASH else 0
        for one in rows(status, "containerStatuses"):
            if text(one, "name") != PROXY:
                one |= {"ready": False, "started": False, "state": dict(waiting), "restartCount": restarts}
        status["phase"] = "Pending" if fault is PodFault.IMAGE_PULL else "Running"
    return status


def _containers(
    pod: JsonObject, kind: str, *, ready: bool, state: JsonObject, unready: str = "", now: str = ""
) -> list[Json]:
    found: list[Json] = []
    for one in rows(pod, "spec", kind):
        name = text(one, "name")
        sidecar = text(one, "restartPolicy") == "Always"
        ended = ready and kind == "initContainers" and not sidecar
        failing = unready == name or (unready == "*" and name != PROXY and not ended)
        status: JsonObject = {
            "name": name,
            "image": text(one, "image"),
            "imageID": "",
            "ready": ready and not failing,
            "started": ready and not ended,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
            if ended
            else dict(state),
        }
        found.append(status)
    return found


def finished_well(pod: JsonObject) -> bool:
    """Whether a Job's pod has succeeded."""
    return text(pod, "status", "phase") == "Succeeded"


def paused(workload: JsonObject) -> bool:
    """Whether a Deployment is paused."""
    return flag(workload, "spec", "paused")


def labels_of_template(workload: JsonObject) -> dict[str, str]:
    """Labels its pods start with."""
    return texts(workload, "spec", "template", "metadata", "labels")
