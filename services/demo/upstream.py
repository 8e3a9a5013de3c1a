"""Upstream on loopback, as far as the demonstration needs it: a version document and release notes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.demo.cluster import NEW, OLD


class Upstream:
    """Offers a release, and later another one."""

    def __init__(self) -> None:
        self.head = OLD
        self.address = ""

    async def version(self, _request: web.Request) -> web.Response:
        """The document that Linkerd's own check reads."""
        return web.json_response({"edge": self.head})

    async def notes(self, _request: web.Request) -> web.Response:
        """The releases, each with its recommendation."""
        shown = [OLD] if self.head == OLD else [NEW, OLD]
        return web.json_response(
            [
                {
                    "tag_name": release,
                    "html_url": f"{self.address}/releases/{release}",
                    "published_at": "2026-06-18T12:00:00Z",
                    "draft": False,
                    "prerelease": False,
                    "assets": [],
                    "body": "This release is recommended for all users.",
                }
                for release in shown
            ]
        )


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serve until the end of the block."""
    served = Upstream()
    app = web.Application()
    app.router.add_get("/version.json", served.version)
    app.router.add_get("/releases", served.notes)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()
