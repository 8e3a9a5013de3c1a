"""Alive and ready, as Kubernetes asks. Both are answered by the event loop: if it is stuck, the pod is not alive.

Readiness does not depend on the API server: when that is away, every replica would be, and nothing would be won.
"""

from collections.abc import Callable
from datetime import timedelta

from aiohttp import web

from steward.clock import Clock
from steward.service.instruments import Instruments, Metric

LAG_PERIOD = timedelta(milliseconds=500)
_LAST_ANSWERS_S = 1.0
"""A probe that hangs half-way must not hold up the end of the process, for which a pod has 30 s."""

Check = Callable[[], str | None]


class Health:
    """Named checks; each says what is wrong, or None."""

    def __init__(self) -> None:
        self._readiness: dict[str, Check] = {}

    def ready_when(self, name: str, check: Check) -> None:
        """The service is ready only while `check` returns None."""
        self._readiness[name] = check

    def problems(self) -> dict[str, str]:
        """What keeps the service from being ready."""
        found = ((name, check()) for name, check in self._readiness.items())
        return {name: problem for name, problem in found if problem is not None}


class HealthServer:
    """`/livez` and `/readyz` on one port."""

    def __init__(self, health: Health, address: str, port: int) -> None:
        self._health = health
        self._address = address
        self._wanted = port
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> "HealthServer":
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_LAST_ANSWERS_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address, self._wanted)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        problems = self._health.problems()
        if not problems:
            return web.Response(text="ok\n")
        lines = "".join(f"{name}: {problem}\n" for name, problem in sorted(problems.items()))
        return web.Response(status=503, text=lines)


async def watch_lag(clock: Clock, instruments: Instruments, lag: Metric) -> None:
    """Measure for ever how late the loop wakes a sleeper."""
    while True:
        before = clock.monotonic()
        await clock.sleep(LAG_PERIOD)
        instruments.set(lag, max(0.0, clock.monotonic() - before - LAG_PERIOD.total_seconds()))
