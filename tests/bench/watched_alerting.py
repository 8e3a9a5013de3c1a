"""`python -m tests.bench.watched_alerting`: alerting as a process, whose event loop is watched.

At SIGUSR1 it writes a line of JSON: the longest passes of the loop since it did so last.
"""

import asyncio
import gc
import json
import signal
import sys
from contextlib import suppress
from dataclasses import asdict

from services.alerting.metrics import METRICS
from services.alerting.service import serve
from services.alerting.settings import AlertingSettings
from steward.service.runtime import cancel_when_asked, lent, listening
from tests.bench.passes import Passes, loop_with


async def _serve(settings: AlertingSettings) -> None:
    async with (
        listening(settings.http) as (registry, health),
        lent("alerting", settings, METRICS, registry=registry, health=health) as chassis,
    ):
        await serve(chassis)


async def _run(passes: Passes) -> None:
    def tell() -> None:
        sys.stdout.write(json.dumps(asdict(passes.told())) + "\n")
        sys.stdout.flush()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    serving = asyncio.create_task(_serve(AlertingSettings.load()))
    cancel_when_asked(serving)
    with suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    # As `steward.service.runtime.run` does.
    gc.freeze()
    observed = Passes()
    with asyncio.Runner(loop_factory=lambda: loop_with(observed)) as runner:
        runner.run(_run(observed))
