"""StatefulSets: numbered pods, one after the other, newest last."""

from datetime import timedelta

from steward.jsonvalue import JsonObject, table, text, texts, whole
from steward.kube.resources import STATEFUL_SETS
from steward.testing.kubernetes.refusal import Refusal
from steward.testing.linkerd.simulation.pods import NewPod, Pods, hash_of, is_ready
from steward.testing.linkerd.simulation.statuses import write_status

REVISION = "controller-revision-hash"
_NAME = "statefulset.kubernetes.io/pod-name"
_RETRY = timedelta(seconds=1)


class StatefulSets:
    """Keeps and rolls the pods of a StatefulSet: partition, OnDelete, ordered or parallel."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._cluster = pods.cluster

    def reconcile(self, namespace: str, name: str) -> None:
        """One step."""
        found = self._cluster.find(STATEFUL_SETS, name, namespace)
        if found is None:
            return
        revision = f"{name}-{hash_of(table(found, 'spec', 'template'))}"
        pods = {_ordinal(pod): pod for pod in self._pods.of(found)}
        wanted = whole(found, "spec", "replicas", default=1)
        if not self._fill(found, pods, wanted, revision):
            self._roll(found, pods, wanted, revision)
        for ordinal in sorted((one for one in pods if one >= wanted), reverse=True)[:1]:
            self._pods.delete(pods[ordinal])
        self._report(found, revision)

    def _fill(self, found: JsonObject, pods: dict[int, JsonObject], wanted: int, revision: str) -> bool:
        """Create missing pods; True while one of them is not ready yet."""
        in_order = text(found, "spec", "podManagementPolicy") != "Parallel"
        for ordinal in range(wanted):
            if ordinal not in pods:
                self._create(found, ordinal, revision)
                if in_order:
                    return True
            elif in_order and not is_ready(pods[ordinal]):
                return not _is_outdated(pods[ordinal], revision) or bool(
                    text(pods[ordinal], "metadata", "deletionTimestamp")
                )
        return False

    def _create(self, found: JsonObject, ordinal: int, revision: str) -> None:
        namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
        strategy_partition = whole(found, "spec", "updateStrategy", "rollingUpdate", "partition")
        known = text(found, "status", "currentRevision") or revision
        mine = known if ordinal < strategy_partition else revision
        pod = f"{name}-{ordinal}"
        try:
            labels = {REVISION: mine, _NAME: pod, "apps.kubernetes.io/pod-index": str(ordinal)}
            self._pods.create(found, NewPod(pod, labels, self._pods.node()))
        except Refusal:
            self._pods.engine.later(
                _RETRY, lambda: self._pods.engine.mark(("StatefulSet", namespace, name)), counts=False
            )

    def _roll(self, found: JsonObject, pods: dict[int, JsonObject], wanted: int, revision: str) -> None:
        """From the highest number down to the partition, one at a time, only while all above are ready."""
        if text(found, "spec", "updateStrategy", "type") == "OnDelete":
            return
        partition = whole(found, "spec", "updateStrategy", "rollingUpdate", "partition")
        for ordinal in range(wanted - 1, partition - 1, -1):
            pod = pods.get(ordinal)
            if pod is None:
                return
            if _is_outdated(pod, revision):
                self._pods.delete(pod)
                return
            if not is_ready(pod):
                return

    def _report(self, found: JsonObject, revision: str) -> None:
        namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
        alive = [pod for pod in self._pods.of(found) if not text(pod, "metadata", "deletionTimestamp")]
        wanted = whole(found, "spec", "replicas", default=1)
        ready = sum(is_ready(pod) for pod in alive)
        updated = [pod for pod in alive if not _is_outdated(pod, revision)]
        done = len(updated) == wanted == len(alive) and all(map(is_ready, updated))
        current = revision if done else text(found, "status", "currentRevision") or revision
        status: JsonObject = {
            "observedGeneration": whole(found, "metadata", "generation"),
            "replicas": len(alive),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": sum(texts(pod, "metadata", "labels").get(REVISION) == current for pod in alive),
            "updatedReplicas": len(updated),
            "currentRevision": current,
            "updateRevision": revision,
            "collisionCount": 0,
        }
        write_status(self._cluster, STATEFUL_SETS, name, status, namespace)


def _ordinal(pod: JsonObject) -> int:
    return int(text(pod, "metadata", "name").rpartition("-")[2])


def _is_outdated(pod: JsonObject, revision: str) -> bool:
    return texts(pod, "metadata", "labels").get(REVISION) != revision
