"""A cache of a kind that may not be there: quiet before, and there soon after it is installed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
import yaml

from services.alerting.core.exported.progress import UpgradeSeen, upgrade_seen
from services.alerting.edges.perhaps_installed import PerhapsInstalled
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Forbidden
from steward.kube.resources import CRDS, UPGRADE_RUNS
from steward.resources.definitions import definition
from steward.resources.upgrade_run import UpgradeRun
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.faults import Refuse
from steward.testing.kubernetes.server import FakeKubernetes


@asynccontextmanager
async def cached(kube: Kube, changed: asyncio.Event) -> AsyncIterator[PerhapsInstalled[UpgradeSeen]]:
    cache = PerhapsInstalled(kube, UPGRADE_RUNS, trim=upgrade_seen, on_change=changed.set)
    running = asyncio.create_task(cache.run())
    try:
        async with asyncio.timeout(30):
            yield cache
    finally:
        running.cancel()
        await asyncio.wait([running])


def install(kubernetes: FakeKubernetes) -> None:
    kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(definition(UpgradeRun))))


def run(name: str) -> JsonObject:
    return {"metadata": {"name": name}, "spec": {"target": "edge-26.8.3"}}


async def test_what_is_not_installed_is_empty_without_a_word_and_found_once_it_is(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    changed = asyncio.Event()
    async with (
        await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), clock=manual_clock) as kube,
        cached(kube, changed) as cache,
    ):
        with structlog.testing.capture_logs() as said:
            values = [cache.values]
            await manual_clock.until_somebody_sleeps()
            values.append(cache.values)
            await manual_clock.advance(timedelta(minutes=10))
            await manual_clock.until_somebody_sleeps()
        assert values == [None, ()], "at first nobody knows"
        assert (said, cache.problem) == ([], None)
        install(fake_kubernetes)
        await kube.create(UPGRADE_RUNS, run("next"))
        await manual_clock.advance(timedelta(minutes=1))
        await changed.wait()
        assert [(each.name, each.acts) for each in cache.values or ()] == [("next", False)]


async def test_a_kind_that_may_not_be_listed_is_unknown_and_says_why(fake_kubernetes: FakeKubernetes) -> None:
    install(fake_kubernetes)
    nothing = fake_kubernetes.add_user("alerting", "alerting", [Rule(("get",))])
    async with await Kube.connect(kubeconfig=nothing) as kube, cached(kube, asyncio.Event()) as cache:
        while cache.problem is None:
            await kube.server_version()
        assert isinstance(cache.problem, Forbidden)
        assert cache.values is None


async def test_a_question_that_failed_is_asked_again_soon(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    install(fake_kubernetes)
    fake_kubernetes.faults.add(Refuse(403, "Forbidden"), path="/apis/steward.linkerd.io/v1alpha1$", times=1)
    async with (
        await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), clock=manual_clock) as kube,
        cached(kube, asyncio.Event()) as cache,
    ):
        await manual_clock.until_somebody_sleeps()
        assert isinstance(cache.problem, Forbidden)
        await manual_clock.advance(timedelta(seconds=1))
        while cache.values is None:
            await kube.server_version()
        assert cache.problem is None
