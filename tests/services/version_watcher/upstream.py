"""Upstream on loopback: the three documents, their ETags, and everything that can be wrong with an answer."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import yaml
from aiohttp import web

from services.version_watcher.settings import (
    FetchSettings,
    HelmIndexSource,
    ReleaseNotes,
    VersionCheck,
    VersionWatcherGroup,
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

VERSION, NOTES, INDEX = "/version.json", "/releases", "/index.yaml"


@dataclass
class Page:
    """What one path answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    handler: Handler | None = None

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


class Upstream:
    """A web server whose pages a test changes as it goes."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, int, dict[str, str]]] = []
        """(path and query, status, request headers)."""
        self._runner: web.ServerRunner | None = None
        self.port = 0

    async def __aenter__(self) -> "Upstream":
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def offer(self, **channels: str) -> None:
        """Serve a version document."""
        self.pages[VERSION] = Page(json.dumps(channels).encode())

    def publish(self, *releases: dict[str, object]) -> None:
        """Serve a list of releases."""
        self.pages[NOTES] = Page(json.dumps(list(releases)).encode())

    def index(self, *charts: str, kube: str = ">=1.31.0-0") -> None:
        """Serve a Helm index with these chart versions."""
        entries = {
            name: [
                {
                    "version": chart,
                    "digest": hashlib.sha256(f"{name}{chart}".encode()).hexdigest(),
                    "kubeVersion": kube,
                    "created": "2026-08-21T12:00:00.123456789Z",
                }
                for chart in charts
            ]
            for name in ("linkerd-control-plane", "linkerd-crds")
        }
        self.pages[INDEX] = Page(yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode())

    def count(self, path: str) -> int:
        return sum(asked.split("?")[0] == path for asked, _, _ in self.requests)

    def group(self, **changes: object) -> VersionWatcherGroup:
        """Settings of a version_watcher that asks here, and is in a hurry."""
        quick = timedelta(milliseconds=100)
        settings: dict[str, object] = {
            "version_check": VersionCheck(url=self.url(VERSION), interval=quick, largest_bytes=10_000),
            "release_notes": ReleaseNotes(url=self.url(NOTES), interval=quick),
            "helm_index": HelmIndexSource(url=self.url(INDEX), interval=quick),
            "fetch": FetchSettings(timeout=timedelta(seconds=5), attempts=1, backoff=quick),
            "drift_quiet": timedelta(0),
            "drift_at_most": timedelta(0),
            "settle": timedelta(0),
            "retry": quick,
            **changes,
        }
        return VersionWatcherGroup.model_validate(settings)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self.pages.get(request.path, Page(status=404))
        response: web.StreamResponse
        if page.handler is not None:
            response = await page.handler(request)
        elif page.status == 200 and request.headers.get("If-None-Match") == page.etag:
            response = web.Response(status=304)
        else:
            headers = {"ETag": page.etag, **page.headers} if page.status == 200 else page.headers
            response = web.Response(body=page.body, status=page.status, headers=headers)
        self.requests.append((str(request.rel_url), response.status, dict(request.headers)))
        return response


def release(tag: str, body: str = "", **more: object) -> dict[str, object]:
    """A release as GitHub lists it."""
    return {
        "tag_name": tag,
        "body": body,
        "published_at": "2026-08-21T10:00:00Z",
        "html_url": f"https://example.org/releases/{tag}",
        "draft": False,
        "assets": [
            {"name": f"linkerd2-cli-{tag}-linux-amd64", "digest": "sha256:" + hashlib.sha256(tag.encode()).hexdigest()}
        ],
        **more,
    }


async def forever(request: web.BaseRequest) -> web.StreamResponse:
    """Begin an answer and never end it."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"{")
    await asyncio.Event().wait()
    return response
