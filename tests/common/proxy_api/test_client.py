import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from json import loads
from typing import TypeAlias

import grpc
import grpc.aio
import pytest

from steward.proxy_api.answers import ProxyApiError, from_wire, to_wire
from steward.proxy_api.client import DESTINATION, INBOUND, OUTBOUND, ProxyApi, context_token
from steward.proxy_api.destination_pb2 import (
    DestinationProfile,
    GetDestination,
    NoEndpoints,
    ProtocolHint,
    TlsIdentity,
    Update,
    WeightedAddr,
    WeightedAddrSet,
)
from steward.proxy_api.inbound_pb2 import PortSpec, Server
from steward.proxy_api.net_pb2 import TcpAddress
from steward.proxy_api.outbound_pb2 import OutboundPolicy, TrafficSpec

AMPLE, SHORT = timedelta(seconds=20), timedelta(milliseconds=300)
"""For answers that come, and for those that must not."""
IDENTITY = "web.shop.serviceaccount.identity.linkerd.cluster.local"

Asking: TypeAlias = "grpc.aio.ServicerContext[GetDestination, Update]"
AskingProfile: TypeAlias = "grpc.aio.ServicerContext[GetDestination, DestinationProfile]"
AskingOutbound: TypeAlias = "grpc.aio.ServicerContext[TrafficSpec, OutboundPolicy]"
AskingInbound: TypeAlias = "grpc.aio.ServicerContext[PortSpec, Server]"


async def get(asked: GetDestination, context: Asking) -> AsyncIterator[Update]:
    if asked.path.startswith("nosuch"):
        await context.abort(grpc.StatusCode.NOT_FOUND, "Service nosuch.shop not found")
    if asked.path.startswith("gone"):
        yield Update(no_endpoints=NoEndpoints(exists=False))
    elif asked.path.startswith("web"):
        address = WeightedAddr(
            addr=TcpAddress(ip=to_wire("10.42.0.7"), port=8080),
            weight=10_000,
            metric_labels={"node": loads(asked.context_token)["nodeName"], "pod": "web-1"},
            tls_identity=TlsIdentity(dns_like_identity=TlsIdentity.DnsLikeIdentity(name=IDENTITY)),
            protocol_hint=ProtocolHint(
                h2=ProtocolHint.H2(), opaque_transport=ProtocolHint.OpaqueTransport(inbound_port=4143)
            ),
        )
        yield Update(add=WeightedAddrSet(addrs=[address], metric_labels={"service": "web"}))
    if not asked.path.startswith("ended"):
        await asyncio.Event().wait()


async def get_profile(asked: GetDestination, context: AskingProfile) -> AsyncIterator[DestinationProfile]:
    del context
    yield DestinationProfile(fully_qualified_name=asked.path.partition(":")[0], opaque_protocol=True)


async def get_policy(asked: TrafficSpec, context: AskingOutbound) -> OutboundPolicy:
    if not asked.addr.port:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no port")
    policy = OutboundPolicy()
    policy.metadata.resource.name = f"{asked.source_workload} {from_wire(asked.addr.ip)}"
    return policy


async def get_port(asked: PortSpec, context: AskingInbound) -> Server:
    del context
    return Server(server_ips=[to_wire("fd00::7")], labels={"workload": asked.workload, "port": str(asked.port)})


@asynccontextmanager
async def controller(patience: timedelta = AMPLE) -> AsyncIterator[ProxyApi]:
    server = grpc.aio.server()
    destination = {
        "Get": grpc.unary_stream_rpc_method_handler(get, GetDestination.FromString, Update.SerializeToString),
        "GetProfile": grpc.unary_stream_rpc_method_handler(
            get_profile, GetDestination.FromString, DestinationProfile.SerializeToString
        ),
    }
    policy = grpc.unary_unary_rpc_method_handler(get_policy, TrafficSpec.FromString, OutboundPolicy.SerializeToString)
    port = grpc.unary_unary_rpc_method_handler(get_port, PortSpec.FromString, Server.SerializeToString)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(DESTINATION.lstrip("/"), destination),
            grpc.method_handlers_generic_handler(OUTBOUND.lstrip("/"), {"Get": policy}),
            grpc.method_handlers_generic_handler(INBOUND.lstrip("/"), {"GetPort": port}),
        )
    )
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with ProxyApi(f"127.0.0.1:{number}", timeout=patience) as api:
        yield api
    await server.stop(None)


async def test_endpoints_are_told_with_identity_hints_and_labels() -> None:
    async with controller() as api:
        found = await api.endpoints("web.shop.svc.cluster.local:80", context=context_token("shop", "node-1", "cm"))
    (address,) = found.addresses
    assert found.targets == {"10.42.0.7:8080"}
    assert found.labels == {"service": "web"}
    assert (address.identity, address.h2, address.opaque, address.inbound_port) == (IDENTITY, True, False, 4143)
    assert address.labels == {"node": "node-1", "pod": "web-1"}
    assert found.answer["add"]["addrs"][0]["addr"] == {"ip": "10.42.0.7", "port": 8080}  # type: ignore[index,call-overload]


async def test_a_service_that_ceased_to_exist_has_no_endpoints() -> None:
    async with controller() as api:
        found = await api.endpoints("gone.shop.svc.cluster.local:80")
    assert (found.addresses, found.exists) == ((), False)


@pytest.mark.parametrize(
    ("authority", "code"),
    [("nosuch.shop:80", "NotFound"), ("silent.shop:80", "DeadlineExceeded"), ("ended.shop:80", "Unavailable")],
)
async def test_what_is_no_answer_is_an_error_with_the_name_of_its_code(authority: str, code: str) -> None:
    async with controller(SHORT if authority.startswith("silent") else AMPLE) as api:
        with pytest.raises(ProxyApiError) as refused:
            await api.endpoints(authority)
    assert refused.value.code == code


async def test_a_controller_that_is_not_there_is_unavailable() -> None:
    async with ProxyApi("127.0.0.1:1", timeout=AMPLE) as api:
        with pytest.raises(ProxyApiError) as refused:
            await api.inbound_policy("shop:web-1", 8080)
    assert refused.value.code == "Unavailable"


async def test_profiles_and_policies_are_json_with_addresses_as_text() -> None:
    async with controller() as api:
        assert await api.profile("10.96.0.3:80") == {"fullyQualifiedName": "10.96.0.3", "opaqueProtocol": True}
        outbound = await api.outbound_policy("shop:cm", "10.96.0.3", 80)
        assert outbound == {"metadata": {"resource": {"name": "shop:cm 10.96.0.3"}}}
        inbound = await api.inbound_policy("shop:web-1", 8080)
    assert inbound == {"serverIps": ["fd00::7"], "labels": {"workload": "shop:web-1", "port": "8080"}}


async def test_a_refused_question_says_why() -> None:
    async with controller() as api:
        with pytest.raises(ProxyApiError, match="InvalidArgument: no port"):
            await api.outbound_policy("shop:cm", "10.96.0.3", 0)


@pytest.mark.parametrize("address", ["0.0.0.0", "10.42.0.7", "::", "fd00::1:2:3"])
def test_addresses_survive_the_wire(address: str) -> None:
    assert from_wire(to_wire(address)) == address
