"""The secret of a channel is in the file that Alertmanager reads, and nowhere else, whatever goes wrong."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from steward.events.alerts import AlertFiring
from steward.jsonvalue import JsonObject
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, CORE_EVENTS
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from steward.testing.monitoring.webhooks import Post, Reply, WebhookSink
from tests.services.alerting.running import HOME, Replica, World, world

pytestmark = pytest.mark.monitoring

MARK = "s3cr3t-m4rk3r"
ENDS: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1) > 2", "severity": "warning"}]}
FIRES: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1)", "severity": "warning"}]}


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


def channel(url: str, key: str = "token") -> JsonObject:
    return {
        "webhook": {"url": url, "bearerToken": {"name": "hook", "key": key}},
        "groupWaitSeconds": 0,
        "groupIntervalSeconds": 1,
    }


def secret_files(around: World) -> dict[str, str]:
    return {each.name: each.read_text() for each in (around.folder / "secrets").iterdir()}


def bearer(post: Post) -> str:
    return post.headers.get("authorization", "")


async def everything_said(around: World, replica: Replica, logs: str) -> bytes:
    """All bytes that the service wrote or said anywhere but in the folder of secrets."""
    found = [logs.encode(), generate_latest(replica.registry), around.alertmanager.log.encode()]
    found += [each.read_bytes() for each in around.folder.rglob("*") if each.is_file() and "secrets" not in each.parts]
    for resource in (ALERT_CHANNELS, ALERT_POLICIES, CORE_EVENTS):
        found += [repr(each).encode() for each in around.kubernetes.cluster.list(resource)]
    found += [repr(each).encode() for each in await around.every_event()]
    found.append(repr(await around.alertmanager.get("/api/v2/status")).encode())
    return b"\n".join(found)


async def test_a_secret_is_told_to_nobody_in_good_days_and_bad(
    around: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with WebhookSink() as sink, around.running(level="debug") as replica:
        around.secret("hook", {"token": f"{MARK}-1"})
        around.channel("hook", channel(sink.url))
        around.policy("mine", FIRES)
        await around.channel_says("hook", "Applied")
        await around.event(AlertFiring)
        await sink.until(lambda post: bearer(post) == f"Bearer {MARK}-1")
        sink.always(Reply(403, "no"))
        around.policy("mine", ENDS)
        await sink.until(lambda post: post.status == 403)
        around.channel("hook", channel(sink.url, key="other"))
        said = await around.channel_says("hook", "SecretMissing")
        assert "'other'" in said.message
        binary: JsonObject = {"data": {"other": base64.b64encode(b"\xff\xfe" + MARK.encode()).decode()}}
        around.put_secret("hook", binary)
        await around.channel_says("hook", "SecretUnreadable")
        around.put_secret("hook", {"data": {"other": f"{MARK}!no base64"}})
        around.policy("mine", {"rules": [{"name": "Fires", "expr": "sum(", "severity": "warning"}]})
        await around.policy_says("mine", "InForce", "QueryRefused")
        out, err = capfd.readouterr()
        said_bytes = await everything_said(around, replica, out + err + caplog.text)
        assert MARK.encode() not in said_bytes
        assert base64.b64encode(MARK.encode())[:16] not in said_bytes


async def test_a_secret_that_is_rotated_arrives_by_itself(around: World) -> None:
    async with WebhookSink() as sink, around.running():
        around.secret("hook", {"token": f"{MARK}-old"})
        around.channel("hook", channel(sink.url))
        around.policy("mine", FIRES)
        await sink.until(lambda post: bearer(post) == f"Bearer {MARK}-old")
        around.secret("hook", {"token": f"{MARK}-new"})

        async def arrived() -> bool:
            return list(secret_files(around).values()) == [f"{MARK}-new"]

        await eventually("new secret", arrived)
        around.policy("mine", ENDS)
        await sink.until(lambda post: bearer(post) == f"Bearer {MARK}-new")


async def test_a_secret_that_comes_late_brings_its_channel_into_force(around: World) -> None:
    async with WebhookSink() as sink, around.running():
        around.channel("hook", channel(sink.url))
        await around.channel_says("hook", "SecretMissing")
        around.secret("hook", {"token": MARK})
        await around.channel_says("hook", "Applied")


async def test_the_file_of_a_secret_goes_with_its_channel_and_with_what_a_dead_process_left(around: World) -> None:
    async with WebhookSink() as sink, around.running():
        around.secret("hook", {"token": MARK})
        around.channel("hook", channel(sink.url))
        await around.channel_says("hook", "Applied")
        (name,) = secret_files(around)
        (around.folder / "secrets" / f".{name}.fresh").write_text(MARK)
        around.delete(ALERT_CHANNELS, "hook", HOME)

        async def gone() -> bool:
            return not secret_files(around)

        await eventually("empty folder of secrets", gone)


async def test_a_wrong_or_missing_bearer_a_post_of_garbage_and_one_too_large_change_nothing(around: World) -> None:
    async with around.running() as replica:
        around.policy("mine", FIRES)
        await around.policy_says("mine", "InForce", "Applied")
        await around.event(AlertFiring)
        whole = {"authorization": "Bearer agreed"}
        assert (await around.knock(b"{}", {}))[0] == 401
        assert (await around.knock(b"{}", {"authorization": "Bearer wrong"}))[0] == 401
        assert (await around.knock(b"{}", {"authorization": b"Bearer \xff\xfe".decode("latin-1")}))[0] == 401
        assert (await around.knock(b"\xff{garbage", whole))[0] == 400
        assert (await around.knock(b'{"version": "4", "alerts": [{}]}', whole))[0] == 400
        assert (await around.knock(b" " * (9 * 1024 * 1024), whole))[0] == 413
        assert replica.sample("webhooks_total", result="NotJson")
        assert len(await around.events(AlertFiring)) == 1
