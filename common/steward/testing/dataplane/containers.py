"""What runs inside of pods: images that a test brings, and the control plane's own."""

from asyncio import Event
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from steward.clock import Clock
from steward.jsonvalue import JsonObject, rows, text
from steward.linkerd.version import Version as LinkerdVersion
from steward.testing.dataplane.control.api import ControllerPod
from steward.testing.dataplane.control.controller import ControlPlane
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.faults import CONTROLLER_SILENT
from steward.testing.dataplane.control.world import labels_of, name_of, namespace_of
from steward.testing.dataplane.listeners import Listeners
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, Version
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.metric_faults import missing
from steward.testing.dataplane.proxy.stream import Stream
from steward.testing.linkerd.objects import COMPONENT
from steward.testing.linkerd.proxy import PROXY
from steward.testing.linkerd_pages.controllers import Controller, page_of

Run = Callable[[JsonObject, str, str], AbstractAsyncContextManager[object]]
"""Starts a container for a pod: it listens on the first address, and connects from the second. Entering is its start,
leaving its end. What it yields may be awaitable: then the container ends by itself when that is done."""

_ADMIN_PORTS = {"destination": 9996, "sp-validator": 9997, "policy": 9990, "identity": 9990, "proxy-injector": 9995}
"""By container: processes listen where they always do, whatever their ports are called."""
_ANSWERS = {"/ready": "ok\n", "/ping": "pong\n", "/live": "live\n"}


class Images:
    """Containers by the names of their images."""

    def __init__(self, images: Mapping[str, Run], control: ControlPlane, clock: Clock) -> None:
        self._images = dict(images)
        self._control = control
        self._clock = clock

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
            admin = Listeners(self._administrate(pod))
            stack.push_async_callback(admin.stop)
            containers = [text(container, "name") for container in rows(pod, "spec", "containers")]
            await admin.open(inside, [_ADMIN_PORTS[each] for each in containers if each in _ADMIN_PORTS])
            yield

    def _administrate(self, pod: JsonObject) -> Callable[[Stream], Awaitable[None]]:
        """The admin server of every container of the pod, told apart by their ports."""
        born = self._clock.now()
        containers = {
            port: Controller(text(container, "name"), name_of(pod), _version(container), born)
            for container in rows(pod, "spec", "containers")
            if (port := _ADMIN_PORTS.get(text(container, "name"), 0))
        }
        place = Client(name_of(pod), namespace_of(pod), text(pod, "spec", "nodeName"))

        async def administrate(stream: Stream) -> None:
            controller = containers[stream.local[1]]

            async def answer(request: Request) -> Response:
                if request.path != "/metrics":
                    return _answer(request)
                if self._control.faults.on(CONTROLLER_SILENT, place):
                    await Event().wait()
                faults = self._control.faults
                page = page_of(controller, self._clock.now(), lambda family: not faults.on(missing(family), place))
                return _plain(page)

            await serve_http(stream, answer, Version.HTTP1)

        return administrate


def _version(container: JsonObject) -> LinkerdVersion:
    return LinkerdVersion.parse(text(container, "image").rpartition(":")[2])


def _answer(request: Request) -> Response:
    said = _ANSWERS.get(request.path)
    return Response(404, (("content-length", "0"),)) if said is None else _plain(said)


def _plain(said: str) -> Response:
    content = said.encode()
    return Response(200, (("content-type", "text/plain"), ("content-length", str(len(content)))), Body.of(content))
