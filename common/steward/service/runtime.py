"""From start to exit: connect, serve until told to stop, drain, say how it ended.

Exit codes: 0 stopped as asked · 1 failed · 2 settings cannot be used · 3 the bus is lost for good.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TypeAlias

from prometheus_client import CollectorRegistry, start_http_server

from steward.bus.errors import BusClosed
from steward.clock import Clock, SystemClock
from steward.errors import ConfigurationError, StewardError
from steward.kube.client import Kube, KubeOptions
from steward.service.chassis import Chassis
from steward.service.chassis_metrics import ChassisMetrics, MeasuredBus, MeasuredKube
from steward.service.health import Health, HealthServer, watch_lag
from steward.service.instruments import Instruments, Metric
from steward.service.logs import adopt_library_logs, logger
from steward.service.patient_bus import PatientBus
from steward.service.settings import HttpSettings, ServiceSettings

Serve: TypeAlias = Callable[[Chassis], Awaitable[None]]

STOPPED, FAILED, UNUSABLE, LOST_BUS = 0, 1, 2, 3


def run(name: str, load: Callable[[], ServiceSettings], metrics: Iterable[Metric], serve: Serve) -> int:
    """Run one service as a process of its own; returns the exit code."""
    try:
        settings = load()
    except ConfigurationError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return UNUSABLE
    # What was imported stays: to look through it again and again for garbage holds the event loop up each time.
    gc.freeze()
    return asyncio.run(_run(name, settings, tuple(metrics), serve))


async def _run(name: str, settings: ServiceSettings, metrics: tuple[Metric, ...], serve: Serve) -> int:
    log = logger(name, settings.log)
    adopt_library_logs(log, settings.log)
    serving = asyncio.create_task(_serve(name, settings, metrics, serve), name=name)
    asked = cancel_when_asked(serving)
    try:
        await serving
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        log.info("stopped")
    except (StewardError, BaseExceptionGroup) as error:
        code = exit_code(error)
        log.error("failed", error=sentence(error), exit_code=code)  # noqa: TRY400 - a sentence, not a traceback
        return code
    return STOPPED


async def _serve(name: str, settings: ServiceSettings, metrics: tuple[Metric, ...], serve: Serve) -> None:
    async with (
        listening(settings.http) as (registry, health),
        lent(name, settings, metrics, registry=registry, health=health) as chassis,
    ):
        chassis.log.info("started", version=version("linkerd-steward"), cluster=settings.bus.cluster)
        await serve(chassis)


@asynccontextmanager
async def listening(http: HttpSettings) -> AsyncIterator[tuple[CollectorRegistry, Health]]:
    """Answer scraper and kubelet, from before the first connection until after the last."""
    registry, health = CollectorRegistry(), Health()
    server, thread = start_http_server(http.metrics_port, http.address, registry)
    try:
        async with HealthServer(health, http.address, http.health_port):
            yield registry, health
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def lent(
    name: str,
    settings: ServiceSettings,
    metrics: Iterable[Metric],
    *,
    registry: CollectorRegistry,
    health: Health,
    clock: Clock | None = None,
) -> AsyncIterator[Chassis]:
    """A chassis with its connections open; closed, within the drain deadline, at the end."""
    clock = clock or SystemClock()
    log = logger(name, settings.log)
    own = ChassisMetrics.of(name)
    instruments = Instruments(registry, [*own.all(), *metrics])
    instruments.set(own.build, 1, version("linkerd-steward"))
    kube = await Kube.connect(
        kubeconfig=settings.cluster.kubeconfig,
        context=settings.cluster.context,
        clock=clock,
        observer=MeasuredKube(instruments, own),
        options=KubeOptions(user_agent=f"linkerd-steward-{name}"),
    )
    async with kube:
        bus = PatientBus(settings.bus, name=name, clock=clock, metrics=MeasuredBus(instruments, own), log=log)
        health.ready_when(f"{name}: bus", lambda: bus.problem)
        try:
            async with asyncio.TaskGroup() as tasks:
                watchers = [
                    tasks.create_task(watch_lag(clock, instruments, own.loop_lag), name="lag"),
                    tasks.create_task(bus.keep(), name="bus"),
                ]
                yield Chassis(name, settings, clock, bus, kube, instruments, health, log)
                for watcher in watchers:
                    watcher.cancel()
        finally:
            await bus.close()


def cancel_when_asked(task: asyncio.Task[None]) -> asyncio.Event:
    """Cancel `task` at SIGTERM or SIGINT; the event tells that it was asked for."""
    asked = asyncio.Event()

    def stop() -> None:
        asked.set()
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return asked


def exit_code(error: BaseException) -> int:
    """What the process should end with. Raise `error` again where it is a defect rather than an expected failure."""
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, StewardError) for leaf in leaves):
        raise error
    if any(isinstance(leaf, ConfigurationError) for leaf in leaves):
        return UNUSABLE
    return LOST_BUS if any(isinstance(leaf, BusClosed) for leaf in leaves) else FAILED


def sentence(error: BaseException) -> str:
    """What went wrong, for people."""
    return "; ".join(dict.fromkeys(str(leaf) for leaf in _leaves(error)))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
