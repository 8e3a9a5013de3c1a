"""Deployments and ReplicaSets: a new ReplicaSet for each template, rolled forward within surge and unavailability."""

from datetime import datetime, timedelta
from math import ceil, floor

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, texts, whole
from steward.kube.resources import DEPLOYMENTS, REPLICA_SETS
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.metadata import stamp
from steward.testing.kubernetes.refusal import Refusal
from steward.testing.kubernetes.store import copied
from steward.testing.linkerd.simulation.pods import NewPod, Pods, hash_of, is_ready, paused, reference
from steward.testing.linkerd.simulation.statuses import write_annotation, write_status

_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
_RETRY = timedelta(seconds=1)


def share(value: Json, of: int, *, up: bool) -> int:
    """A number, or a percentage of `of`."""
    if isinstance(value, str) and value.endswith("%"):
        part = of * int(value[:-1]) / 100
        return ceil(part) if up else floor(part)
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else 0


class ReplicaSets:
    """Keeps the number of pods of a ReplicaSet."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._cluster = pods.cluster

    def reconcile(self, namespace: str, name: str) -> None:
        """Create what is missing, delete what is too much, and report."""
        found = self._cluster.find(REPLICA_SETS, name, namespace)
        if found is None:
            return
        wanted = whole(found, "spec", "replicas")
        mine = self._pods.of(found)
        alive = [pod for pod in mine if not text(pod, "metadata", "deletionTimestamp")]
        failure = ""
        for _ in range(wanted - len(alive)):
            try:
                self._pods.create(found, NewPod(labels=_hash_label(found), node=self._pods.node()))
            except Refusal as refused:
                failure = refused.message
                self._pods.engine.later(
                    _RETRY, lambda: self._pods.engine.mark(("ReplicaSet", namespace, name)), counts=False
                )
                break
        surplus = sorted(alive, key=is_ready)[: max(0, len(alive) - wanted)]
        for pod in surplus:
            self._pods.delete(pod)
        self._report(found, failure)

    def _report(self, found: JsonObject, failure: str) -> None:
        alive = [pod for pod in self._pods.of(found) if not text(pod, "metadata", "deletionTimestamp")]
        ready = sum(is_ready(pod) for pod in alive)
        status: JsonObject = {
            "replicas": len(alive),
            "fullyLabeledReplicas": len(alive),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": whole(found, "metadata", "generation"),
            "conditions": [],
        }
        if failure:
            now = stamp(self._cluster.clock.now())
            status["conditions"] = [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": failure,
                    "lastTransitionTime": now,
                }
            ]
        name, namespace = text(found, "metadata", "name"), text(found, "metadata", "namespace")
        write_status(self._cluster, REPLICA_SETS, name, status, namespace)


class Deployments:
    """Rolls a Deployment from ReplicaSet to ReplicaSet."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._cluster = pods.cluster

    def reconcile(self, namespace: str, name: str) -> None:
        """One step of the roll, as far as surge and unavailability allow."""
        found = self._cluster.find(DEPLOYMENTS, name, namespace)
        if found is None:
            return
        current = self._current(found)
        if current is not None:
            old = [one for one in self._sets(found) if one is not current and _uid(one) != _uid(current)]
            self._scale(found, current, old)
            self._forget_oldest(found, old)
        self._report(found, current)

    def _sets(self, deployment: JsonObject) -> list[JsonObject]:
        store = self._cluster.store
        places = store.dependents.get(_uid(deployment), {})
        found = [store.get(where, key) for where, key in places if where == ("apps", "replicasets")]
        return sorted((one for one in found if one is not None), key=_revision)

    def _current(self, deployment: JsonObject) -> JsonObject | None:
        """The ReplicaSet of the present template; made where there is none, unless the Deployment is paused."""
        digest = hash_of(table(deployment, "spec", "template"))
        sets = self._sets(deployment)
        for one in sets:
            if texts(one, "metadata", "labels").get(_HASH) == digest:
                return self._renumbered(one, sets)
        if paused(deployment):
            return None
        template = copied(table(deployment, "spec", "template"))
        metadata = table(template, "metadata")
        labels: JsonObject = {**table(metadata, "labels"), _HASH: digest}
        selector: JsonObject = {"matchLabels": {**table(deployment, "spec", "selector", "matchLabels"), _HASH: digest}}
        template["metadata"] = {**metadata, "labels": labels}
        revision = max((_revision(one) for one in sets), default=0) + 1
        name, namespace = text(deployment, "metadata", "name"), text(deployment, "metadata", "namespace")
        body: JsonObject = {
            "metadata": {
                "name": f"{name}-{digest}",
                "labels": labels,
                "annotations": {_REVISION: str(revision)},
                "ownerReferences": [reference(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        write_annotation(self._cluster, DEPLOYMENTS, deployment, _REVISION, str(revision))
        return self._cluster.create(REPLICA_SETS, body, namespace)

    def _renumbered(self, one: JsonObject, sets: list[JsonObject]) -> JsonObject:
        """A template that comes back is the newest revision again."""
        newest = max(_revision(other) for other in sets)
        if _revision(one) == newest:
            return one
        return write_annotation(self._cluster, REPLICA_SETS, one, _REVISION, str(newest + 1))

    def _scale(self, deployment: JsonObject, current: JsonObject, old: list[JsonObject]) -> None:
        wanted = whole(deployment, "spec", "replicas", default=1)
        if paused(deployment):
            return
        if text(deployment, "spec", "strategy", "type") == "Recreate":
            for one in old:
                self._resize(one, 0)
            if not any(self._pods.of(one) for one in old):
                self._resize(current, wanted)
            return
        surge, unavailable = _limits(deployment, wanted)
        elsewhere = sum(whole(one, "spec", "replicas") for one in old)
        mine = whole(current, "spec", "replicas")
        target = min(wanted, max(mine, wanted + surge - elsewhere)) if elsewhere else wanted
        self._resize(current, target)
        self._shrink(current, old, wanted - unavailable)

    def _shrink(self, current: JsonObject, old: list[JsonObject], least: int) -> None:
        """Take from the old ones what is not ready, then as much as the new ones replace."""
        ready_now = sum(is_ready(pod) for pod in self._pods.of(current))
        # A set that was told to shrink may not have done so yet: its surplus pods are as good as gone.
        ready_before = {
            _uid(one): min(whole(one, "spec", "replicas"), sum(is_ready(pod) for pod in self._pods.of(one)))
            for one in old
        }
        spare = ready_now + sum(ready_before.values()) - least
        for one in old:
            size = whole(one, "spec", "replicas")
            dead = size - ready_before[_uid(one)]
            take = min(size, max(0, dead) + max(0, min(spare, ready_before[_uid(one)])))
            spare -= max(0, take - max(0, dead))
            self._resize(one, size - take)

    def _resize(self, replica_set: JsonObject, replicas: int) -> None:
        if whole(replica_set, "spec", "replicas") == replicas:
            return
        name, namespace = text(replica_set, "metadata", "name"), text(replica_set, "metadata", "namespace")
        self._cluster.patch(REPLICA_SETS, name, Patch("merge", {"spec": {"replicas": replicas}}), namespace)

    def _forget_oldest(self, deployment: JsonObject, old: list[JsonObject]) -> None:
        empty = [one for one in old if not whole(one, "spec", "replicas") and not self._pods.of(one)]
        kept = whole(deployment, "spec", "revisionHistoryLimit", default=10)
        for one in sorted(empty, key=_revision)[: max(0, len(empty) - kept)]:
            self._cluster.remove(self._cluster.kinds.of(REPLICA_SETS), one)

    def _report(self, deployment: JsonObject, current: JsonObject | None) -> None:
        name, namespace = text(deployment, "metadata", "name"), text(deployment, "metadata", "namespace")
        sets = self._sets(deployment)
        alive = [
            (one, pod) for one in sets for pod in self._pods.of(one) if not text(pod, "metadata", "deletionTimestamp")
        ]
        ready = sum(is_ready(pod) for _, pod in alive)
        updated = [pod for one, pod in alive if current is not None and _uid(one) == _uid(current)]
        wanted = whole(deployment, "spec", "replicas", default=1)
        done = len(updated) == wanted == len(alive) and sum(map(is_ready, updated)) == wanted
        progressing, again = self._progress(deployment, current, done=done)
        status: JsonObject = {
            "observedGeneration": whole(deployment, "metadata", "generation"),
            "replicas": len(alive),
            "updatedReplicas": len(updated),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
            "conditions": [self._available(deployment, ready, wanted), progressing],
        }
        write_status(self._cluster, DEPLOYMENTS, name, status, namespace)
        if again is not None:
            self._pods.engine.later(
                again, lambda: self._pods.engine.mark(("Deployment", namespace, name)), counts=False
            )

    def _available(self, deployment: JsonObject, ready: int, wanted: int) -> JsonObject:
        _, unavailable = _limits(deployment, wanted)
        holds = ready >= wanted - unavailable
        reason = "MinimumReplicasAvailable" if holds else "MinimumReplicasUnavailable"
        message = f"Deployment {'has' if holds else 'does not have'} minimum availability."
        return self._dated(deployment, "Available", reason, message, holds=holds)

    def _progress(
        self, deployment: JsonObject, current: JsonObject | None, *, done: bool
    ) -> tuple[JsonObject, timedelta | None]:
        """The Progressing condition, and when it must be looked at again because its deadline may have passed."""
        set_name = text(current or {}, "metadata", "name")
        if done or current is None:
            message = f'ReplicaSet "{set_name}" has successfully progressed.'
            return self._dated(deployment, "Progressing", "NewReplicaSetAvailable", message, holds=True), None
        before = _condition(deployment, "Progressing")
        same = set_name in text(before, "message") and text(before, "reason") != "NewReplicaSetAvailable"
        began = datetime.fromisoformat(text(before, "lastUpdateTime")) if same else self._cluster.clock.now()
        deadline = timedelta(seconds=whole(deployment, "spec", "progressDeadlineSeconds", default=600))
        passed = self._cluster.clock.now() - began
        if passed >= deadline:
            message = f'ReplicaSet "{set_name}" has timed out progressing.'
            failed = self._dated(deployment, "Progressing", "ProgressDeadlineExceeded", message, holds=False)
            return failed | {"lastUpdateTime": stamp(began)}, None
        message = f'ReplicaSet "{set_name}" is progressing.'
        going = self._dated(deployment, "Progressing", "ReplicaSetUpdated", message, holds=True)
        return going | {"lastUpdateTime": stamp(began)}, None if same else deadline

    def _dated(self, deployment: JsonObject, kind: str, reason: str, message: str, *, holds: bool) -> JsonObject:
        now = stamp(self._cluster.clock.now())
        before = _condition(deployment, kind)
        status = "True" if holds else "False"
        unchanged = text(before, "status") == status
        same = unchanged and (text(before, "reason"), text(before, "message")) == (reason, message)
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": text(before, "lastTransitionTime") if unchanged else now,
            "lastUpdateTime": text(before, "lastUpdateTime") if same else now,
        }


def _limits(deployment: JsonObject, wanted: int) -> tuple[int, int]:
    rolling = ("spec", "strategy", "rollingUpdate")
    surge_value, unavailable_value = dig(deployment, *rolling, "maxSurge"), dig(deployment, *rolling, "maxUnavailable")
    surge = share("25%" if surge_value is None else surge_value, wanted, up=True)
    unavailable = share("25%" if unavailable_value is None else unavailable_value, wanted, up=False)
    # Both zero would never move; Kubernetes resolves that in favour of unavailability.
    return surge, unavailable if surge or unavailable else 1


def _condition(workload: JsonObject, kind: str) -> JsonObject:
    return next((one for one in rows(workload, "status", "conditions") if text(one, "type") == kind), {})


def _hash_label(replica_set: JsonObject) -> dict[str, str]:
    return {_HASH: texts(replica_set, "metadata", "labels").get(_HASH, "")}


def _revision(replica_set: JsonObject) -> int:
    return int(texts(replica_set, "metadata", "annotations").get(_REVISION, "0") or 0)


def _uid(thing: JsonObject) -> str:
    return text(thing, "metadata", "uid")
