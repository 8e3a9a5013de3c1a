"""A shop of Services, profiles and routes as the API server gives them, and policies for it."""

from datetime import timedelta

from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.objectives.facts import (
    POLICY,
    MeshFacts,
    grpc_route_facts,
    http_route_facts,
    profile_facts,
    service_facts,
)
from steward.jsonvalue import Json, JsonObject
from steward.linkerd.version import Version
from steward.resources.alert_policy import AlertPolicy, AlertPolicySpec, LatencyObjective, Objective, TargetRef
from steward.resources.base import ObjectMeta

NAMESPACE = "shop"
ADDRESS = "web.shop.svc.cluster.local"
SUCCESS = Objective(name="success", success_percent=99.9)
FAST = Objective(name="fast", latency=LatencyObjective(within_milliseconds=500, percent=99))
WEB = TargetRef(name="web")


def metadata(name: str, namespace: str = NAMESPACE, annotations: dict[str, str] | None = None) -> JsonObject:
    """Of any object."""
    return {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}


def service(
    name: str = "web",
    namespace: str = NAMESPACE,
    *,
    ports: tuple[JsonObject, ...] = ({"port": 8080, "targetPort": 8080, "name": "http"},),
    annotations: dict[str, str] | None = None,
    **spec: Json,
) -> JsonObject:
    """A Service with a cluster IP, whose pods are labelled `app`."""
    selector: JsonObject = {"app": name}
    return {
        "metadata": metadata(name, namespace, annotations),
        "spec": {"clusterIP": "10.0.0.1", "selector": selector, "ports": list(ports), **spec},
    }


def profile(
    name: str = ADDRESS,
    namespace: str = NAMESPACE,
    *,
    routes: tuple[str, ...] = ("GET /list",),
    annotations: dict[str, str] | None = None,
    **spec: Json,
) -> JsonObject:
    """A ServiceProfile."""
    written: list[Json] = [{"name": route, "condition": {"method": "GET"}} for route in routes]
    return {"metadata": metadata(name, namespace, annotations), "spec": {"routes": written, **spec}}


def route(
    name: str = "list",
    namespace: str = NAMESPACE,
    *,
    parents: tuple[JsonObject, ...] = ({"group": "core", "kind": "Service", "name": "web"},),
    rules: int = 1,
    annotations: dict[str, str] | None = None,
    accepted: bool | None = None,
) -> JsonObject:
    """An HTTPRoute or a GRPCRoute: they differ by their kind alone."""
    written: list[Json] = [{} for _ in range(rules)]
    status: JsonObject = {}
    if accepted is not None:
        condition: JsonObject = {
            "type": "Accepted",
            "status": str(accepted),
            "reason": "Accepted" if accepted else "NoMatchingParent",
        }
        status = {"parents": [{"controllerName": "linkerd.io/policy-controller", "conditions": [condition]}]}
    spec: JsonObject = {"parentRefs": list(parents), "rules": written}
    return {"metadata": metadata(name, namespace, annotations), "spec": spec, "status": status}


def mesh(
    *services: JsonObject,
    profiles: tuple[JsonObject, ...] = (),
    http: tuple[JsonObject, ...] = (),
    grpc: tuple[JsonObject, ...] = (),
    own: tuple[JsonObject, ...] = (),
) -> MeshFacts:
    """What is known of them; `own` are HTTPRoutes of Linkerd's group. Without Services there is `web`."""
    return MeshFacts.gathered(
        [service_facts(each) for each in services or (service(),)],
        [profile_facts(each) for each in profiles],
        [
            *(http_route_facts(each) for each in http),
            *(http_route_facts(each, POLICY) for each in own),
            *(grpc_route_facts(each) for each in grpc),
        ],
    )


def policy(*objectives: Objective, targets: tuple[TargetRef, ...] = (WEB,), **spec: object) -> AlertPolicy:
    """A policy `slo` for the shop."""
    return AlertPolicy(
        metadata=ObjectMeta(name="slo", namespace=NAMESPACE),
        spec=AlertPolicySpec(targets=targets, objectives=objectives or (SUCCESS,), **spec),  # type: ignore[arg-type] # given by tests
    )


def monitoring(
    *,
    retention: timedelta | None = timedelta(days=15),
    evaluation: timedelta = timedelta(minutes=1),
    linkerd: str = "edge-26.8.3",
) -> Monitoring:
    """A Prometheus with the scrape configuration of viz."""
    return Monitoring(
        ScrapeProfile(ScrapeKind.VIZ), linkerd=Version.parse(linkerd), retention=retention, evaluation=evaluation
    )
