"""The reflector's cache is true again after everything that can happen to a watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, text, texts
from steward.kube.client import Kube, KubeOptions
from steward.kube.errors import Forbidden, ServerUnavailable
from steward.kube.pace import WatchPace
from steward.kube.reflector import Reflector, unmanaged
from steward.kube.resources import CONFIG_MAPS, CRDS, UPGRADE_RUNS
from steward.kube.watching import GRACE, WatchFrom
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import BROKEN, EXPIRED, Garbage, HalfOpen, Refuse, Reset
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import config_map, until


@dataclass(frozen=True, slots=True)
class Seen:
    value: str


def trim(found: JsonObject) -> Seen:
    return Seen(text(found, "data", "key"))


@dataclass(slots=True)
class Cache:
    """A running reflector and what its handler was told."""

    reflector: Reflector[Seen]
    told: list[tuple[str, str, str]]

    def shows(self, **expected: str) -> bool:
        return {key: seen.value for key, seen in self.reflector.items()} == {
            f"default/{name}": value for name, value in expected.items()
        }


@asynccontextmanager
async def cached(kube: Kube) -> AsyncIterator[Cache]:
    """A reflector over the ConfigMaps of `default`, synced."""
    told: list[tuple[str, str, str]] = []

    def tell(key: str, old: Seen | None, new: Seen | None) -> None:
        told.append((key, old.value if old else "-", new.value if new else "-"))

    reflector = Reflector(kube, CONFIG_MAPS, trim=trim, namespace="default", on_change=tell)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reflector.run())
        await reflector.synced.wait()
        yield Cache(reflector, told)
        running.cancel()


def listed(cache: Cache, times: int) -> bool:
    return cache.reflector.lists == times


def put(fake: FakeKubernetes, name: str, value: str) -> None:
    """Write behind the client's back."""
    fake.cluster.patch(CONFIG_MAPS, name, Patch("merge", {"data": {"key": value}}), "default")


def add(fake: FakeKubernetes, name: str, value: str) -> None:
    fake.cluster.create(CONFIG_MAPS, config_map(name, key=value), "default")


def drop(fake: FakeKubernetes, name: str) -> None:
    fake.endpoints.undertaker.delete(CONFIG_MAPS, name, "default")


async def test_it_holds_what_is_there_and_follows_what_happens(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    for number in range(7):
        add(fake_kubernetes, f"a{number}", "1")
    async with cached(kube) as cache:
        assert len(cache.reflector) == 7
        put(fake_kubernetes, "a0", "2")
        drop(fake_kubernetes, "a1")
        add(fake_kubernetes, "b", "3")
        await until(lambda: cache.reflector.get("default/b") is not None)
        assert cache.told[-3:] == [
            ("default/a0", "1", "2"),
            ("default/a1", "1", "-"),
            ("default/b", "-", "3"),
        ]
        assert cache.reflector.lists == 1


async def test_a_change_outside_of_what_is_kept_is_no_change(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    add(fake_kubernetes, "a", "1")
    async with cached(kube) as cache:
        label = Patch("merge", {"metadata": {"labels": {"a": "b"}}})
        fake_kubernetes.cluster.patch(CONFIG_MAPS, "a", label, "default")
        put(fake_kubernetes, "a", "2")
        await until(lambda: cache.shows(a="2"))
        assert cache.told == [("default/a", "-", "1"), ("default/a", "1", "2")]


async def test_watches_that_end_go_on_from_where_they_were(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    async with cached(kube) as cache:
        expected: dict[str, str] = {}
        for number in range(3):
            await until(lambda: fake_kubernetes.watching == 1)
            fake_kubernetes.cut_watches()
            add(fake_kubernetes, f"a{number}", "1")
            expected[f"a{number}"] = "1"
            await until(lambda: cache.shows(**expected))
        assert cache.reflector.lists == 1


async def test_410_inside_the_stream_lists_again_and_tells_of_deletions(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    for name in ("gone", "kept", "changed"):
        add(fake_kubernetes, name, "1")
    async with cached(kube) as cache:
        await until(lambda: fake_kubernetes.watching == 1)
        cache.told.clear()
        fake_kubernetes.faults.add(BROKEN, watch=True, times=1)
        fake_kubernetes.cut_watches()
        await until(lambda: fake_kubernetes.watching == 0)
        drop(fake_kubernetes, "gone")
        put(fake_kubernetes, "changed", "2")
        add(fake_kubernetes, "new", "1")
        fake_kubernetes.cluster.store.compact()
        await until(lambda: cache.shows(kept="1", changed="2", new="1"))
        assert cache.reflector.lists == 2
        assert sorted(cache.told) == [
            ("default/changed", "1", "2"),
            ("default/gone", "1", "-"),
            ("default/new", "-", "1"),
        ]


async def test_an_expired_watch_is_followed_by_one_list_not_by_many(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    async with cached(kube) as cache:
        for lists in (2, 3):
            await until(lambda: fake_kubernetes.watching == 1)
            fake_kubernetes.expire_watches()
            await until(partial(listed, cache, lists))
        await until(lambda: fake_kubernetes.watching == 1)
        assert cache.reflector.lists == 3


async def test_a_restart_of_the_server_loses_nothing(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    add(fake_kubernetes, "a", "1")
    async with cached(kube) as cache:
        await fake_kubernetes.stop()
        await until(lambda: isinstance(cache.reflector.problem, ServerUnavailable))
        drop(fake_kubernetes, "a")
        add(fake_kubernetes, "b", "1")
        assert cache.shows(a="1"), "an outage empties no cache"
        await fake_kubernetes.start()
        await until(lambda: cache.shows(b="1"))
        await until(lambda: cache.reflector.problem is None)


async def test_failures_are_repeated_with_growing_pauses(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    async with cached(kube) as cache:
        broken = fake_kubernetes.faults.add(Refuse(502, message="<html>bad gateway</html>", plain=True), times=None)
        fake_kubernetes.cut_watches()
        await until(lambda: cache.reflector.failures >= 5)
        assert broken.hits < 100, "not a thousand connections a second"
        assert cache.reflector.staleness() > timedelta(0)
        fake_kubernetes.faults.clear()
        add(fake_kubernetes, "a", "1")
        await until(lambda: cache.shows(a="1"))


async def test_a_server_that_closes_every_watch_at_once_is_not_hammered(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    async with cached(kube) as cache:
        closing = fake_kubernetes.faults.add(Garbage(b""), watch=True, times=20)
        fake_kubernetes.cut_watches()
        add(fake_kubernetes, "a", "1")
        await until(lambda: closing.hits >= 3)
        assert cache.reflector.lists == 1, "an empty answer is no reason to list"
        fake_kubernetes.faults.clear()
        await until(lambda: cache.shows(a="1"))


async def test_lines_that_are_no_events_are_an_error_and_never_an_event(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    async with cached(kube) as cache:
        fake_kubernetes.faults.add(Garbage(b"<html>\n<body>please log in</body>\n"), watch=True, times=1)
        fake_kubernetes.cut_watches()
        await until(lambda: cache.reflector.failures >= 1)
        add(fake_kubernetes, "a", "1")
        await until(lambda: cache.shows(a="1"))


async def test_a_version_in_the_future_is_noticed_by_its_silence(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    add(fake_kubernetes, "a", "1")
    fake_kubernetes.cluster.store.version += 1_000_000
    async with cached(kube) as cache:
        await until(lambda: fake_kubernetes.watching == 1)
        fake_kubernetes.cluster.store.version -= 1_000_000
        put(fake_kubernetes, "a", "2")
        await until(lambda: cache.shows(a="2"))
        assert cache.reflector.lists >= 2


async def test_a_half_open_watch_is_given_up(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    assert timedelta(seconds=10) <= GRACE, "a live server may be late with its last bookmark"
    fake_kubernetes.faults.add(HalfOpen(), watch=True, times=1)
    quick = kube.watch(CONFIG_MAPS, WatchFrom("1", timedelta(seconds=-9.8)))
    async with asyncio.timeout(5):
        with pytest.raises(ServerUnavailable, match="no answer"):
            await anext(quick)


async def test_a_resource_that_is_not_installed_yet_is_waited_for(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    runs = Reflector(kube, UPGRADE_RUNS, trim=unmanaged)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runs.run())
        await until(lambda: runs.problem is not None)
        assert not runs.synced.is_set()
        schema: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version: JsonObject = {
            "name": "v1alpha1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        names: JsonObject = {"plural": "upgraderuns", "kind": "UpgradeRun"}
        spec: JsonObject = {"group": UPGRADE_RUNS.group, "scope": "Cluster", "names": names, "versions": [version]}
        fake_kubernetes.cluster.create(CRDS, {"metadata": {"name": str(UPGRADE_RUNS)}, "spec": spec})
        await runs.synced.wait()
        running.cancel()


async def test_a_right_that_is_missing_is_reported_and_waited_for(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    refused = fake_kubernetes.faults.add(Refuse(403, "Forbidden", "not you"), method="GET", times=2)
    reflector = Reflector(kube, CONFIG_MAPS, trim=trim)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reflector.run())
        await until(lambda: isinstance(reflector.problem, Forbidden))
        await reflector.synced.wait()
        running.cancel()
    assert refused.hits == 2


async def test_a_late_subscriber_first_hears_of_what_is_there(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    add(fake_kubernetes, "a", "1")
    async with cached(kube) as cache:
        heard: list[str] = []
        cache.reflector.subscribe(lambda key, _old, _new: heard.append(key))
        add(fake_kubernetes, "b", "1")
        await until(lambda: heard == ["default/a", "default/b"])


async def test_labels_narrow_what_is_cached(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    for name, team in (("a", "web"), ("b", "db")):
        labels: JsonObject = {"name": name, "labels": {"team": team}}
        fake_kubernetes.cluster.create(CONFIG_MAPS, {"metadata": labels}, "default")
    reflector = Reflector(kube, CONFIG_MAPS, trim=lambda found: texts(found, "metadata", "labels"), labels="team=web")
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reflector.run())
        await reflector.synced.wait()
        assert dict(reflector.items()) == {"default/a": {"team": "web"}}
        running.cancel()


_FAULTS = st.sampled_from(["none", "cut", "expire", "compact", "reset", "broken", "expired list", "restart"])
_ACTS = st.tuples(st.sampled_from(["add", "change", "remove"]), st.integers(0, 4), _FAULTS)


@settings(max_examples=15, deadline=None)
@given(st.lists(_ACTS, min_size=1, max_size=12))
async def test_whatever_happens_the_cache_ends_equal_to_the_cluster(acts: list[tuple[str, int, str]]) -> None:
    pace = WatchPace(timedelta(seconds=1), timedelta(seconds=2), timedelta(milliseconds=1), timedelta(milliseconds=5))
    async with (
        FakeKubernetes() as fake,
        await Kube.connect(kubeconfig=fake.kubeconfig(), options=KubeOptions(watch=pace)) as kube,
        cached(kube) as cache,
    ):
        values: dict[str, str] = {}
        for step, (act, number, fault) in enumerate(acts):
            await _strike(fake, fault)
            name = f"a{number}"
            if act == "remove" and name in values:
                drop(fake, name)
                del values[name]
            elif act != "remove":
                (put if name in values else add)(fake, name, str(step))
                values[name] = str(step)
            await SystemClock().sleep(timedelta(0))
        fake.faults.clear()
        await until(lambda: cache.shows(**values))
        told: dict[str, str] = {}
        for key, old, new in cache.told:
            assert told.get(key, "-") == old, "every change is told against the one before"
            told[key] = new
        assert {key: value for key, value in told.items() if value != "-"} == {
            f"default/{name}": value for name, value in values.items()
        }


async def _strike(fake: FakeKubernetes, fault: str) -> None:
    match fault:
        case "cut":
            fake.cut_watches()
        case "expire":
            fake.expire_watches()
        case "compact":
            fake.cluster.store.compact()
        case "reset":
            fake.faults.add(Reset(), times=1)
        case "broken":
            fake.faults.add(BROKEN, times=1)
        case "expired list":
            fake.faults.add(EXPIRED, times=1)
        case "restart":
            await fake.stop()
            await fake.start()
