"""Tap's own server: an API of its own, over TLS, whose events are what simulated proxies carried.

It speaks as `viz/tap/api` does: the answer's headers come with its first event, a refusal by RBAC is JSON, and what it
cannot do otherwise is a message of its own kind under status 200.
"""

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web
from google.protobuf.message import DecodeError

from steward.jsonvalue import JsonObject, text, texts
from steward.proxy_api.answers import to_wire
from steward.proxy_api.net_pb2 import TcpAddress
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.network import Member
from steward.testing.dataplane.pod_proxy import PodProxy
from steward.testing.linkerd.certificates import Pair
from steward.testing.viz.faults import TAP_REFUSES
from steward.viz import tap_pb2 as wire
from steward.viz.events import Peer, TapEvent, Told
from steward.viz.framing import ERROR_HEADER, payload
from steward.viz.tap import GROUP, VERSION, path_of

NAMESPACE = "linkerd-viz"
TAP_IDENTITY = f"tap.{NAMESPACE}.serviceaccount.identity.linkerd.cluster.local"
ENABLED = "viz.linkerd.io/tap-enabled"
_TAP_PORT = 4190
_DISCOVERY = f"/apis/{GROUP}/{VERSION}"
_WINDOW = 1.0
_USUAL_RPS = 100.0
_HELP = "https://linkerd.io/tap-rbac"


class TapServer:
    """One listener on loopback."""

    def __init__(self, plane: SimulatedDataPlane) -> None:
        self.port = 0
        self._plane = plane
        self._runner: web.ServerRunner | None = None
        self._folder = TemporaryDirectory(prefix="tap-")

    async def start(self, pair: Pair) -> None:
        """Listen, with this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate, key = Path(self._folder.name) / "tls.crt", Path(self._folder.name) / "tls.key"
        certificate.write_text(pair.certificate, encoding="utf-8")
        key.write_text(pair.key, encoding="utf-8")
        context.load_cert_chain(certificate, key)
        self._runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Hang up."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._folder.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and request.path == _DISCOVERY:
            return web.json_response({"kind": "APIResourceList", "groupVersion": f"{GROUP}/{VERSION}", "resources": []})
        if request.method != "POST" or not request.path.startswith(f"{_DISCOVERY}/watch/namespaces/"):
            return web.json_response({"paths": ["/apis", _DISCOVERY]}, status=404)
        return await self._tap(request)

    async def _tap(self, request: web.BaseRequest) -> web.StreamResponse:
        own = self._own()
        if own is not None and self._plane.faults.on(TAP_REFUSES, own.settings):
            return web.json_response(
                {"error": f"tap authorization failed (not authorized to access deployments.{GROUP}), visit {_HELP}"},
                status=403,
            )
        try:
            asked = wire.TapByResourceRequest.FromString(await request.content.read())
        except DecodeError as error:
            return _failed(str(error))
        target = asked.target.resource
        url = path_of(target.namespace, target.name)
        if target.type != "deployment" or url != request.path:
            return _failed(f'tap request body did not match APIServer URL: "{url}" != "{request.path}"')
        meshed = self._pods(target.namespace, target.name)
        pods = [pod for pod in meshed if texts(pod, "metadata", "annotations").get(ENABLED) == "true"]
        return await self._listen(request, asked, pods) if pods else _failed(_nobody(target.name, meshed))

    async def _listen(
        self, request: web.BaseRequest, asked: wire.TapByResourceRequest, pods: list[JsonObject]
    ) -> web.StreamResponse:
        path = next((each.http.path for each in asked.match.all.matches if each.HasField("http")), "")
        limit = max(1, round((asked.max_rps or _USUAL_RPS) / len(pods)))
        events: asyncio.Queue[TapEvent] = asyncio.Queue()
        listening = [asyncio.create_task(self._observe(pod, path, limit, events)) for pod in pods]
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        try:
            event = await events.get()
            await response.prepare(request)
            while True:
                await response.write(payload(self._with_labels(event).SerializeToString()))
                event = await events.get()
        except ConnectionError:
            return response
        finally:
            for each in listening:
                each.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _observe(self, pod: JsonObject, path: str, limit: int, events: "asyncio.Queue[TapEvent]") -> None:
        """So many requests a second, in windows of one."""
        own, proxy = self._own(), self._proxy(pod)
        if own is None or proxy is None or not proxy.taps.takes_from(TAP_IDENTITY):
            return
        if not self._plane.network.lets(own, proxy.settings.ip, _TAP_PORT):
            return
        clock = self._plane.mesh.kubernetes.clock
        while True:
            begun = clock.monotonic()
            with proxy.taps.observed(path, limit, events.put_nowait) as observation:
                await observation.over.wait()
            await asyncio.sleep(max(0.0, begun + _WINDOW - clock.monotonic()))

    def _own(self) -> Member | None:
        """The pod of tap, whose connections the network judges."""
        proxies = (self._proxy(pod) for pod in self._plane.mesh.pods(NAMESPACE, labels="component=tap"))
        return next((proxy.member for proxy in proxies if proxy is not None), None)

    def _proxy(self, pod: JsonObject) -> PodProxy | None:
        with suppress(LookupError):
            return self._plane.proxy(text(pod, "metadata", "name"), text(pod, "metadata", "namespace"))
        return None

    def _pods(self, namespace: str, deployment: str) -> list[JsonObject]:
        label = f"linkerd.io/proxy-deployment={deployment}"
        return self._plane.mesh.pods(namespace, labels=label)

    def _with_labels(self, event: TapEvent) -> wire.TapEvent:
        """What tap itself knows of both sides by their addresses."""
        known = {ip: member.pod for ip, member in self._plane.network.members.items()}
        return _on_the_wire(event, _named(event.source, known), _named(event.destination, known))


def _named(peer: Peer, pods: "dict[str, JsonObject]") -> dict[str, str]:
    pod = pods.get(peer.ip)
    if pod is None:
        return dict(peer.labels)
    owner = texts(pod, "metadata", "labels").get("linkerd.io/proxy-deployment", "")
    named = {"pod": text(pod, "metadata", "name"), "namespace": text(pod, "metadata", "namespace")}
    return {**peer.labels, **named, **({"deployment": owner} if owner else {})}


def _on_the_wire(event: TapEvent, source: dict[str, str], destination: dict[str, str]) -> wire.TapEvent:
    stream = wire.TapEvent.Http.StreamId(base=event.stream[0], stream=event.stream[1])
    match event.told:
        case Told.REQUEST:
            init = wire.TapEvent.Http.RequestInit(id=stream, authority=event.authority, path=event.path)
            http = wire.TapEvent.Http(request_init=init)
        case Told.RESPONSE:
            http = wire.TapEvent.Http(
                response_init=wire.TapEvent.Http.ResponseInit(id=stream, http_status=event.status or 0)
            )
        case _:
            http = wire.TapEvent.Http(response_end=wire.TapEvent.Http.ResponseEnd(id=stream))
    return wire.TapEvent(
        source=_address(event.source),
        source_meta=wire.TapEvent.EndpointMeta(labels=source),
        destination=_address(event.destination),
        destination_meta=wire.TapEvent.EndpointMeta(labels=destination),
        proxy_direction=wire.TapEvent.INBOUND,
        http=http,
    )


def _address(peer: Peer) -> TcpAddress:
    return TcpAddress(ip=to_wire(peer.ip), port=peer.port)


def _nobody(deployment: str, meshed: Iterable[JsonObject]) -> str:
    names = [text(pod, "metadata", "name") for pod in meshed]
    said = f"no pods to tap for deployment/{deployment}\n"
    if names:
        listed = "".join(f"\t* {name}\n" for name in names)
        said += f"{len(names)} pods found with tap not enabled:\n{listed}"
        said += "restart these pods to enable tap and make them valid tap targets\n"
    return said


def _failed(message: str) -> web.Response:
    body = payload(wire.ApiError(error=message).SerializeToString())
    headers = {ERROR_HEADER: "Internal Server Error", "Content-Type": "application/octet-stream"}
    return web.Response(body=body, headers=headers)
