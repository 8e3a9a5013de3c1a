import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from steward.jsonvalue import Json, JsonObject, text
from steward.kube.resources import PODS, SERVICES
from steward.testing.dataplane.config import Timings
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.listeners import Listeners
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, Version
from steward.testing.dataplane.proxy.http_client import connect_http
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh

VERSION = "edge-26.8.3"
QUICK = Timings(
    failfast=timedelta(milliseconds=300),
    inbound_failfast=timedelta(milliseconds=200),
    detect=timedelta(milliseconds=300),
    discovery_idle=timedelta(milliseconds=200),
    propagation=timedelta(milliseconds=2),
)
PORT = 8080


@asynccontextmanager
async def echo(pod: JsonObject, inside: str, outside: str) -> AsyncIterator[None]:
    """An application of a few lines: answers with its name and the headers that it saw."""
    del outside

    async def answer(request: Request) -> Response:
        await request.body.read()
        seen: JsonObject = {"pod": text(pod, "metadata", "name"), "headers": dict(request.headers)}
        status = int(request.path[1:4]) if request.path[1:4].isdigit() else 200
        return Response(status, (("x-app", "echo"),), Body.of(json.dumps(seen).encode()))

    async def accept(stream: Stream) -> None:
        await serve_http(stream, answer, Version.HTTP1)

    listeners = Listeners(accept)
    await listeners.open(inside, [PORT])
    try:
        yield
    finally:
        await listeners.stop()


@dataclass
class Lab:
    mesh: SimulatedMesh
    plane: SimulatedDataPlane

    def workload(self, name: str, replicas: int = 1, namespace: str = "shop", **changes: Json) -> None:
        self.mesh.workload("Deployment", namespace, name, replicas, changes=changes or None)

    def service(self, name: str, namespace: str = "shop", **more: Json) -> None:
        spec: JsonObject = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]}
        self.mesh.cluster.create(SERVICES, {"metadata": {"name": name}, "spec": {**spec, **more}}, namespace)

    def ip(self, app: str, namespace: str = "shop") -> str:
        return text(self.mesh.cluster.list(PODS, namespace, labels=f"app={app}")[0], "status", "podIP")

    async def get(self, client: str, host: str, path: str = "/", port: int = 80, **headers: str) -> Response:
        namespace, _, name = client.rpartition("/")
        source = self.ip(name, namespace or "shop")
        (address, *_) = await self.plane.resolve(host, namespace or "shop")
        connection = connect_http(await open_stream(address, port, source=source), Version.HTTP1)
        sent = tuple((key.replace("_", "-"), value) for key, value in headers.items())
        try:
            response = await connection.send(Request("GET", path, host, sent))
            content = await response.body.read()
        finally:
            connection.close()
        return Response(response.status, response.headers, Body.of(content))


async def said(response: Response) -> JsonObject:
    found: JsonObject = json.loads(await response.body.read())
    return found


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    async with (
        FakeKubernetes() as kubernetes,
        SimulatedMesh(kubernetes, nodes=2) as mesh,
        SimulatedDataPlane(mesh, images={"web": echo, "plain": echo}, timings=QUICK) as plane,
    ):
        await mesh.install(VERSION)
        yield Lab(mesh, plane)


async def test_a_meshed_client_reaches_a_meshed_server_with_its_identity() -> None:
    async with lab() as it:
        it.workload("web", 2)
        it.workload("cm")
        it.service("web")
        await it.plane.settled()
        response = await it.get("cm", "web.shop.svc.cluster.local", l5d_client_id="forged")
        assert response.status == 200
        seen = await said(response)
        headers = seen["headers"]
        assert isinstance(headers, dict)
        assert headers["l5d-client-id"] == "default.shop.serviceaccount.identity.linkerd.cluster.local"
