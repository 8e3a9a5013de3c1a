"""What runs inside of pods: images that a test brings, and the control plane's own."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from steward.jsonvalue import JsonObject, rows, text, whole
from steward.testing.dataplane.control.api import ControllerPod
from steward.testing.dataplane.control.controller import ControlPlane
from steward.testing.dataplane.control.world import labels_of, name_of
from steward.testing.dataplane.listeners import Listeners
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, Version
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream
from steward.testing.linkerd.objects import COMPONENT
from steward.testing.linkerd.proxy import PROXY

Run = Callable[[JsonObject, str, str], AbstractAsyncContextManager[object]]
"""Starts a container for a pod: it listens on the first address, and connects from the second. Entering is its start,
leaving its end. What it yields may be awaitable: then the container ends by itself when that is done."""

_ANSWERS = {"/ready": "ok\n", "/ping": "pong\n", "/live": "live\n"}


class Images:
    """Containers by the names of their images."""

    def __init__(self, images: Mapping[str, Run], control: ControlPlane) -> None:
        self._images = dict(images)
        self._control = control

    def of(self, pod: JsonObject) -> Run | None:
        """What runs in a pod; None: nothing does, and nobody is told."""
        for container in rows(pod, "spec", "containers"):
            if text(container, "name") == PROXY:
                continue
            image = text(container, "image")
            plain = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
            for name in (image, plain):
                if name in self._images:
                    return self._images[name]
        return self._controller if COMPONENT in labels_of(pod) else None

    @asynccontextmanager
    async def _controller(self, pod: JsonObject, inside: str, outside: str) -> AsyncIterator[None]:
        del outside
        async with AsyncExitStack() as stack:
            if labels_of(pod)[COMPONENT] == "destination":
                controller = ControllerPod(self._control, name_of(pod))
                await controller.start(inside)
                stack.push_async_callback(controller.stop)
            admin = Listeners(_administrate)
            stack.push_async_callback(admin.stop)
            await admin.open(inside, _admin_ports(pod))
            yield


def _admin_ports(pod: JsonObject) -> list[int]:
    return [
        whole(port, "containerPort")
        for container in rows(pod, "spec", "containers")
        if text(container, "name") != PROXY
        for port in rows(container, "ports")
        if text(port, "name").endswith("-admin")
    ]


async def _administrate(stream: Stream) -> None:
    await serve_http(stream, _answer, Version.HTTP1)


async def _answer(request: Request) -> Response:
    said = _ANSWERS.get(request.path)
    if said is None:
        return Response(404, (("content-length", "0"),))
    return Response(200, (("content-type", "text/plain"), ("content-length", str(len(said)))), Body.of(said.encode()))
