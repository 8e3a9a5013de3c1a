"""A simulated data plane with an application of a few lines, and clients that dial as pods do."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from steward.clock import SystemClock
from steward.jsonvalue import Json, JsonObject, text
from steward.kube.resources import PODS, SERVICES
from steward.testing.dataplane.config import Timings
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.listeners import Listeners
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, Version, header
from steward.testing.dataplane.proxy.http_client import connect_http
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.simulation.pods import is_ready

Found = TypeVar("Found")
VERSION = "edge-26.8.3"
QUICK = Timings(
    failfast=timedelta(milliseconds=300),
    inbound_failfast=timedelta(milliseconds=200),
    detect=timedelta(milliseconds=300),
    discovery_idle=timedelta(milliseconds=200),
    propagation=timedelta(milliseconds=2),
)
PORT = 8080
FRONT = 8000
"""The port of every Service; below 1024 only some users may listen."""


@asynccontextmanager
async def echo(pod: JsonObject, inside: str, outside: str) -> AsyncIterator[None]:
    """An application of a few lines: answers with its name and the headers that it saw."""
    del outside

    async def answer(request: Request) -> Response:
        await request.body.read()
        who = text(pod, "metadata", "name")
        seen: JsonObject = {"pod": who, "path": request.path, "headers": dict(request.headers)}
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

    def workload(
        self, name: str, replicas: int = 1, namespace: str = "shop", changes: JsonObject | None = None
    ) -> None:
        self.mesh.workload("Deployment", namespace, name, replicas, changes=changes)

    def service(self, name: str, namespace: str = "shop", **more: Json) -> None:
        spec: JsonObject = {"selector": {"app": name}, "ports": [{"name": "http", "port": FRONT, "targetPort": PORT}]}
        self.mesh.cluster.create(SERVICES, {"metadata": {"name": name}, "spec": {**spec, **more}}, namespace)

    def apply(self, *objects: JsonObject) -> None:
        self.mesh.apply(objects, manager="test")

    async def until(self, ask: Callable[[], Awaitable[Found]], fits: Callable[[Found], bool]) -> Found:
        """Ask again and again; the time-out of the test tells when it never fits."""
        while not fits(found := await ask()):
            await SystemClock().sleep(timedelta(milliseconds=5))
        return found

    async def until_ready(self, app: str, *, ready: bool = True) -> None:
        """Return when there is a pod and all of them are ready, or none is."""
        while {is_ready(one) for one in self.mesh.cluster.list(PODS, "shop", labels=f"app={app}")} != {ready}:
            await self.plane.control.next_refresh()

    def ip(self, app: str, namespace: str = "shop") -> str:
        return text(self.mesh.cluster.list(PODS, namespace, labels=f"app={app}")[0], "status", "podIP")

    async def get(self, client: str, host: str, path: str = "/", port: int = FRONT, **headers: str) -> Response:
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

    async def served_by(self, client: str, host: str) -> str:
        """The pod that answers."""
        response = await self.get(client, host)
        return str(json.loads(await response.body.read())["pod"])


@asynccontextmanager
async def lab(timings: Timings = QUICK, **overrides: Json) -> AsyncIterator[Lab]:
    """With Linkerd, and the namespaces `shop`, which is injected, and `yard`, which is not."""
    async with (
        FakeKubernetes() as kubernetes,
        SimulatedMesh(kubernetes, nodes=2) as mesh,
        SimulatedDataPlane(mesh, images={"web": echo, "other": echo}, timings=timings, zones=("east", "west")) as plane,
    ):
        await mesh.install(VERSION, overrides=overrides)
        mesh.namespace("yard", inject="")
        yield Lab(mesh, plane)


async def told(response: Response, what: str) -> str:
    """What the application says: its `pod`, or the `path` that it was asked for."""
    return str(json.loads(await response.body.read())[what])


async def seen(response: Response) -> dict[str, str]:
    """The headers that the application saw."""
    found = json.loads(await response.body.read())["headers"]
    return {str(name): str(value) for name, value in found.items()}


def error(response: Response) -> str:
    """What the client's own proxy says about it."""
    return header(response.headers, "l5d-proxy-error")
