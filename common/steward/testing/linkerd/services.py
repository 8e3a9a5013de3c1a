"""The Services of a control plane, as data."""

from dataclasses import dataclass

from steward.jsonvalue import JsonObject
from steward.testing.linkerd.objects import COMPONENT, CREATED_BY, labelled, labels_of, thing


@dataclass(frozen=True, slots=True)
class ServiceShape:
    """One Service: name, component behind it, its one port."""

    name: str
    component: str
    port_name: str
    port: int
    target: int | str
    headless: bool = False
    opaque: bool = False


SERVICES = (
    ServiceShape("linkerd-identity", "identity", "grpc", 8080, 8080),
    ServiceShape("linkerd-identity-headless", "identity", "grpc", 8080, 8080, headless=True),
    ServiceShape("linkerd-dst", "destination", "grpc", 8086, 8086),
    ServiceShape("linkerd-dst-headless", "destination", "grpc", 8086, 8086, headless=True),
    ServiceShape("linkerd-sp-validator", "destination", "sp-validator", 443, "sp-validator"),
    ServiceShape("linkerd-policy", "destination", "grpc", 8090, 8090, headless=True),
    ServiceShape("linkerd-policy-validator", "destination", "policy-https", 443, "policy-https"),
    ServiceShape("linkerd-proxy-injector", "proxy-injector", "proxy-injector", 443, "proxy-injector", opaque=True),
)


def of_service(shape: ServiceShape, created_by: str) -> JsonObject:
    """The Service."""
    annotations = {CREATED_BY: created_by}
    if shape.opaque:
        annotations["config.linkerd.io/opaque-ports"] = str(shape.port)
    result = labelled(thing("v1", "Service", shape.name), labels_of(shape.component), annotations)
    result["spec"] = {
        **({"clusterIP": "None"} if shape.headless else {"type": "ClusterIP"}),
        "selector": {COMPONENT: shape.component},
        "ports": [{"name": shape.port_name, "port": shape.port, "targetPort": shape.target}],
    }
    return result
