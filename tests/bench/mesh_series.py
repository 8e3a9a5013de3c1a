"""What the proxies of the clients of thousands of Services say of their requests, as one page that grows."""

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from aiohttp import web

from steward.alerting.families import catalogue
from steward.alerting.objectives.counters import HTTP_ROUTES, PROFILE, Histogram
from steward.jsonvalue import JsonObject, text
from tests.bench.slo_rules import Objects

CLIENTS = 2
"""Pods that call each Service."""
PROFILE_ROUTES = 2
"""Of each ServiceProfile: those that are called."""
_COUNT = "@@@@@@@@"


class MeshSeries:
    """A server on loopback; every scrape finds each counter a little higher."""

    def __init__(self, objects: Objects) -> None:
        profiled = {text(each, "metadata", "name").partition(".")[0] for each in objects.profiles}
        lines = [line for service in objects.services for line in _lines(service, profiled)]
        self.series = len(lines)
        self.port = 0
        self._scrapes = 0
        self._scraped = asyncio.Condition()
        self._page = "".join(f"{line} {_COUNT}\n" for line in lines).encode()
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def scraped(self, times: int) -> None:
        """Return after so many scrapes, and the beginning of one more."""
        async with self._scraped:
            await self._scraped.wait_for(lambda: self._scrapes > times)

    async def _answer(self, _request: web.Request) -> web.Response:
        async with self._scraped:
            self._scrapes += 1
            self._scraped.notify_all()
        page = self._page.replace(_COUNT.encode(), f"{self._scrapes * 100:08d}".encode())
        return web.Response(body=page, content_type="text/plain")


def _lines(service: JsonObject, profiled: set[str]) -> Iterator[str]:
    namespace, name = text(service, "metadata", "namespace"), text(service, "metadata", "name")
    for client in range(CLIENTS):
        own = f'namespace="clients",pod="client-of-{name}-{client}"'
        if name in profiled:
            for route in range(PROFILE_ROUTES):
                labels = f'{own},direction="outbound",dst="{name}.{namespace}.svc.cluster.local:8080"'
                yield from _of_profile(f'{labels},rt_route="GET /{route}"')
        else:
            parent = f'parent_group="core",parent_kind="Service",parent_namespace="{namespace}",parent_name="{name}"'
            yield from _of_routes(f'{own},{parent},route_kind="default",route_name="http"')


def _of_profile(labels: str) -> Iterator[str]:
    for classification, code in (("success", 200), ("failure", 503)):
        yield f'{PROFILE.answers}{{{labels},classification="{classification}",status_code="{code}"}}'
    yield from _histogram(PROFILE.histograms[0], labels)


def _of_routes(labels: str) -> Iterator[str]:
    for code in (200, 503):
        yield f'{HTTP_ROUTES.answers}{{{labels},http_status="{code}",error=""}}'
    yield from _histogram(HTTP_ROUTES.histograms[0], labels)


def _histogram(histogram: Histogram, labels: str) -> Iterator[str]:
    for bound in catalogue().families[histogram.metric].buckets:
        yield f'{histogram.metric}_bucket{{{labels},le="{bound:g}"}}'
    yield f'{histogram.metric}_bucket{{{labels},le="+Inf"}}'
    yield f"{histogram.metric}_count{{{labels}}}"
    yield f"{histogram.metric}_sum{{{labels}}}"
