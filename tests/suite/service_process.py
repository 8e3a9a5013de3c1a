"""The service as it is deployed: `python -m services.conformance`, told by its environment, ended by a signal."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from steward.clock import SystemClock, within
from steward.errors import StewardError
from tests.cluster.real_mesh import NAMESPACE, Asked

ROOT = Path(__file__).parents[2]
_FAREWELL = timedelta(seconds=30)


class ServiceEnded(StewardError):
    """The process ended although nobody asked it to."""


@asynccontextmanager
async def service_process(asked: Asked) -> AsyncIterator[None]:
    """Runs while the context lasts; a process that ends before that ends the context with ServiceEnded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.conformance", env=_variables(asked), cwd=ROOT
    )

    async def watched() -> None:
        raise ServiceEnded(f"the conformance service ended with code {await process.wait()}: its log says why")

    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watched(), name="service process")
            yield
            watching.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
            async with within(SystemClock(), _FAREWELL):
                await process.wait()


def _variables(asked: Asked) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "STEWARD_BUS__SERVERS": ",".join(asked.bus.servers),
        "STEWARD_BUS__CLUSTER": asked.bus.cluster,
        "STEWARD_CLUSTER__KUBECONFIG": str(asked.kubeconfig),
        "STEWARD_CLUSTER__NAMESPACE": NAMESPACE,
        "STEWARD_LOG__LEVEL": "error",
        "STEWARD_LOG__FORMAT": "console",
        "STEWARD_HTTP__ADDRESS": "127.0.0.1",
        "STEWARD_HTTP__METRICS_PORT": "0",
        "STEWARD_HTTP__HEALTH_PORT": "0",
        "STEWARD_CONFORMANCE__IMAGE": asked.image,
        "STEWARD_CONFORMANCE__DIRECT": str(asked.direct).lower(),
    }
