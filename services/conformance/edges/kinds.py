"""From a manifest's `apiVersion` and `kind` to its place under the API server, as the API server itself tells."""

from dataclasses import dataclass, field

from services.conformance.core.ports import Unable
from steward.jsonvalue import JsonObject, flag, rows, text
from steward.kube.client import Kube
from steward.kube.errors import NotFound
from steward.kube.mesh_resources import MESH_RESOURCES, TRAFFIC_SPLITS
from steward.kube.resources import (
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    JOBS,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)

_WORKLOADS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, JOBS, CRON_JOBS, PODS)
PROBED = (*MESH_RESOURCES, TRAFFIC_SPLITS, SERVICES, ENDPOINT_SLICES, CONFIG_MAPS, SERVICE_ACCOUNTS, *_WORKLOADS)
"""Whatever probes apply, workloads last: what stands in front of them goes first."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What was asked once is remembered: a definition that is deleted shows in the answer to the next request."""

    kube: Kube
    _known: dict[tuple[str, str], Resource] = field(default_factory=dict)

    async def of(self, thing: JsonObject) -> Resource:
        """The resource of a manifest; raises Unable where the cluster has no such kind."""
        version, kind = text(thing, "apiVersion"), text(thing, "kind")
        if (version, kind) not in self._known:
            await self._discover(version)
        found = self._known.get((version, kind))
        if found is None:
            raise Unable(
                "UnknownKind", f"the cluster has no {kind} in {version}: is its CustomResourceDefinition there?"
            )
        return found

    async def _discover(self, api_version: str) -> None:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{version}"
        try:
            listed = await self.kube.request("GET", path)
        except NotFound:
            return
        for each in rows(listed, "resources"):
            plural = text(each, "name")
            if "/" not in plural:
                resource = Resource(group, version, plural, text(each, "kind"), namespaced=flag(each, "namespaced"))
                self._known[(api_version, resource.kind)] = resource
