"""`tap`: listens to the requests of one Deployment by way of the API server, as `linkerd viz tap` does.

    async for event in tap(kube, Target("shop", "web", path="/cart")):
        ...

The API server asks whether we may `watch` `deployments/tap` in the group `tap.linkerd.io`, and passes the request on to
viz, which has the proxies tell. Nothing is heard before the first request that fits, not even that tap listens.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.message import DecodeError

from steward.kube.client import Kube
from steward.kube.errors import Answer, error_from
from steward.kube.resources import Resource
from steward.kube.transport import TransportFailure, WireRequest
from steward.proxy_api.answers import from_wire
from steward.proxy_api.net_pb2 import TcpAddress
from steward.viz import tap_pb2 as wire
from steward.viz.events import Peer, TapEvent, TapRefused, Told
from steward.viz.framing import ERROR_HEADER, Malformed, messages

GROUP, VERSION = "tap.linkerd.io", "v1alpha1"
TAPPED = Resource(GROUP, VERSION, "deployments", "Tap")
API_SERVICE = f"{VERSION}.{GROUP}"
"""The name of the APIService by which the API server finds tap."""
MAX_RPS = 100.0
_ACCEPTED = "application/octet-stream"
_TIMEOUT = timedelta(seconds=30)
_SILENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to listen to, and to which requests: those whose path begins so."""

    namespace: str
    deployment: str
    path: str = "/"


async def tap(kube: Kube, target: Target, *, silence: timedelta = _SILENCE) -> AsyncGenerator[TapEvent, None]:
    """Events as they come; raises `TapRefused` where there is nothing to listen to, or nothing more after `silence`."""
    try:
        async with kube.transport.opened(_request(target), silence) as found:
            if isinstance(found, Answer):
                raise TapRefused(found.code, error_from("tap", found).message)
            async with aclosing(messages(found.chunks)) as told:
                async for message in told:
                    if ERROR_HEADER in found.headers:
                        raise TapRefused(200, wire.ApiError.FromString(message).error)
                    event = event_of(wire.TapEvent.FromString(message))
                    if event is not None:
                        yield event
    except TransportFailure as failure:
        raise TapRefused(0, str(failure)) from failure
    except (DecodeError, Malformed) as error:
        raise TapRefused(200, f"what is told is not what tap tells: {error}") from error


def request_of(target: Target) -> wire.TapByResourceRequest:
    """What is asked of tap."""
    asked = wire.Resource(namespace=target.namespace, type="deployment", name=target.deployment)
    by_path = wire.TapByResourceRequest.Match(http=wire.TapByResourceRequest.Match.Http(path=target.path))
    every = wire.TapByResourceRequest.Match.Seq(matches=[by_path])
    return wire.TapByResourceRequest(
        target=wire.ResourceSelection(resource=asked),
        match=wire.TapByResourceRequest.Match(all=every),
        max_rps=MAX_RPS,
    )


def path_of(namespace: str, deployment: str) -> str:
    """Where tap is asked about a Deployment."""
    return f"/apis/{GROUP}/{VERSION}/watch/namespaces/{namespace}/deployments/{deployment}/tap"


def event_of(event: wire.TapEvent) -> TapEvent | None:
    """The event as a plain value; None for what is no HTTP, or of a kind that came later."""
    http = event.http
    match http.WhichOneof("event"):
        case "request_init":
            told, stream = Told.REQUEST, http.request_init.id
        case "response_init":
            told, stream = Told.RESPONSE, http.response_init.id
        case "response_end":
            told, stream = Told.END, http.response_end.id
        case _:
            return None
    return TapEvent(
        told=told,
        stream=(stream.base, stream.stream),
        inbound=event.proxy_direction == wire.TapEvent.INBOUND,
        source=_peer(event.source, event.source_meta),
        destination=_peer(event.destination, event.destination_meta),
        authority=http.request_init.authority,
        path=http.request_init.path,
        status=http.response_init.http_status if told is Told.RESPONSE else None,
    )


def _peer(address: TcpAddress, meta: wire.TapEvent.EndpointMeta) -> Peer:
    return Peer(from_wire(address.ip), address.port, dict(meta.labels))


def _request(target: Target) -> WireRequest:
    body = request_of(target).SerializeToString()
    return WireRequest("POST", path_of(target.namespace, target.deployment), {}, body, _ACCEPTED, _TIMEOUT)
