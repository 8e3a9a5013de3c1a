"""Restarts: one value in a workload's pod template, under a field manager of its own.

The marker is a value and not a time, so setting it again changes nothing. It has its own field manager because an
apply says everything that its manager owns: under the manager of the control plane's manifests, a restart of a
workload that we had also applied would take the rest of it away.
"""

from dataclasses import dataclass

from services.upgrader.core.orders import Broken, Done, Outcome, Refused, Restart
from steward.jsonvalue import JsonObject, dig, rows, text, texts
from steward.kube.client import Kube
from steward.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from steward.kube.resources import DAEMON_SETS, DEPLOYMENTS, STATEFUL_SETS, Resource
from steward.linkerd import marks

MANAGER = "linkerd-steward-restart"
_RESOURCES: dict[str, Resource] = {each.kind: each for each in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)}


@dataclass(frozen=True, slots=True)
class WorkloadEdge:
    """The workloads that get new proxies."""

    kube: Kube

    async def restart(self, restart: Restart) -> Outcome:
        """Set the marker and stamp the workload, unless both are there already."""
        ref = restart.workload
        resource = _RESOURCES.get(ref.kind)
        if resource is None:
            return Refused("Unsupported", f"{ref} cannot be restarted: its kind is none whose template makes new pods")
        try:
            live = await self.kube.get(resource, ref.name, ref.namespace)
            refusal = _refusal(restart, live)
            if refusal is not None:
                return refusal
            if _marked(live) == restart.marker:
                return Done(f"{ref} already has the marker {restart.marker}", changed=False)
            await self.kube.apply(resource, _body(restart, live), manager=MANAGER, force=False)
        except NotFound:
            return Refused("Gone", f"{ref} does not exist any more")
        except Conflict as error:
            return _contested(restart, error)
        except (Invalid, Forbidden) as error:
            return Refused("Rejected", f"{ref} cannot be restarted: {error.message}")
        except KubeError as error:
            return Broken("ApiServerUnavailable", f"{ref} could not be restarted: {error}")
        return Done(f"{ref} got the marker {restart.marker}")


def _refusal(restart: Restart, live: JsonObject) -> Refused | None:
    ref = restart.workload
    if text(live, "metadata", "uid") != restart.uid:
        return Refused("Replaced", f"{ref} was deleted and made again since it was decided on; look at it anew")
    if dig(live, "metadata", "deletionTimestamp") is not None:
        return Refused("Gone", f"{ref} is being deleted")
    if dig(live, "spec", "paused") is True:
        return Refused("Paused", f"{ref} is paused: a new template has no effect until `kubectl rollout resume`")
    return None


def _marked(live: JsonObject) -> str:
    return texts(live, "spec", "template", "metadata", "annotations").get(marks.PROXY_TARGET, "")


def _body(restart: Restart, live: JsonObject) -> JsonObject:
    """Exactly the two annotations. The uid makes it a Conflict where another workload took the name meanwhile."""
    return {
        "metadata": {
            "name": restart.workload.name,
            "namespace": restart.workload.namespace,
            "uid": text(live, "metadata", "uid"),
            "annotations": {marks.LAST_OPERATION: restart.operation_id},
        },
        "spec": {"template": {"metadata": {"annotations": {marks.PROXY_TARGET: restart.marker}}}},
    }


def _contested(restart: Restart, error: Conflict) -> Outcome:
    """Somebody else owns the marker: a GitOps tool has it in its manifests. There is no winning against one."""
    if error.managers:
        return Refused(
            "Contested",
            f"{restart.workload} has the marker of another owner ({'; '.join(error.managers)[:300]}): "
            f"remove {marks.PROXY_TARGET} from the manifests that it comes from",
        )
    return Broken("Changed", f"{restart.workload} changed while it was being restarted")


def last_writers(live: JsonObject) -> tuple[str, ...]:
    """Who owns fields of the object, newest first: whoever removed a marker is among them."""
    entries = sorted(rows(live, "metadata", "managedFields"), key=lambda entry: text(entry, "time"), reverse=True)
    return tuple(dict.fromkeys(text(entry, "manager") for entry in entries))
