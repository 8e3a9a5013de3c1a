"""`python -m services.conformance.exerciser`: a pod of the cast as a process of its own."""

import asyncio
import sys

from services.conformance.exerciser.settings import ExerciserSettings
from steward.clock import SystemClock
from steward.errors import ConfigurationError, StewardError
from steward.service.logs import adopt_library_logs, logger
from steward.service.runtime import STOPPED, UNUSABLE, cancel_when_asked, exit_code, sentence


async def _exercise(settings: ExerciserSettings) -> None:
    # It imports gRPC, which must know before how much it may write.
    from services.conformance.exerciser.exercising import exercising

    clock = SystemClock()
    async with exercising(settings, clock=clock):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await clock.sleep(settings.exerciser.linger)


async def _main(settings: ExerciserSettings) -> int:
    log = logger("exerciser", settings.log)
    adopt_library_logs(log, settings.log)
    working = asyncio.create_task(_exercise(settings), name="exerciser")
    asked = cancel_when_asked(working)
    try:
        await working
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        log.info("stopped")
    except (StewardError, BaseExceptionGroup) as error:
        code = exit_code(error)
        log.error("failed", error=sentence(error), exit_code=code)  # noqa: TRY400 - a sentence, not a traceback
        return code
    return STOPPED


def main() -> int:
    """Run until told to stop; returns the exit code."""
    try:
        settings = ExerciserSettings.load()
    except ConfigurationError as error:
        sys.stderr.write(f"exerciser: {error}\n")
        return UNUSABLE
    return asyncio.run(_main(settings))


if __name__ == "__main__":
    sys.exit(main())
