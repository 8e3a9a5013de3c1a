"""DaemonSets: one pod on every node, replaced within their unavailability. And Jobs, whose pods are never replaced."""

from datetime import timedelta

from steward.jsonvalue import JsonObject, dig, table, text, texts, whole
from steward.kube.resources import DAEMON_SETS, JOBS, NODES
from steward.testing.kubernetes.metadata import stamp
from steward.testing.kubernetes.refusal import Refusal
from steward.testing.linkerd.simulation.ordered import REVISION
from steward.testing.linkerd.simulation.pods import NewPod, Pods, finished_well, hash_of, is_ready
from steward.testing.linkerd.simulation.replicas import share
from steward.testing.linkerd.simulation.statuses import write_status

_RETRY = timedelta(seconds=1)


class DaemonSets:
    """Keeps and rolls the pods of a DaemonSet."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._cluster = pods.cluster

    def reconcile(self, namespace: str, name: str) -> None:
        """One step."""
        found = self._cluster.find(DAEMON_SETS, name, namespace)
        if found is None:
            return
        revision = hash_of(table(found, "spec", "template"))
        nodes = [text(node, "metadata", "name") for node in self._cluster.list(NODES)]
        pods = {text(pod, "spec", "nodeName"): pod for pod in self._pods.of(found)}
        for node in nodes:
            if node not in pods:
                self._create(found, node, revision)
        for node in pods.keys() - set(nodes):
            self._pods.delete(pods[node])
        self._roll(found, {node: pod for node, pod in pods.items() if node in nodes}, revision)
        self._report(found, len(nodes), revision)

    def _create(self, found: JsonObject, node: str, revision: str) -> None:
        namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
        generation = str(whole(found, "metadata", "generation"))
        try:
            labels = {REVISION: revision, "pod-template-generation": generation}
            self._pods.create(found, NewPod("", labels, node))
        except Refusal:
            self._pods.engine.later(
                _RETRY, lambda: self._pods.engine.mark(("DaemonSet", namespace, name)), counts=False
            )

    def _roll(self, found: JsonObject, pods: dict[str, JsonObject], revision: str) -> None:
        if text(found, "spec", "updateStrategy", "type") == "OnDelete":
            return
        limit = dig(found, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable")
        allowed = max(1, share(1 if limit is None else limit, len(pods), up=True))
        unready = [pod for pod in pods.values() if not is_ready(pod)]
        outdated = [pod for pod in pods.values() if _is_outdated(pod, revision)]
        budget = allowed - len([pod for pod in unready if not _is_outdated(pod, revision)])
        # What is not ready goes first: replacing it costs no availability.
        for pod in sorted(outdated, key=is_ready)[: max(0, budget)]:
            if not text(pod, "metadata", "deletionTimestamp"):
                self._pods.delete(pod)

    def _report(self, found: JsonObject, nodes: int, revision: str) -> None:
        namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
        alive = [pod for pod in self._pods.of(found) if not text(pod, "metadata", "deletionTimestamp")]
        ready = sum(is_ready(pod) for pod in alive)
        status: JsonObject = {
            "observedGeneration": whole(found, "metadata", "generation"),
            "desiredNumberScheduled": nodes,
            "currentNumberScheduled": len(alive),
            "updatedNumberScheduled": sum(not _is_outdated(pod, revision) for pod in alive),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": nodes - ready,
            "numberMisscheduled": 0,
        }
        write_status(self._cluster, DAEMON_SETS, name, status, namespace)


class Jobs:
    """Starts the pod of a Job once; what becomes of it is the test's affair."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._cluster = pods.cluster

    def reconcile(self, namespace: str, name: str) -> None:
        """One step."""
        found = self._cluster.find(JOBS, name, namespace)
        if found is None:
            return
        mine = self._pods.of(found)
        succeeded = sum(map(finished_well, mine))
        if not mine and not text(found, "status", "startTime"):
            try:
                self._pods.create(found, NewPod("", {"job-name": name}, self._pods.node()))
            except Refusal:
                self._pods.engine.later(_RETRY, lambda: self._pods.engine.mark(("Job", namespace, name)), counts=False)
                return
        status: JsonObject = {
            "startTime": text(found, "status", "startTime") or stamp(self._cluster.clock.now()),
            "active": len(self._pods.of(found)) - succeeded,
            "ready": sum(map(is_ready, mine)),
            "succeeded": succeeded,
        }
        write_status(self._cluster, JOBS, name, status, namespace)


def _is_outdated(pod: JsonObject, revision: str) -> bool:
    return texts(pod, "metadata", "labels").get(REVISION) != revision
