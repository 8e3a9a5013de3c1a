"""The ExternalWorkload of a probe, and what is to be seen of it: in EndpointSlices, and in what destination tells.

Linkerd takes the identity of such a workload for a URI, as SPIRE gives them, and no pod of the cast has one. So the
workload points at ports of a pod whose own identity is another: a client without a proxy is led there, and one with a
proxy must refuse whom it finds. No other probe dials these ports by the pod's address: whoever does is told of the
workload, as long as it is there.
"""

from collections.abc import Iterable

from services.conformance.core import objects as made
from services.conformance.core.stage import SPARE_PORTS, Stage
from services.conformance.core.targets import SERVER_ACCOUNT, place_of
from services.conformance.core.told import ToldEndpoint
from steward.jsonvalue import Json, JsonObject, flag, rows, strings, text, texts, whole
from steward.kube import mesh_resources as mesh

OUTSIDE = "p-outside"
ACTOR = "sp"
HTTP, OPAQUE = SPARE_PORTS.stop - 1, SPARE_PORTS.stop - 2
MANAGER = "linkerd-external-workloads-controller"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
PREFIX = f"linkerd-external-{OUTSIDE}"


def identity(stage: Stage) -> str:
    """What the workload is said to be. Nobody is."""
    return f"spiffe://{stage.trust_domain}/{stage.meshed}/{OUTSIDE}"


def _ports() -> tuple[JsonObject, ...]:
    return tuple(made.service_port(port) for port in (HTTP, OPAQUE))


def front(stage: Stage) -> JsonObject:
    """The Service that selects the workload, and no pod."""
    return made.service(stage, OUTSIDE, {"app": OUTSIDE}, *_ports())


def workload(stage: Stage) -> JsonObject:
    """Asked for by the name of the pod that it points at, so that this pod does answer, as who it is."""
    documented: list[Json] = [
        {"name": text(port, "name"), "port": whole(port, "port"), "protocol": "TCP"} for port in _ports()
    ]
    spec: JsonObject = {
        "meshTLS": {"identity": identity(stage), "serverName": stage.identity(SERVER_ACCOUNT)},
        "workloadIPs": [{"ip": place_of(stage, ACTOR).ip}],
        "ports": documented,
    }
    thing = made.manifest(stage, mesh.EXTERNAL_WORKLOADS, OUTSIDE, spec)
    return made.annotated(made.labelled(thing, app=OUTSIDE), **{made.OPAQUE_PORTS: str(OPAQUE)})


def status(stage: Stage, *, ready: bool) -> JsonObject:
    """The status of the workload, as whoever looks after it would write it."""
    thing = made.manifest(stage, mesh.EXTERNAL_WORKLOADS, OUTSIDE)
    condition: JsonObject = {"type": "Ready", "status": "True" if ready else "False", "reason": "Probed"}
    return thing | {
        "metadata": {"name": OUTSIDE, "namespace": stage.meshed},
        "status": {"conditions": [condition]},
    }


def own(slices: Iterable[JsonObject]) -> list[JsonObject]:
    """Those slices that Linkerd's controller writes."""
    return [each for each in slices if texts(each, "metadata", "labels").get(MANAGED_BY) == MANAGER]


def differences(stage: Stage, slices: Iterable[JsonObject], *, ready: bool) -> str:
    """What the slices of Linkerd's controller say otherwise than the workload; nothing where they agree."""
    ours = own(slices)
    endpoints = [each for one in ours for each in rows(one, "endpoints")]
    if not endpoints:
        return f"no slice of {MANAGER} has an endpoint"
    facts: dict[str, tuple[object, object]] = {
        "name": (True, all(text(one, "metadata", "name").startswith(PREFIX) for one in ours)),
        "addresses": ([place_of(stage, ACTOR).ip], [ip for each in endpoints for ip in strings(each, "addresses")]),
        "targetRef": (["ExternalWorkload/" + OUTSIDE], [_referred(each) for each in endpoints]),
        "ready": ([ready], [flag(each, "conditions", "ready", default=True) for each in endpoints]),
        "ports": (sorted((HTTP, OPAQUE)), sorted(whole(port, "port") for one in ours for port in rows(one, "ports"))),
    }
    return "; ".join(f"{name} {seen} instead of {right}" for name, (right, seen) in facts.items() if right != seen)


def _referred(endpoint: JsonObject) -> str:
    return f"{text(endpoint, 'targetRef', 'kind')}/{text(endpoint, 'targetRef', 'name')}"


def wanted(stage: Stage, *, opaque: bool) -> ToldEndpoint:
    """What destination must tell of one of its ports."""
    return ToldEndpoint(
        ip=place_of(stage, ACTOR).ip,
        port=OPAQUE if opaque else HTTP,
        identity=identity(stage),
        opaque=opaque,
        pod="",
        server_name=stage.identity(SERVER_ACCOUNT),
        h2=not opaque,
    )


def written(endpoint: ToldEndpoint) -> str:
    """One endpoint in words, with all that a proxy is told of it."""
    hint = "opaque" if endpoint.opaque else "h2" if endpoint.h2 else "no hint"
    return f"{endpoint} as {endpoint.identity or 'nobody'} by the name {endpoint.server_name or 'none'}, {hint}"
