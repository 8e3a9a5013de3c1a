"""Policies that change by the hundred, some of them broken, while those who act by them die and come back."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from steward.clock import SystemClock
from steward.errors import ToolError
from steward.events.alerts import AlertFiring, AlertResolved
from steward.jsonvalue import JsonObject, rows, text
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from steward.testing.monitoring.webhooks import WebhookSink
from tests.services.alerting.running import World, world

pytestmark = pytest.mark.monitoring

POLICIES = 8
EDITS = 200
PAUSE = timedelta(milliseconds=100)
MOST_RELOADS = EDITS
"""What comes together is applied together, and what is refused is not shown again with every other edit."""
NUMBER = re.compile(r"vector\((\d+)\)")
BROKEN: tuple[JsonObject, ...] = (
    {"rules": [{"name": "Edit", "expr": "sum(", "severity": "warning"}]},
    {
        "targets": [{"name": "web"}],
        "objectives": [{"name": "fast", "latency": {"withinMilliseconds": 51}}],
    },
    {"targets": [{"name": "nowhere"}], "objectives": [{"name": "good", "successPercent": 99}]},
    {"controlPlane": {}},
)
FIRES: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1)", "severity": "warning"}]}
ENDS: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1) > 2", "severity": "warning"}]}


def edit(number: int) -> JsonObject:
    """A policy that says its own number."""
    return {"rules": [{"name": "Edit", "expr": f"vector({number}) > 1000", "severity": "warning"}]}


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


@dataclass
class Observer:
    """What is in force at every moment, compared with what may be."""

    around: World
    good: dict[str, list[int]] = field(default_factory=dict)
    """The numbers of the good edits of each policy, in order."""
    seen: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    faults: list[str] = field(default_factory=list)

    async def in_force(self) -> dict[str, int]:
        """Policy → number of the edit that Prometheus evaluates."""
        answer = await self.around.prometheus.get("/api/v1/rules")
        found = {}
        for group in rows(answer, "data", "groups"):
            policy = text(group, "file").rpartition("/")[2].split(".")[1]
            for rule in rows(group, "rules"):
                number = NUMBER.match(text(rule, "query"))
                if number and policy in self.good:
                    found[policy] = int(number[1])
        return found

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self._judge(await self.in_force())
                status = await self.around.alertmanager.get("/api/v2/status")
                if "shop/hook" not in text(status, "config", "original"):
                    self.faults.append("Alertmanager has not got the route")
                self.looks += 1
            except (ToolError, aiohttp.ClientError, OSError):
                # It is dead at this moment.
                pass
            await SystemClock().sleep(PAUSE)

    def _judge(self, found: dict[str, int]) -> None:
        for policy, before in self.seen.items():
            if policy not in found:
                self.faults.append(f"{policy} is gone")
            elif found[policy] < before:
                self.faults.append(f"{policy} went back from {before} to {found[policy]}")
        for policy, number in found.items():
            if number not in self.good[policy]:
                self.faults.append(f"{policy} has {number}, which was never good")
        self.seen |= found


async def _edit(around: World, observer: Observer) -> None:
    for number in range(EDITS):
        policy = f"p{number % POLICIES}"
        if number % 10 == 9:
            around.policy(policy, BROKEN[number // 10 % len(BROKEN)])
        else:
            observer.good[policy].append(number)
            around.policy(policy, edit(number))
        await SystemClock().sleep(PAUSE)
        if number in (EDITS // 4, EDITS // 2):
            await around.alertmanager.kill()
            await around.alertmanager.start()
        if number == EDITS // 3:
            await around.prometheus.kill()
            await around.prometheus.start()


async def test_two_hundred_edits_and_three_deaths_leave_the_last_good_of_everything_in_force_at_every_moment(
    around: World,
) -> None:
    observer = Observer(around, {f"p{each}": [] for each in range(POLICIES)})
    group = around.group()
    # Time for several edits, as by default: there they come once a second or so, and are waited for as long.
    settling = group.tempo.model_copy(update={"settle": 5 * PAUSE})
    async with WebhookSink() as sink, around.running(group.model_copy(update={"tempo": settling})):
        around.service("web")
        hook: JsonObject = {"webhook": {"url": sink.url}, "groupWaitSeconds": 0, "groupIntervalSeconds": 1}
        around.channel("hook", hook, "shop")
        around.policy("alert", FIRES)
        await around.channel_says("hook", "Applied", "shop")
        await around.event(AlertFiring)
        watching = asyncio.create_task(observer.watch())
        await _edit(around, observer)
        around.policy("alert", ENDS)
        last = {policy: numbers[-1] for policy, numbers in observer.good.items()}

        async def all_there() -> bool:
            return await observer.in_force() == last

        await eventually("last good edits in force", all_there)
        await around.event(AlertResolved)
        await sink.until(lambda post: text(post.body, "status") == "resolved")
        watching.cancel()
        await asyncio.wait([watching])
        assert observer.faults == []
        assert observer.looks > 0
        episodes = await around.episodes()
        # A Prometheus that was killed says that its alerts began anew; an Alertmanager that was killed believes it.
        assert len(set(episodes)) == len(episodes)
        assert len(episodes) in (1, 2)
        statuses = [text(post.body, "status") for post in sink.posts]
        # An Alertmanager that was killed may tell a beginning again; never one after the end.
        assert statuses == [*(["firing"] * (len(statuses) - 1)), "resolved"]
        assert around.prometheus.log.count("Completed loading of configuration file") < MOST_RELOADS


async def test_a_prometheus_that_refuses_everything_keeps_what_was_good_and_is_asked_again(
    around: World,
) -> None:
    """Its own configuration is broken by somebody else's hand, and mended without a word to us."""
    async with around.running():
        around.policy("p0", edit(1))
        await around.policy_says("p0", "InForce", "Applied")
        around.prometheus.write_configuration("scrape_configs: 5")
        around.policy("p0", edit(2))
        said = await around.policy_says("p0", "InForce", "TargetBroken")
        assert "the last good one stays in force" in said.message
        assert "vector(1)" in (around.folder / "rules" / "shop.p0.yaml").read_text()
        around.prometheus.write_configuration()
        await around.policy_says("p0", "InForce", "Applied")
        assert "vector(2)" in (around.folder / "rules" / "shop.p0.yaml").read_text()
