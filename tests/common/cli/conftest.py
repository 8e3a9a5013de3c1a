"""The command as people run it: the installed executable, against a fake API server and a real NATS."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, table
from steward.kube.client import Kube
from steward.kube.resources import CRDS
from steward.resources import KINDS
from steward.resources.definitions import definition
from steward.testing.command import Command, StewardCluster
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.nats import NatsServer

HERE = Path(__file__).parent
GOLDENS = HERE.parents[1] / "goldens" / "cli"


@pytest.fixture
def document() -> Callable[[str], JsonObject]:
    """An object of `objects/` by the name of its file."""

    def read(name: str) -> JsonObject:
        return table(yaml.safe_load((HERE / "objects" / f"{name}.yaml").read_text()))

    return read


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a whole text with `tests/goldens/cli/<name>.txt`; UPDATE_GOLDENS=1 writes it instead."""

    def compare(name: str, found: str) -> None:
        path = GOLDENS / f"{name}.txt"
        if os.environ.get("UPDATE_GOLDENS"):  # noqa: TID251
            path.write_text(found)
        assert path.exists(), f"{path} is missing: run the test with UPDATE_GOLDENS=1 and look at what it writes"
        assert found == path.read_text(), f"differs from {path}: if that is meant, run again with UPDATE_GOLDENS=1"

    return compare


@pytest.fixture
def cli(tmp_path: Path) -> Command:
    """The command without any cluster."""
    return Command(tmp_path)


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubernetes]:
    """An API server without anything of Steward."""
    async with FakeKubernetes() as server:
        yield server


@pytest.fixture
async def cluster(fake: FakeKubernetes, cli: Command) -> AsyncIterator[StewardCluster]:
    """An API server with Steward's definitions, which the command is pointed at."""
    async with await Kube.connect(kubeconfig=fake.kubeconfig(), clock=SystemClock()) as kube:
        for kind in KINDS:
            await kube.create(CRDS, definition(kind))
        cli.env["KUBECONFIG"] = str(fake.kubeconfig())
        yield StewardCluster(fake, kube)


@pytest.fixture
async def nats(cli: Command) -> AsyncIterator[NatsServer]:
    """A NATS server, which the command is pointed at."""
    async with NatsServer() as server:
        cli.env["STEWARD_NATS"] = server.url
        yield server
