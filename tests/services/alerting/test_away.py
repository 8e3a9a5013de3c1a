"""Those around the service are away, or are somebody else: it stays, says what is wrong, and goes on by itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import pytest
from aiohttp import web

from services.alerting.settings import AlertingGroup
from steward.events.alerts import AlertFiring, AlertResolved
from steward.jsonvalue import JsonObject
from steward.kube.resources import ALERT_POLICIES
from steward.testing.monitoring.daemon import Daemon
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from tests.services.alerting.operated import by_operator
from tests.services.alerting.running import Replica, World, world

pytestmark = pytest.mark.monitoring

FIRES: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1)", "severity": "warning"}]}
ENDS: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1) > 2", "severity": "warning"}]}
HOOK: JsonObject = {"webhook": {"url": "http://127.0.0.1:1/nobody"}}
BOTH = ("prometheus", "alertmanager")


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


class Impostor:
    """Listens where somebody else is expected; answers as `kind` says, and as that one if it is `nobody`."""

    def __init__(self, real: Daemon, kind: str = "nobody", token: str = "") -> None:
        self.kind = kind
        self._real = real
        self._token = token
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        match self.kind:
            case "a page for everything":
                return web.Response(text="<!doctype html><title>welcome</title>", content_type="text/html")
            case "a page for nothing":
                return web.Response(status=404, text="<h1>404 Not Found</h1>", content_type="text/html")
            case "a way to somewhere else":
                return web.Response(status=302, headers={"location": "https://login.acme.test/"})
            case "other json":
                return web.json_response({"status": "ok"})
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            return web.Response(status=401, text="Unauthorized\n")
        return await self._passed_on(request)

    async def _passed_on(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
        url = f"{self._real.url}{request.raw_path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, data=await request.read(), headers=headers) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)


def reached_by(around: World, who: str, url: str, token_file: Path | None = None) -> AlertingGroup:
    """Settings with another address of Prometheus, or of Alertmanager."""
    group = around.group()
    place = getattr(group, who).model_copy(update={"url": url, "token_file": token_file})
    return group.model_copy(update={who: place})


def daemon(around: World, who: str) -> Daemon:
    return around.prometheus if who == "prometheus" else around.alertmanager


def ask_for_both(around: World) -> None:
    """A policy and a channel."""
    around.policy("mine", FIRES)
    around.channel("hook", HOOK)


async def says(around: World, who: str, reason: str, saying: str = "") -> str:
    """Wait until the object that needs Prometheus, or Alertmanager, says so; the whole sentence."""
    if who == "prometheus":
        return (await around.policy_says("mine", "InForce", reason, saying=saying)).message
    return (await around.channel_says("hook", reason, saying=saying)).message


async def until_reached(replica: Replica) -> None:
    """Wait until nothing of the monitoring is out of reach."""

    async def reached() -> bool:
        return replica.sample("unreachable") == 0

    await eventually("end of being out of reach", reached)


def logged(capfd: pytest.CaptureFixture[str]) -> str:
    said = capfd.readouterr()
    return said.out + said.err


@pytest.mark.parametrize("who", BOTH)
async def test_one_that_is_away_at_the_start_is_named_and_gets_everything_when_it_comes(
    around: World, capfd: pytest.CaptureFixture[str], who: str
) -> None:
    ask_for_both(around)
    missing = daemon(around, who)
    await missing.kill()
    async with around.running(level="warning") as replica:
        said = await says(around, who, "TargetUnknown", f"at {missing.url} cannot be reached")
        assert "decides what is written for it" in said
        await around.until_sample(replica, "unreachable")
        await missing.start()
        await says(around, who, "Applied")
        await until_reached(replica)
        await around.event(AlertFiring)
    assert missing.url in logged(capfd)
    assert len(await around.events(AlertFiring)) == 1


WRONG = {
    "a page for everything": "with a page for people: look whether that is its address",
    "a page for nothing": "with 404: look whether that is its address",
    "a way to somewhere else": "with 302: look whether that is its address",
    "other json": "does not say its version: look whether that is its address",
}


@pytest.mark.parametrize("who", BOTH)
async def test_a_wrong_address_is_told_with_what_to_look_at_and_nothing_counts_as_in_force(
    around: World, capfd: pytest.CaptureFixture[str], who: str
) -> None:
    ask_for_both(around)
    async with (
        Impostor(daemon(around, who), next(iter(WRONG))) as impostor,
        around.running(reached_by(around, who, impostor.url), level="warning") as replica,
    ):
        for kind, why in WRONG.items():
            impostor.kind = kind
            said = await says(around, who, "TargetUnknown", why)
            assert impostor.url in said
            assert replica.sample("applied", target="Files", object=OBJECTS[who]) == 0
        await around.until_sample(replica, "unreachable")
        impostor.kind = "nobody"
        await says(around, who, "Applied")
        await until_reached(replica)
        assert replica.sample("applied", target="Files", object=OBJECTS[who]) == 1
        out = logged(capfd)
        assert all(why in out for why in WRONG.values())


OBJECTS = {"prometheus": "AlertPolicy/shop/mine", "alertmanager": "AlertChannel/linkerd-steward/hook"}


@pytest.mark.parametrize("who", BOTH)
async def test_a_bearer_token_that_is_not_taken_is_named_by_its_file_and_never_shown(
    around: World, capfd: pytest.CaptureFixture[str], tmp_path: Path, who: str
) -> None:
    ask_for_both(around)
    token = tmp_path / "bearer"
    token.write_text("0utd4ted")
    async with (
        Impostor(daemon(around, who), token="current") as impostor,
        around.running(reached_by(around, who, impostor.url, token), level="warning") as replica,
    ):
        said = await says(around, who, "TargetUnknown", f"the bearer token in {token} is not one that it takes")
        assert impostor.url in said
        await around.until_sample(replica, "unreachable")
        token.write_text("current")
        await says(around, who, "Applied")
        await until_reached(replica)
        assert "0utd4ted" not in logged(capfd) + said


@pytest.mark.parametrize("who", BOTH)
async def test_what_is_in_force_stays_while_somebody_else_answers_and_the_next_edit_follows(
    around: World, who: str
) -> None:
    ask_for_both(around)
    async with (
        Impostor(daemon(around, who)) as impostor,
        around.running(reached_by(around, who, impostor.url)) as replica,
    ):
        await says(around, "prometheus", "Applied")
        await says(around, "alertmanager", "Applied")
        await around.event(AlertFiring)
        impostor.kind = "a page for everything"
        await around.until_sample(replica, "unreachable")
        if who == "prometheus":
            said = await around.policy_says("mine", "Sighted", "NotAsked", saying=impostor.url)
            assert "which metrics this Prometheus has is not known: " in said.message
        around.policy("mine", ENDS)
        around.channel("hook", {**HOOK, "groupWaitSeconds": 7})
        await says(around, who, "TargetUnknown" if who == "alertmanager" else "QueryNotChecked", impostor.url)
        if who == "prometheus":
            assert await around.prometheus.rules() == ("Fires",)
            assert "vector(1) > 2" not in (around.folder / "rules" / "shop.mine.yaml").read_text()
        else:
            assert "7s" not in str(await around.alertmanager.get("/api/v2/status"))
        impostor.kind = "nobody"
        await says(around, "prometheus", "Applied")
        await says(around, "alertmanager", "Applied")
        await around.event(AlertResolved)
    assert len(await around.events(AlertFiring)) == 1
    assert len(await around.events(AlertResolved)) == 1


async def test_an_api_server_that_is_away_at_the_start_leaves_the_last_good_rules_in_force(
    around: World, capfd: pytest.CaptureFixture[str]
) -> None:
    ask_for_both(around)
    async with around.running():
        await says(around, "prometheus", "Applied")
        await says(around, "alertmanager", "Applied")
        await around.event(AlertFiring)
    await around.kubernetes.stop()
    (around.folder / "rules" / "shop.mine.yaml").unlink()
    await around.prometheus.kill()
    await around.prometheus.start()
    assert await around.prometheus.rules() == ()
    async with around.running(level="info") as replica:
        await around.prometheus_until(around.prometheus.rules, ("Fires",).__eq__)
        await around.until_sample(replica, "unread_facts", fact="Mesh")
        assert not replica.task.done()
        await around.kubernetes.start()
        around.policy("mine", ENDS)
        await says(around, "prometheus", "Applied")
        await around.event(AlertResolved)
    assert around.kubernetes.url.removeprefix("http://") in logged(capfd)
    assert len(await around.events(AlertFiring)) == 1


async def test_alerts_are_told_while_the_api_server_is_away_and_edits_follow_when_it_is_back(around: World) -> None:
    ask_for_both(around)
    async with around.running() as replica:
        await says(around, "prometheus", "Applied")
        await around.event(AlertFiring)
        await around.kubernetes.stop()
        await around.alertmanager.fire({"alertname": "Meanwhile", "severity": "warning", "namespace": "shop"})
        await around.event(AlertFiring, lambda event: event.alert == "Meanwhile")
        assert await around.prometheus.rules() == ("Fires",)
        assert not replica.task.done()
        await around.kubernetes.start()
        around.policy("mine", ENDS)
        await says(around, "prometheus", "Applied")
        await around.event(AlertResolved, lambda event: event.alert == "Fires")
    told = [(event.fingerprint, event.since) for event in await around.events(AlertFiring)]
    assert len(told) == len(set(told)) == 2


async def test_delivery_by_the_operator_waits_for_an_api_server_that_comes_late(around: World) -> None:
    """Whether the operator is installed decides the way, and only the API server knows."""
    await around.kubernetes.stop()
    async with around.running(by_operator(around)) as replica:
        # It tries every fifth of a second; a look of Prometheus' at it is a second apart.
        await around.scraped(times=2)
        assert not replica.task.done()
        await around.kubernetes.start()
        around.policy("mine", FIRES)
        said = await around.policy_says("mine", "InForce", "TargetUnknown")
        assert "there is no way to Prometheus" in said.message
        assert around.kubernetes.cluster.list(ALERT_POLICIES)
