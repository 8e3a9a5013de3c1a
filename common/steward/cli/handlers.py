"""`handlers run`: a subscriber of somebody else's, run to its end."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from steward.bus.settings import BusSettings
from steward.cli.connection import NATS_SUBSCRIBER, named_bus, way_to_bus
from steward.cli.exit_codes import ExitCode
from steward.cli.options import Nats, Session, leaf, remember
from steward.cli.output import note
from steward.subscriber import Subscriber, discover

app = typer.Typer(no_args_is_help=True, help="Run handlers of your own.")
app.callback()(remember)


@app.command("run")
@leaf
async def run_handlers(
    session: Session,
    reference: Annotated[
        str, typer.Argument(metavar="MODULE:ATTRIBUTE", help="Where the Subscriber is, for example tickets:subscriber.")
    ],
    nats: Nats = "",
) -> ExitCode:
    """Hand events to the handlers of a Subscriber until it is told to stop (Ctrl-C, SIGTERM).

    Example: linkerd-steward handlers run tickets:subscriber --nats nats://127.0.0.1:4222
    """
    # A command's own path is that of its executable; handlers are where the person is.
    sys.path.insert(0, str(Path.cwd()))
    subscriber = discover(reference)
    async with _way(session, subscriber, nats) as settings:
        running = asyncio.create_task(subscriber.run(settings, clock=session.clock))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        note(f"{subscriber.name} listens to {', '.join(subscriber.events)}")
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return ExitCode.OK


@contextlib.asynccontextmanager
async def _way(session: Session, subscriber: Subscriber, nats: str) -> AsyncIterator[BusSettings]:
    """What the flag or the environment names, else what the subscriber was given in code, else a port-forward."""
    if subscriber.settings is not None and named_bus(session.environment, nats) is None:
        yield subscriber.settings
        return
    async with way_to_bus(session, nats, user=NATS_SUBSCRIBER) as settings:
        yield settings
