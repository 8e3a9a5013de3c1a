"""What policies are rendered for: the Services, ServiceProfiles and routes of files, or those of the cluster."""

from collections.abc import Iterable, Sequence

from steward.alerting.objectives.facts import (
    POLICY,
    MeshFacts,
    Place,
    PortFacts,
    ServiceFacts,
    grpc_route_facts,
    http_route_facts,
    profile_facts,
    service_facts,
)
from steward.cli.alerts.documents import Document
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.mesh_resources import GRPC_ROUTES, HTTP_ROUTES, POLICY_HTTP_ROUTES, SERVICE_PROFILES
from steward.kube.resources import SERVICES, Resource
from steward.resources import AlertPolicy
from steward.resources.alert_policy import TargetKind

CONTEXT = frozenset({"Service", "ServiceProfile", "HTTPRoute", "GRPCRoute"})
"""Kinds of objects in files that say what policies are for."""


def facts_in(documents: Iterable[Document], policies: Sequence[AlertPolicy]) -> tuple[MeshFacts, tuple[Place, ...]]:
    """What files say of the mesh; and the Services that they do not hold and that are taken to be there. Pure."""
    found: dict[str, list[JsonObject]] = {kind: [] for kind in CONTEXT}
    for each in documents:
        if not each.openslo:
            found.get(each.kind, []).append(each.content)
    services = [service_facts(each) for each in found["Service"]]
    known = {each.place for each in services}
    wanted = {
        Place(policy.metadata.namespace, target.name)
        for policy in policies
        for target in policy.spec.targets
        if target.kind is TargetKind.SERVICE
    }
    assumed = tuple(sorted(wanted - known))
    facts = MeshFacts.gathered(
        services=[*services, *map(_assumed, assumed)],
        profiles=map(profile_facts, found["ServiceProfile"]),
        routes=(
            *(http_route_facts(each, _group(each)) for each in found["HTTPRoute"]),
            *map(grpc_route_facts, found["GRPCRoute"]),
        ),
    )
    return facts, assumed


async def facts_of(kube: Kube) -> MeshFacts:
    """What the cluster says of the mesh."""
    return MeshFacts.gathered(
        services=map(service_facts, await _all(kube, SERVICES)),
        profiles=map(profile_facts, await _all(kube, SERVICE_PROFILES)),
        routes=(
            *map(http_route_facts, await _all(kube, HTTP_ROUTES)),
            *(http_route_facts(each, POLICY) for each in await _all(kube, POLICY_HTTP_ROUTES)),
            *map(grpc_route_facts, await _all(kube, GRPC_ROUTES)),
        ),
    )


async def _all(kube: Kube, resource: Resource) -> list[JsonObject]:
    if resource.group and not await kube.serves(resource):
        return []
    return (await kube.list(resource)).items


def _assumed(place: Place) -> ServiceFacts:
    """A Service as most are: one port, and pods that are called as it is."""
    return ServiceFacts(place, (PortFacts(80, "http", target=80),), (("app", place.name),))


def _group(route: JsonObject) -> str:
    return text(route, "apiVersion").partition("/")[0]
