"""A service starts without its neighbours, stops when asked, and says by its exit code how it ended."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from steward.bus.errors import BusClosed
from steward.bus.settings import BusSettings
from steward.bus.streams import STORES
from steward.errors import ConfigurationError, StewardError
from steward.service.health import Health
from steward.service.runtime import FAILED, LOST_BUS, UNUSABLE, exit_code, lent, listening, sentence
from steward.service.settings import ClusterSettings, HttpSettings, ServiceSettings
from steward.testing.nats import NatsServer

ANY_PORT = HttpSettings(metrics_port=0, health_port=0)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Points at an API server that nobody asks for anything here."""
    path = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "contexts": [context],
                "users": [{"name": "u", "user": {}}],
                "current-context": "c",
            }
        )
    )
    return path


def _settings(server: str, kubeconfig: Path) -> ServiceSettings:
    return ServiceSettings(
        bus=BusSettings(servers=(server,)), cluster=ClusterSettings(kubeconfig=kubeconfig), http=ANY_PORT
    )


async def test_a_service_starts_without_nats_and_uses_it_when_it_comes(kubeconfig: Path) -> None:
    health = Health()
    async with NatsServer() as server:
        settings = _settings(server.url, kubeconfig)
        await server.kill()
        async with lent("test", settings, [], registry=CollectorRegistry(), health=health) as chassis:
            assert "test: bus" in health.problems()
            reconciling = asyncio.create_task(chassis.bus.reconcile(STORES))

            await server.restart()
            await reconciling

            assert chassis.bus.connected
            assert health.problems() == {}


async def test_scraper_and_kubelet_get_answers_before_anything_is_connected() -> None:
    async with listening(ANY_PORT) as (registry, health):
        assert health.problems() == {}
        assert registry is not None


def test_every_end_has_its_own_exit_code() -> None:
    assert exit_code(ExceptionGroup("", [StewardError("x")])) == FAILED
    assert exit_code(ExceptionGroup("", [ExceptionGroup("", [BusClosed("x")])])) == LOST_BUS
    assert exit_code(ConfigurationError("x")) == UNUSABLE


def test_a_defect_is_not_explained_away() -> None:
    with pytest.raises(ExceptionGroup):
        exit_code(ExceptionGroup("", [StewardError("x"), KeyError("y")]))


def test_an_error_is_said_once() -> None:
    assert sentence(ExceptionGroup("", [StewardError("x"), ExceptionGroup("", [StewardError("x")])])) == "x"


PROGRAM = """
import sys
from steward.service.chassis import Chassis
from steward.service.runtime import run
from steward.service.settings import ServiceSettings

async def serve(chassis: Chassis) -> None:
    print("serving", flush=True)
    await chassis.clock.sleep(__import__("datetime").timedelta(hours=1))

sys.exit(run("test", ServiceSettings.load, [], serve))
"""


async def _started(environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "STEWARD_HTTP__METRICS_PORT": "0", "STEWARD_HTTP__HEALTH_PORT": "0", **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_is_asked_to_stop_ends_with_zero(kubeconfig: Path, number: signal.Signals) -> None:
    async with NatsServer() as server:
        process = await _started({"STEWARD_BUS__SERVERS": server.url, "STEWARD_CLUSTER__KUBECONFIG": str(kubeconfig)})
        assert process.stdout is not None
        await process.stdout.readline()

        process.send_signal(number)
        _, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert b'"event": "stopped"' in errors


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("STEWARD_BUS__CLUSTER", "Not Clean", "cannot be the cluster's name"),
        ("STEWARD_HTTP__METRICS_PORT", "70000", "STEWARD_HTTP__METRICS_PORT"),
        ("STEWARD_LOG__LEVEL", "loud", "STEWARD_LOG__LEVEL"),
        ("STEWARD_BUS__SERVERS", '["http://nats"]', "STEWARD_BUS__SERVERS"),
        ("STEWARD_BUS__SERVERS", "nats://user:hunter2@nats", "must hold no credentials"),
    ],
)
async def test_settings_that_cannot_be_used_are_named(variable: str, value: str, said: str) -> None:
    process = await _started({variable: value})
    _, errors = await process.communicate()

    assert process.returncode == UNUSABLE
    assert said in errors.decode()
    assert "hunter2" not in errors.decode()
    assert "Traceback" not in errors.decode()
