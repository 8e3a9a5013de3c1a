"""EndpointSlices that a probe writes itself, where no controller would say what it needs."""

from services.conformance.core.fronts import front
from services.conformance.core.objects import manifest
from services.conformance.core.stage import Place, Port, Stage
from services.conformance.core.targets import number, place_of
from steward.jsonvalue import Json, JsonObject, table
from steward.kube.resources import ENDPOINT_SLICES

CLOSED_PORT = 8199
"""Nothing listens there in any pod of the cast."""


def bare_service(stage: Stage, name: str) -> JsonObject:
    """A Service that selects nothing: its endpoints are what slices say."""
    made = front(stage, name, {})
    return made | {"spec": {"ports": table(made, "spec")["ports"]}}


def unmeshed_endpoint(stage: Stage, name: str, port: Port | int = CLOSED_PORT) -> JsonObject:
    """The slice of a Service whose only endpoint is a port of the unmeshed server; by default one that is closed."""
    return _slice(
        stage, name, number(port), ({"addresses": [place_of(stage, "su").ip], "conditions": {"ready": True}},)
    )


def hinted(stage: Stage, name: str, places: tuple[Place, ...]) -> JsonObject:
    """The slice of a Service before these pods, each hinted to the clients of its own zone."""
    return _slice(stage, name, number(Port.HTTP), tuple(_hint(place) for place in places))


def _hint(place: Place) -> JsonObject:
    return {
        "addresses": [place.ip],
        "conditions": {"ready": True},
        "nodeName": place.node,
        "zone": place.zone,
        "hints": {"forZones": [{"name": place.zone}]},
        "targetRef": {"kind": "Pod", "name": place.pod, "namespace": place.namespace},
    }


def _slice(stage: Stage, name: str, port: int, endpoints: tuple[JsonObject, ...]) -> JsonObject:
    made = manifest(stage, ENDPOINT_SLICES, f"{name}-by-hand")
    metadata = table(made, "metadata")
    labels = table(metadata, "labels") | {"kubernetes.io/service-name": name}
    listed: list[Json] = [*endpoints]
    return made | {
        "metadata": metadata | {"labels": labels},
        "addressType": "IPv4",
        "endpoints": listed,
        "ports": [{"name": str(Port.HTTP), "port": port, "protocol": "TCP"}],
    }
