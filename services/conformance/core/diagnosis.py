"""The four rungs, climbed once when a probe has failed: objects, control plane, proxies, traffic.

Causes read what these steps found, under the names that stand here.
"""

from dataclasses import dataclass
from datetime import timedelta

from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import (
    Calls,
    Destinations,
    InboundPolicy,
    Looked,
    OutboundPolicy,
    Pages,
    Profile,
    Step,
)
from services.conformance.core.targets import at_pod, native, number
from steward.kube import mesh_resources as mesh
from steward.kube.resources import CONFIG_MAPS, ENDPOINT_SLICES, PODS, SERVICES, Resource
from steward.linkerd.marks import COMPONENT
from steward.linkerd.mesh_config import TRUST_ROOTS

CLIENT_PODS = "why-client-pods"
SERVER_PODS = "why-server-pods"
SERVICE = "why-service"
SLICES = "why-slices"
PROFILES = "why-profiles"
ROUTES = "why-routes"
SERVERS = "why-servers"
AUTHORIZATIONS = "why-authorizations"
NETWORKS = "why-network-policies"
ROOTS = "why-trust-roots"
CONTROL_PLANE = "why-control-plane"
DESTINATIONS = "why-destinations"
PROFILE = "why-profile"
OUTBOUND = "why-outbound-policy"
INBOUND = "why-inbound-policy"
CLIENT_BEFORE = "why-client-page-before"
SERVER_BEFORE = "why-server-page-before"
CLIENT_AFTER = "why-client-page-after"
SERVER_AFTER = "why-server-page-after"
BY_SERVICE = "why-by-service"
BY_POD = "why-by-pod-address"
FROM_UNMESHED = "why-from-unmeshed"

READER = "cu"
"""Pages are read from outside of the mesh: a proxy whose certificate has expired shows them to nobody else."""

_PLAIN = ("su", "cu")
_LONGER = timedelta(seconds=2)
_VERSIONS = ("v1", "v2")


@dataclass(frozen=True, slots=True)
class Scene:
    """Between whom a probe plays. Its `steps` are what `Probe.diagnosis` wants."""

    service: str = "sm"
    server: str = "sm"
    client: str = "cm"
    port: Port | int = Port.HTTP

    def steps(self, stage: Stage) -> tuple[Step, ...]:
        """All four rungs. A step that cannot be done costs nothing but what it would have told."""
        return (*self._objects(stage), *self._control_plane(stage), *self._proxies_and_traffic(stage))

    def _objects(self, stage: Stage) -> tuple[Step, ...]:
        home = stage.plain if self.service in _PLAIN else stage.meshed
        reads: list[Step] = [
            Looked(CLIENT_PODS, PODS, _home(stage, self.client), labels=pod_labels(self.client)),
            Looked(SERVER_PODS, PODS, _home(stage, self.server), labels=pod_labels(self.server)),
            Looked(SERVICE, SERVICES, home, names=(self.service,)),
            Looked(SLICES, ENDPOINT_SLICES, home, labels=f"kubernetes.io/service-name={self.service}"),
            Looked(NETWORKS, mesh.NETWORK_POLICIES, stage.meshed),
            Looked(ROOTS, CONFIG_MAPS, stage.linkerd_namespace, names=(TRUST_ROOTS,)),
            Looked(CONTROL_PLANE, PODS, stage.linkerd_namespace, labels=COMPONENT),
        ]
        configured: tuple[tuple[Need, str, Resource], ...] = (
            (Need.SERVICE_PROFILE, PROFILES, mesh.SERVICE_PROFILES),
            (Need.GATEWAY_HTTP_ROUTE, ROUTES, mesh.HTTP_ROUTES),
            (Need.SERVER_POLICY, SERVERS, mesh.SERVERS),
            (Need.SERVER_POLICY, AUTHORIZATIONS, mesh.AUTHORIZATION_POLICIES),
        )
        reads += [Looked(name, resource, stage.meshed) for need, name, resource in configured if need in stage.has]
        return tuple(reads)

    def _control_plane(self, stage: Stage) -> tuple[Step, ...]:
        authority = f"{stage.service(self.service)}:{number(self.port)}"
        return (
            Destinations(DESTINATIONS, authority),
            Profile(PROFILE, authority),
            OutboundPolicy(OUTBOUND, stage.meshed, authority),
            InboundPolicy(INBOUND, self.server, number(self.port)),
        )

    def _proxies_and_traffic(self, stage: Stage) -> tuple[Step, ...]:
        port = self.port if isinstance(self.port, Port) else Port.HTTP
        # All at once, for where nothing is answered each takes as long as a call may: longer than detection waits.
        patience = (stage.timings.detect + _LONGER).total_seconds()
        at_once = {"keep": False, "timeout_seconds": patience, "concurrency": 3}
        once = native(stage, self.service, port, times=3).model_copy(update=at_once)
        if self.port is not port:
            once = once.model_copy(update={"target": once.target.model_copy(update={"port": number(self.port)})})
        direct = once.model_copy(update={"target": at_pod(stage, self.server, self.port)})
        return (
            Pages(CLIENT_BEFORE, self.client, READER),
            Pages(SERVER_BEFORE, self.server, READER),
            Calls(BY_SERVICE, self.client, once),
            Calls(BY_POD, self.client, direct),
            Calls(FROM_UNMESHED, "cu", direct),
            Pages(CLIENT_AFTER, self.client, READER),
            Pages(SERVER_AFTER, self.server, READER),
        )


def pod_labels(actor: str) -> str:
    """The selector of an actor's pods; those of both versions are the pods of `sm`."""
    return "app=sm" if actor in _VERSIONS else f"app={actor}"


def _home(stage: Stage, actor: str) -> str:
    return stage.plain if actor in _PLAIN else stage.meshed
