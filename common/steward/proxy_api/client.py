"""`ProxyApi`: asks a controller of Linkerd what it would tell a proxy.

    async with ProxyApi("10.42.0.7:8086") as destination:
        found = await destination.endpoints("web.shop.svc.cluster.local:80")

Destination answers `endpoints` and `profile` (port 8086), the policy controller `outbound_policy` and `inbound_policy`
(port 8090). Both speak plain gRPC to anybody, as proxies do before they have an identity of their own.
"""

from collections.abc import Awaitable
from datetime import timedelta
from json import dumps
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from steward.jsonvalue import JsonObject
from steward.proxy_api.answers import Endpoints, ProxyApiError, as_json, endpoints_of, to_wire
from steward.proxy_api.destination_pb2 import DestinationProfile, GetDestination, Update
from steward.proxy_api.inbound_pb2 import PortSpec, Server
from steward.proxy_api.net_pb2 import TcpAddress
from steward.proxy_api.outbound_pb2 import OutboundPolicy, TrafficSpec

DESTINATION = "/io.linkerd.proxy.destination.Destination"
INBOUND = "/io.linkerd.proxy.inbound.InboundServerPolicies"
OUTBOUND = "/io.linkerd.proxy.outbound.OutboundPolicies"
DESTINATION_PORT = 8086
POLICY_PORT = 8090

_PATIENCE = timedelta(seconds=2)
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # Else channels to the same address share a connection, and a replica that was replaced would still be asked.
    ("grpc.use_local_subchannel_pool", 1),
)

Answer = TypeVar("Answer")


def context_token(namespace: str, node: str = "", pod: str = "") -> str:
    """How a proxy says where it is, so that destination can filter by zone and node."""
    return dumps({"ns": namespace, "nodeName": node, "pod": pod})


class ProxyApi:
    """One controller. `timeout` bounds every question: a silent stream is an error of code `DeadlineExceeded`."""

    def __init__(self, target: str, *, timeout: timedelta = _PATIENCE) -> None:
        self.target = target
        self._timeout = timeout.total_seconds()
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)

    async def __aenter__(self) -> "ProxyApi":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def endpoints(self, authority: str, *, context: str = "") -> Endpoints:
        """The endpoints of `name.namespace.svc.domain:port`; none are told about a Service that has none."""
        get = self._channel.unary_stream(
            f"{DESTINATION}/Get",
            request_serializer=GetDestination.SerializeToString,
            response_deserializer=Update.FromString,
        )
        asked = GetDestination(scheme="k8s", path=authority, context_token=context)
        update = await self._first(get(asked, timeout=self._timeout))
        return endpoints_of(as_json(update))

    async def profile(self, address: str, *, context: str = "") -> JsonObject:
        """The profile of `ip:port` or of an authority."""
        get = self._channel.unary_stream(
            f"{DESTINATION}/GetProfile",
            request_serializer=GetDestination.SerializeToString,
            response_deserializer=DestinationProfile.FromString,
        )
        asked = GetDestination(path=address, context_token=context)
        profile = await self._first(get(asked, timeout=self._timeout))
        return as_json(profile)

    async def outbound_policy(self, workload: str, ip: str, port: int) -> JsonObject:
        """What the proxy of `workload` (`namespace:pod`) is told about an address that its application dials."""
        get = self._channel.unary_unary(
            f"{OUTBOUND}/Get",
            request_serializer=TrafficSpec.SerializeToString,
            response_deserializer=OutboundPolicy.FromString,
        )
        asked = TrafficSpec(source_workload=workload, addr=TcpAddress(ip=to_wire(ip), port=port))
        return as_json(await self._only(get(asked, timeout=self._timeout)))

    async def inbound_policy(self, workload: str, port: int) -> JsonObject:
        """What the proxy of `workload` (`namespace:pod`) is told about one of its own ports."""
        get = self._channel.unary_unary(
            f"{INBOUND}/GetPort",
            request_serializer=PortSpec.SerializeToString,
            response_deserializer=Server.FromString,
        )
        return as_json(await self._only(get(PortSpec(workload=workload, port=port), timeout=self._timeout)))

    async def _only(self, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error

    async def _first(self, call: "grpc.aio.UnaryStreamCall[Message, Answer]") -> Answer:
        try:
            async for message in call:
                return message
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        finally:
            call.cancel()
        raise ProxyApiError("Unavailable", f"{self.target} ended the stream without a message")

    def _error(self, error: grpc.aio.AioRpcError) -> ProxyApiError:
        code = "".join(word.capitalize() for word in error.code().name.split("_"))
        return ProxyApiError(code, error.details() or f"{self.target} gave no reason")
