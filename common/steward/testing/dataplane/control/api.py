"""The destination and policy gRPC services of one control-plane pod, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from steward.jsonvalue import JsonObject, text
from steward.kube.resources import PODS
from steward.proxy_api.answers import from_wire
from steward.proxy_api.client import DESTINATION, DESTINATION_PORT, INBOUND, OUTBOUND, POLICY_PORT
from steward.proxy_api.destination_pb2 import DestinationProfile, GetDestination, Update, WeightedAddrSet
from steward.proxy_api.inbound_pb2 import PortSpec, Server
from steward.proxy_api.outbound_pb2 import OutboundPolicy, TrafficSpec
from steward.testing.dataplane.config import Endpoint, Meta, Protocol
from steward.testing.dataplane.control.controller import ControlPlane
from steward.testing.dataplane.control.discovery import Asked, Client
from steward.testing.dataplane.control.profiles import profile_of
from steward.testing.dataplane.control.targets import target_of
from steward.testing.dataplane.control.wire_inbound import inbound_server, profile_routes, retry_budget
from steward.testing.dataplane.control.wire_outbound import outbound_policy, weighted
from steward.testing.dataplane.control.wire_shared import metadata
from steward.testing.dataplane.control.world import meta_of, name_of, namespace_of, proxy_of

if TYPE_CHECKING:
    Gets = grpc.aio.ServicerContext[GetDestination, Update]
    GetsProfile = grpc.aio.ServicerContext[GetDestination, DestinationProfile]
    GetsOutbound = grpc.aio.ServicerContext[TrafficSpec, OutboundPolicy]
    GetsInbound = grpc.aio.ServicerContext[PortSpec, Server]

_NOT_FOUND, _INVALID = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT


class ControllerPod:
    """Serves both APIs at the address inside of one destination pod, whose name tells replicas apart."""

    def __init__(self, plane: ControlPlane, pod: str) -> None:
        self._plane = plane
        self._pod = pod
        self._servers: list[grpc.aio.Server] = []
        self._ended = asyncio.Event()
        self.ports: tuple[int, ...] = ()
        """Where destination and policy listen."""

    async def start(self, address: str, *, destination: int = DESTINATION_PORT, policy: int = POLICY_PORT) -> None:
        """Listen; a port of 0 is any free one."""
        for port, services in ((destination, self._destination()), (policy, self._policy())):
            server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
            server.add_generic_rpc_handlers(tuple(services))
            self.ports = (*self.ports, server.add_insecure_port(f"{address}:{port}"))
            await server.start()
            self._servers.append(server)

    async def stop(self) -> None:
        """End every call and listen no more."""
        self._ended.set()
        for server in self._servers:
            await server.stop(None)

    def _destination(self) -> list[grpc.GenericRpcHandler]:
        handlers = {
            "Get": grpc.unary_stream_rpc_method_handler(self._get, GetDestination.FromString, Update.SerializeToString),
            "GetProfile": grpc.unary_stream_rpc_method_handler(
                self._get_profile, GetDestination.FromString, DestinationProfile.SerializeToString
            ),
        }
        return [grpc.method_handlers_generic_handler(DESTINATION.lstrip("/"), handlers)]

    def _policy(self) -> list[grpc.GenericRpcHandler]:
        outbound = grpc.unary_unary_rpc_method_handler(
            self._get_outbound, TrafficSpec.FromString, OutboundPolicy.SerializeToString
        )
        inbound = grpc.unary_unary_rpc_method_handler(self._get_port, PortSpec.FromString, Server.SerializeToString)
        return [
            grpc.method_handlers_generic_handler(OUTBOUND.lstrip("/"), {"Get": outbound}),
            grpc.method_handlers_generic_handler(INBOUND.lstrip("/"), {"GetPort": inbound}),
        ]

    async def _get(self, asked: GetDestination, context: "Gets") -> AsyncIterator[Update]:
        service = self._service(asked.path)
        if service is None:
            await context.abort(_INVALID, f"Invalid authority: {asked.path}")
        name, namespace, port, hostname = service
        if self._plane.directory.service(name, namespace) is None:
            await context.abort(_NOT_FOUND, f"Service {name}.{namespace} not found")
        client = self._client(asked.context_token)
        await self._answering(client)
        told: tuple[Endpoint, ...] = ()
        while not self._ended.is_set():
            heard = self._plane.refreshes
            found = self._plane.directory.endpoints(Asked(name, namespace, port, hostname), client, replica=self._pod)
            # Nothing is said of a Service without endpoints, as long as it never had any.
            if found != told:
                told = found
                labels = {"namespace": namespace, "service": name}
                yield Update(add=WeightedAddrSet(addrs=[weighted(one) for one in found], metric_labels=labels))
            await self._plane.refresh_after(heard)

    async def _get_profile(self, asked: GetDestination, context: "GetsProfile") -> AsyncIterator[DestinationProfile]:
        client = self._client(asked.context_token)
        await self._answering(client)
        found = self._profile(asked.path, client)
        if found is None:
            await context.abort(_INVALID, f"Invalid authority: {asked.path}")
        yield found
        await self._ended.wait()

    async def _get_outbound(self, asked: TrafficSpec, context: "GetsOutbound") -> OutboundPolicy:
        namespace, pod = self._workload(asked.source_workload)
        client = self._client_of(namespace, pod)
        if asked.WhichOneof("target") == "addr":
            ip, port = from_wire(asked.addr.ip), int(asked.addr.port)
        else:
            ip, port = self._cluster_ip(asked.authority)
        if not port:
            await context.abort(_INVALID, "port must be nonzero")
        await self._answering(client)
        target = target_of(self._plane.directory, ip, port, client) if ip else None
        if target is None or target.undefined_port or (target.parent.kind == "default" and ip):
            await context.abort(_NOT_FOUND, f"No such policy: {ip}:{port}")
        return outbound_policy(target)

    async def _get_port(self, asked: PortSpec, context: "GetsInbound") -> Server:
        namespace, name = self._workload(asked.workload)
        pod = self._plane.world.find(PODS, name, namespace)
        if not 0 < asked.port < 65536:
            await context.abort(_INVALID, f"Invalid port: {asked.port}")
        if pod is None:
            await context.abort(_NOT_FOUND, "unknown server")
        await self._answering(self._client_of(namespace, name))
        return inbound_server(self._plane.policy_of(pod, int(asked.port)))

    async def _answering(self, client: Client) -> None:
        """A controller that is broken for this client takes calls and says nothing."""
        while not self._plane.destination_is_up(client) and not self._ended.is_set():
            await self._plane.next_refresh()

    def _profile(self, path: str, client: Client) -> DestinationProfile | None:
        host, _, port = path.rpartition(":")
        if not host or not port.isdigit():
            return None
        pod, service = self._plane.world.pod_at(host), self._plane.world.service_at(host)
        if pod is not None:
            return self._pod_profile(pod, int(port), client)
        named = self._service(path)
        if service is None and named is not None:
            service = self._plane.directory.service(named[0], named[1])
        if service is None:
            return DestinationProfile(retry_budget=retry_budget(None))
        return self._service_profile(service, int(port), client)

    def _service_profile(self, service: JsonObject, port: int, client: Client) -> DestinationProfile:
        directory = self._plane.directory
        profile = profile_of(directory, service, port, client)
        name = directory.world.service_name(service)
        reference = Meta("linkerd.io", "", name if profile else "", namespace_of(service) if profile else "")
        return DestinationProfile(
            fully_qualified_name=name,
            opaque_protocol=directory.protocol(service, port, client) is Protocol.OPAQUE,
            routes=profile_routes(profile) if profile else [],
            retry_budget=retry_budget(profile),
            parent_ref=metadata(meta_of(service, port=port)),
            profile_ref=metadata(reference),
        )

    def _pod_profile(self, pod: JsonObject, port: int, client: Client) -> DestinationProfile:
        endpoint = self._plane.directory.at_pod(pod, port, client)
        opaque = proxy_of(pod) is not None and endpoint.opaque
        return DestinationProfile(
            opaque_protocol=opaque,
            retry_budget=retry_budget(None),
            endpoint=weighted(endpoint),
            parent_ref=metadata(Meta("core", "Pod", name_of(pod), namespace_of(pod), port)),
        )

    def _service(self, authority: str) -> tuple[str, str, int, str] | None:
        """Name, namespace, port and the pod's name of `pod.name.namespace.svc.domain:port`."""
        host, _, port = authority.rpartition(":")
        suffix = f".svc.{self._plane.world.values.cluster_domain}"
        if not host.endswith(suffix) or not port.isdigit():
            return None
        words = host.removesuffix(suffix).split(".")
        if len(words) not in (2, 3):
            return None
        return words[-2], words[-1], int(port), words[0] if len(words) == 3 else ""

    def _cluster_ip(self, authority: str) -> tuple[str, int]:
        named = self._service(authority)
        service = self._plane.directory.service(named[0], named[1]) if named else None
        return text(service or {}, "spec", "clusterIP"), named[2] if named else 0

    def _workload(self, word: str) -> tuple[str, str]:
        """Namespace and pod of `namespace:pod`, or of the JSON that proxies send."""
        try:
            said = loads(word)
        except JSONDecodeError:
            namespace, _, pod = word.partition(":")
            return namespace, pod
        return (text(said, "ns"), text(said, "pod")) if isinstance(said, dict) else ("", "")

    def _client(self, token: str) -> Client:
        try:
            said = loads(token)
        except JSONDecodeError:
            said = {}
        if not isinstance(said, dict):
            return Client()
        node = text(said, "nodeName")
        return Client(text(said, "pod"), text(said, "ns"), node, self._plane.world.zone_of(node))

    def _client_of(self, namespace: str, pod: str) -> Client:
        found = self._plane.world.find(PODS, pod, namespace) or {}
        node = text(found, "spec", "nodeName")
        return Client(pod, namespace, node, self._plane.world.zone_of(node))
