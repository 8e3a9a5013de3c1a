"""nats-server with the very configuration that deploy/ puts into the cluster; ports and folders are this test's own."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from steward.bus.settings import BusSettings
from steward.cli.connection import NATS_ROUTES, NATS_USERS
from steward.testing.nats import free_ports, nats_server_binary
from tests.deploy.kustomize import DEPLOY

CLUSTER = "testing"
ALONE = DEPLOY / "base/nats"
CLUSTERED = DEPLOY / "components/nats-cluster"
_START = 20.0
_VOLUME = "store_dir: /data"


def password(name: str) -> str:
    """The password of a user in these tests."""
    return f"secret-of-{name}"


def variables(name: str, routes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the container, as the StatefulSet has it."""
    secrets = {f"{user.replace('-', '_').upper()}_PASSWORD": password(user) for user in (*NATS_USERS, NATS_ROUTES)}
    return {"PATH": os.environ["PATH"], "POD_NAME": name, **secrets, **(routes or {})}  # noqa: TID251 - a child's


def configuration(directory: Path, *, clustered: bool = False) -> Path:
    """The files of the ConfigMap as the pod sees them; the volume at /data is a folder beside them."""
    shutil.copytree(ALONE, directory, dirs_exist_ok=True)
    if clustered:
        shutil.copy(CLUSTERED / "cluster.conf", directory / "cluster.conf")
    config, data = directory / "nats.conf", directory / "data"
    text = config.read_text()
    assert text.count(_VOLUME) == 1
    config.write_text(text.replace(_VOLUME, f"store_dir: {json.dumps(str(data))}"))
    return config


@dataclass(frozen=True, slots=True)
class DeployedNats:
    """One running server."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """How a client reaches it."""
        return f"nats://127.0.0.1:{self.port}"

    def as_user(self, user: str) -> BusSettings:
        """How a Deployment of ours, or the command line, connects as `user`."""
        return BusSettings(
            servers=(self.url,),
            cluster=CLUSTER,
            user=user,
            password=SecretStr(password(user)),
            inbox_prefix=f"_INBOX_{user}",
            publish_deadline=timedelta(seconds=5),
            request_timeout=timedelta(seconds=5),
            drain_deadline=timedelta(seconds=1),
        )


@asynccontextmanager
async def deployed_nats(directory: Path) -> AsyncIterator[DeployedNats]:
    """The server of the base, alone."""
    config = configuration(directory / "etc")
    port, monitor = free_ports(2)
    log = directory / "nats.log"
    async with _running(config, variables("nats-0"), log, *_flags(port, monitor)):
        yield DeployedNats(port, log)


@asynccontextmanager
async def deployed_cluster(directory: Path) -> AsyncIterator[tuple[DeployedNats, ...]]:
    """The three servers of the component nats-cluster."""
    ports, monitors, routes = free_ports(3), free_ports(3), free_ports(3)
    addresses = {
        f"ROUTE_{number}": f"nats://routes:{password(NATS_ROUTES)}@127.0.0.1:{port}"
        for number, port in enumerate(routes)
    }
    servers, started = [], []
    for number, (port, monitor, route) in enumerate(zip(ports, monitors, routes, strict=True)):
        log = directory / f"nats-{number}.log"
        listen = ("--cluster", f"nats://routes:{password(NATS_ROUTES)}@127.0.0.1:{route}")
        flags = (*_flags(port, monitor), *listen)
        config = configuration(directory / f"etc-{number}", clustered=True)
        servers.append(DeployedNats(port, log))
        started.append(_running(config, variables(f"nats-{number}", addresses), log, *flags))
    # All at once, as pods of a StatefulSet do with podManagementPolicy Parallel.
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(each) for each in started))
        yield tuple(servers)


def _flags(port: int, monitor: int) -> tuple[str, ...]:
    return ("--addr", "127.0.0.1", "--port", str(port), "--http_port", str(monitor))


@asynccontextmanager
async def _running(config: Path, environment: dict[str, str], log: Path, *flags: str) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(nats_server_binary()), "--config", str(config), *flags, env=environment, stdout=output, stderr=output
        )
    try:
        async with asyncio.timeout(_START):
            while "Server is ready" not in await asyncio.to_thread(log.read_text):
                if process.returncode is not None:
                    raise AssertionError(f"nats-server refused the configuration: {log} says why")
                await asyncio.sleep(0.01)  # noqa: TID251 - its log has no events
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
