"""Where Alertmanager tells us of alerts: one path, a bearer token, a bounded body."""

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from steward.errors import ConfigurationError

PATH = "/alertmanager"
_LARGEST = 8 * 1024 * 1024
_LAST_ANSWERS_S = 1.0

Answer = tuple[int, str]
"""HTTP status and a sentence. Alertmanager tries again after 5xx, and only then."""
Receive = Callable[[bytes], Awaitable[Answer]]


class Webhook:
    """The server. `port` is where it listens once it was entered."""

    def __init__(self, address: str, port: int, token_file: Path | None, receive: Receive) -> None:
        self._address = address
        self._wanted = port
        self._token_file = token_file
        self._receive = receive
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> "Webhook":
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post(PATH, self._told)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_LAST_ANSWERS_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address, self._wanted).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(
                f"Alertmanager's webhook cannot listen on {self._address}:{self._wanted}: {error.strerror}"
            ) from error
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _told(self, request: web.Request) -> web.Response:
        if not self._known(request.headers.get("authorization", "")):
            return web.Response(status=401, text="the bearer token is not the one that was agreed\n")
        status, sentence = await self._receive(await request.read())
        return web.Response(status=status, text=f"{sentence}\n")

    def _known(self, shown: str) -> bool:
        """Read anew each time, because tokens are replaced while we run."""
        if self._token_file is None:
            return True
        try:
            wanted = self._token_file.read_bytes().strip()
        except OSError:
            return False
        # A header may hold bytes that are no text.
        return bool(wanted) and hmac.compare_digest(shown.encode(errors="surrogateescape"), b"Bearer " + wanted)
