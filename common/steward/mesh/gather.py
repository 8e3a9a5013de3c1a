"""One look at a mesh: everything that `steward.linkerd` reads, page by page, trimmed at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Gone
from steward.kube.resources import (
    CONFIG_MAPS,
    CRDS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    STATEFUL_SETS,
    Resource,
)
from steward.linkerd import marks
from steward.linkerd.control_plane import CrdFacts, Sighting, read_control_plane, trim_crd
from steward.linkerd.inventory import Inventory, Seen
from steward.linkerd.mesh_config import CONFIG_MAP, TRUST_ROOTS
from steward.linkerd.ownership import (
    OVERRIDES_SECRET,
    Installers,
    MarkedObject,
    Ownership,
    newest_releases,
    ownership_of,
)
from steward.linkerd.pods import trim
from steward.linkerd.workloads import WorkloadFacts, trim_namespace, trim_workload

T = TypeVar("T")

GATEWAY_CRDS = ("httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io")
"""Linkerd needs the first; both tell the installed release of the Gateway API and who owns it."""
WORKLOADS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)
_BEGIN_AGAIN = 3


@dataclass(frozen=True, slots=True)
class Installation:
    """The objects that tell what is installed and by whom."""

    config_map: JsonObject | None
    trust_roots: JsonObject | None
    crds: tuple[CrdFacts, ...]


async def gather(kube: Kube, namespace: str = "linkerd", *, secrets: bool = False) -> Inventory:
    """The inventory of the mesh whose control plane is in `namespace`.

    With `secrets` also what Helm and the Linkerd CLI keep in Secrets, which needs the right to list them there.
    """
    # One after the other: nothing waits for this, and a failure leaves no request behind without an owner.
    installation = await read_installation(kube, namespace)
    namespaces = await read_trimmed(kube, NAMESPACES, trim_namespace)
    workloads: tuple[WorkloadFacts, ...] = ()
    for resource in WORKLOADS:
        workloads += await read_trimmed(kube, resource, trim_workload)
    pods = await read_trimmed(kube, PODS, trim)
    installers = await read_installers(kube, namespace) if secrets else Installers()
    control_plane = read_control_plane(
        Sighting(
            namespace=namespace,
            config_map=installation.config_map,
            trust_roots=installation.trust_roots,
            workloads=workloads,
            pods=tuple(pod for pod in pods if pod.namespace == namespace),
            crds=installation.crds,
        )
    )
    return Inventory.of(
        kube.clock.now(),
        control_plane,
        ownership_of(marked_objects(installation, workloads, namespace), installers) if control_plane else None,
        Seen(namespaces, workloads, pods),
    )


async def gather_ownership(kube: Kube, namespace: str = "linkerd") -> Ownership:
    """Who installed the control plane in `namespace`, with the evidence of Helm's and the CLI's Secrets."""
    installation = await read_installation(kube, namespace)
    workloads = await read_trimmed(kube, DEPLOYMENTS, trim_workload, namespace=namespace)
    installers = await read_installers(kube, namespace)
    return ownership_of(marked_objects(installation, workloads, namespace), installers)


async def read_installation(kube: Kube, namespace: str) -> Installation:
    """linkerd-config, the trust bundle, Linkerd's CRDs and those of the Gateway API."""
    config_map = await kube.find(CONFIG_MAPS, CONFIG_MAP, namespace)
    trust_roots = await kube.find(CONFIG_MAPS, TRUST_ROOTS, namespace)
    crds = await read_trimmed(kube, CRDS, trim_crd, labels=f"{marks.CONTROL_PLANE_NS}={namespace}")
    for name in GATEWAY_CRDS:
        found = await kube.find(CRDS, name)
        if found is not None and all(each.name != name for each in crds):
            crds += (trim_crd(found),)
    return Installation(config_map, trust_roots, crds)


async def read_installers(kube: Kube, namespace: str) -> Installers:
    """Helm's releases and the CLI's own Secret; of a Secret only its labels and annotations are kept."""
    releases = await kube.list(SECRETS, namespace, labels="owner=helm")
    overrides = await kube.find(SECRETS, OVERRIDES_SECRET, namespace)
    return Installers(
        releases=newest_releases(releases.items),
        overrides=MarkedObject.of(overrides, "Secret") if overrides is not None else None,
    )


def marked_objects(
    installation: Installation, workloads: tuple[WorkloadFacts, ...], namespace: str
) -> tuple[MarkedObject, ...]:
    """The objects whose marks say who installed them; CRDs of the Gateway API belong to whoever they belong to."""
    config = (MarkedObject.of(installation.config_map, "ConfigMap"),) if installation.config_map is not None else ()
    deployments = (
        MarkedObject(str(each.ref), dict(each.labels), dict(each.annotations))
        for each in workloads
        if each.ref.namespace == namespace and each.component
    )
    definitions = (
        MarkedObject(f"CustomResourceDefinition {each.name}", each.labels, each.annotations)
        for each in installation.crds
        if each.name not in GATEWAY_CRDS
    )
    return (*config, *deployments, *definitions)


async def read_trimmed(
    kube: Kube,
    resource: Resource,
    trimmed: Callable[[JsonObject], T],
    *,
    namespace: str | None = None,
    labels: str = "",
) -> tuple[T, ...]:
    """A list of which never more than a page is held whole."""
    for _ in range(_BEGIN_AGAIN):
        found: list[T] = []
        try:
            async for page in kube.pages(resource, namespace, labels=labels):
                found += (trimmed(item) for item in page.items)
        except Gone:
            # The server forgot the version of the first page: what was read does not fit what would come.
            continue
        return tuple(found)
    listing = await kube.list(resource, namespace, labels=labels)
    return tuple(trimmed(item) for item in listing.items)
