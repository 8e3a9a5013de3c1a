"""Preflight: what mesh and cluster have, and whether we may do what a run does."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from services.conformance.core.capability import ClusterSeen
from services.conformance.core.manifests import LIMIT_RANGES, PRIORITY_CLASSES, RESOURCE_QUOTAS
from steward.jsonvalue import JsonObject, flag, rows, text, texts
from steward.kube.client import Kube
from steward.kube.errors import Forbidden, KubeError
from steward.kube.mesh_resources import NETWORK_POLICIES
from steward.kube.resources import (
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from steward.linkerd import marks
from steward.linkerd.control_plane import Sighting, read_control_plane
from steward.linkerd.pods import trim
from steward.linkerd.workloads import trim_workload
from steward.mesh.gather import read_installation

VIZ = "linkerd.io/extension=viz"
_ZONE = "topology.kubernetes.io/zone"
_NEEDED: tuple[tuple[str, Resource], ...] = (
    ("create", NAMESPACES),
    ("delete", NAMESPACES),
    *((verb, resource) for resource in (DEPLOYMENTS, STATEFUL_SETS, SERVICES, SERVICE_ACCOUNTS, RESOURCE_QUOTAS,
                                        LIMIT_RANGES, NETWORK_POLICIES) for verb in ("create", "patch")),
    ("list", PODS),
    ("list", CRDS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Looks, and changes nothing."""

    kube: Kube
    namespace: str
    priority_class: str = ""
    prometheus: bool = False
    ingress: bool = False

    async def survey(self) -> tuple[ClusterSeen, str]:
        """What this cluster and its mesh have, and the API server's version."""
        installation = await read_installation(self.kube, self.namespace)
        deployments = (await self.kube.list(DEPLOYMENTS, self.namespace, labels=marks.COMPONENT)).items
        pods = (await self.kube.list(PODS, self.namespace)).items
        control_plane = read_control_plane(
            Sighting(
                namespace=self.namespace,
                config_map=installation.config_map,
                trust_roots=installation.trust_roots,
                workloads=tuple(trim_workload(each) for each in deployments),
                pods=tuple(trim(each) for each in pods),
                crds=installation.crds,
            )
        )
        version = await self.kube.server_version()
        if control_plane is None:
            missing = f"no Linkerd control plane in namespace {self.namespace!r}: install it, or name its namespace"
            return ClusterSeen(kubernetes_version=version, problems=(missing,)), version
        if control_plane.config is None:
            return ClusterSeen(kubernetes_version=version, problems=(control_plane.problem,)), version
        nodes = await self._nodes()
        config = control_plane.config
        seen = ClusterSeen(
            kubernetes_version=version,
            linkerd=control_plane.version,
            crds=await self._crds(),
            nodes=len(nodes),
            zones=len({zone for each in nodes if (zone := texts(each, "metadata", "labels").get(_ZONE, ""))}),
            proxies=_proxies(pods),
            families=_families(pods),
            cni=config.cni,
            native_sidecar=control_plane.native_sidecar,
            viz=bool((await self.kube.list(NAMESPACES, labels=VIZ)).items),
            prometheus=self.prometheus,
            ingress=self.ingress,
            priority_class=await self._has_priority_class(),
            pod_logs=await self.kube.access("get", PODS, subresource="log"),
            linkerd_namespace=self.namespace,
            trust_domain=config.trust_domain or "cluster.local",
            cluster_domain=config.cluster_domain,
        )
        return seen, version

    async def refusals(self) -> tuple[str, ...]:
        """The rights that are missing, in sentences."""
        missing: list[str] = []
        for verb, resource in _NEEDED:
            try:
                allowed = await self.kube.access(verb, resource)
            except KubeError as error:
                return (f"it cannot be told what we may do: {error}",)
            if not allowed:
                missing.append(f"we may not {verb} {resource}: apply the ClusterRole of conformance")
        return tuple(missing)

    async def _crds(self) -> frozenset[str]:
        found = (await self.kube.list(CRDS)).items
        return frozenset(
            text(each, "metadata", "name")
            for each in found
            if any(
                text(condition, "type") == "Established" and text(condition, "status") == "True"
                for condition in rows(each, "status", "conditions")
            )
        )

    async def _nodes(self) -> Sequence[JsonObject]:
        try:
            nodes = (await self.kube.list(NODES)).items
        except Forbidden:
            return ()
        return [each for each in nodes if not flag(each, "spec", "unschedulable")]

    async def _has_priority_class(self) -> bool:
        if not self.priority_class:
            return False
        try:
            return await self.kube.find(PRIORITY_CLASSES, self.priority_class) is not None
        except Forbidden:
            return False


def _proxies(pods: Sequence[JsonObject]) -> tuple[str, ...]:
    labels = {facts.proxy.label for facts in (trim(each) for each in pods) if facts.proxy is not None}
    return tuple(sorted(label for label in labels if label))


def _families(pods: Sequence[JsonObject]) -> frozenset[int]:
    """IP versions of the control plane's pods, which live in the same network as everybody's."""
    found: set[int] = set()
    for pod in pods:
        for each in rows(pod, "status", "podIPs") or [{"ip": text(pod, "status", "podIP")}]:
            try:
                found.add(ip_address(text(each, "ip")).version)
            except ValueError:
                continue
    return frozenset(found or {4})
