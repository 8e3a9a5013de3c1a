"""All services in one process on a NATS server of their own: `python -m services --kubeconfig FILE`."""

import asyncio
import sys

from services.command_line import chosen
from steward.errors import StewardError
from steward.service.runtime import cancel_when_asked, exit_code, sentence


async def _main() -> int:
    choice = chosen(sys.argv[1:])
    serving = asyncio.create_task(choice.serve(), name="services")
    asked = cancel_when_asked(serving)
    try:
        await serving
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        sys.stderr.write("\nended: everything is stopped and nothing is left behind\n")
    except (StewardError, BaseExceptionGroup) as error:
        code = exit_code(error)
        sys.stderr.write(f"error: {sentence(error)}\n")
        return code
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
