"""A node drained of a probe's own pods: each is asked to go, as `kubectl drain` asks, and again while it may not."""

from collections.abc import Sequence
from datetime import timedelta

from services.conformance.core.draining import drained, is_of
from services.conformance.core.evidence import Drained, Turned
from services.conformance.core.ports import Cluster, Unable
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Evicted, Looked
from steward.clock import Clock
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import PODS

_AGAIN = timedelta(seconds=1)
_NOT_NOW = 429


async def evicted(step: Evicted, stage: Stage, cluster: Cluster, clock: Clock) -> Drained:
    """Which pods went from which node, and which were not let go. Node and everybody else on it are left alone."""
    if step.namespace not in (stage.meshed, stage.plain):
        raise Unable("OutOfBounds", f"{step.namespace!r} is no namespace of the run: nothing else is ever evicted")
    pods = await cluster.look(Looked(step.name, PODS, step.namespace, labels=f"app={step.actor}"))
    node, going = drained(pods)
    if not node:
        raise Unable("NotSpread", f"the {len(pods)} pods of {step.actor} are not on two nodes")
    _must_be_ours(going, stage)
    deadline = clock.monotonic() + step.bound.total_seconds()
    refused = {text(pod, "metadata", "name"): await _asked(pod, cluster, clock, deadline) for pod in going}
    return Drained(
        node=node,
        before=tuple(sorted(text(pod, "metadata", "name") for pod in pods)),
        gone=tuple(sorted(name for name, why in refused.items() if not why)),
        refused={name: why for name, why in refused.items() if why},
    )


def _must_be_ours(pods: Sequence[JsonObject], stage: Stage) -> None:
    """By their labels and by where they really are, whatever was asked for."""
    for pod in pods:
        if text(pod, "metadata", "namespace") not in (stage.meshed, stage.plain) or not is_of(pod, stage.owner):
            name = text(pod, "metadata", "name")
            raise Unable("OutOfBounds", f"pod {name!r} does not carry the labels of this run: it is not evicted")


async def _asked(pod: JsonObject, cluster: Cluster, clock: Clock, deadline: float) -> str:
    """Why a pod was not let go; empty where it was."""
    while True:
        turned = await cluster.evict(pod)
        if not isinstance(turned, Turned):
            return ""
        if turned.status != _NOT_NOW or clock.monotonic() >= deadline:
            return f"{turned.status}: {turned.message}"
        await clock.sleep(_AGAIN)
