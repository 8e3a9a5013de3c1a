"""Lists in pages, selectors, watches, bookmarks, and what happens when a version is too old or too new."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from steward.jsonvalue import JsonObject, rows, text, whole
from steward.kube.errors import Gone, Invalid, KubeError, ServerUnavailable
from steward.kube.exchange import Exchange
from steward.kube.resources import CONFIG_MAPS, PODS
from steward.kube.retries import Repeat
from steward.kube.watching import WatchEvent, WatchFrom
from tests.contracts.kubernetes.subject import Subject

_SHORT = timedelta(seconds=1)
_LONG = timedelta(seconds=30)


def names(found: list[JsonObject]) -> list[str]:
    return [text(one, "metadata", "name") for one in found]


async def collect(subject: Subject, start: WatchFrom, count: int) -> list[WatchEvent]:
    """The first `count` events of a watch on ConfigMaps, bookmarks left out."""
    events: list[WatchEvent] = []
    async with asyncio.timeout(20), aclosing(subject.kube.watch(CONFIG_MAPS, start)) as watch:
        async for event in watch:
            if event.type != "BOOKMARK":
                events.append(event)
            if len(events) == count:
                break
    return events


def shown(events: list[WatchEvent]) -> list[tuple[str, str]]:
    return [(event.type, text(event.object, "metadata", "name")) for event in events]


async def version_of_now(subject: Subject) -> str:
    return (await subject.kube.list(CONFIG_MAPS, subject.namespace)).resource_version


async def test_a_list_comes_in_pages_of_one_version(subject: Subject) -> None:
    for number in range(5):
        await subject.kube.create(CONFIG_MAPS, subject.config_map(f"a{number}", number=str(number)))
    path = CONFIG_MAPS.path(subject.namespace)
    mine = "metadata.name!=kube-root-ca.crt"
    first = await subject.kube.request("GET", path, query={"limit": "2", "fieldSelector": mine})
    assert names(rows(first, "items")) == ["a0", "a1"]
    await subject.kube.delete(CONFIG_MAPS, "a3", subject.namespace)
    token = text(first, "metadata", "continue")
    second = await subject.kube.request("GET", path, query={"limit": "2", "continue": token, "fieldSelector": mine})
    assert names(rows(second, "items")) == ["a2", "a3"]
    token = text(second, "metadata", "continue")
    last = await subject.kube.request("GET", path, query={"limit": "2", "continue": token, "fieldSelector": mine})
    assert names(rows(last, "items")) == ["a4"]
    assert text(last, "metadata", "continue") == ""
    versions = {text(page, "metadata", "resourceVersion") for page in (first, second, last)}
    assert len(versions) == 1


async def test_a_page_says_how_many_are_left(subject: Subject) -> None:
    for number in range(3):
        await subject.kube.create(PODS, subject.pod(f"a{number}"))
    page = await subject.kube.request("GET", PODS.path(subject.namespace), query={"limit": "1"})
    assert whole(page, "metadata", "remainingItemCount") == 2


async def test_items_of_built_in_lists_do_not_repeat_their_kind(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    raw = await subject.kube.request("GET", CONFIG_MAPS.path(subject.namespace))
    assert text(raw, "kind") == "ConfigMapList"
    assert "kind" not in rows(raw, "items")[0]
    listed = await subject.kube.list(CONFIG_MAPS, subject.namespace)
    assert {text(one, "kind") for one in listed.items} == {"ConfigMap"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("app=web", ["a", "b"]),
        ("app==web,tier=front", ["a"]),
        ("app!=web", ["c", "d"]),
        ("app in (web,db)", ["a", "b", "c"]),
        ("app notin (web,db)", ["d"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c", "d"]),
        ("app in (web),tier notin (front)", ["b"]),
    ],
)
async def test_labels_select(subject: Subject, labels: str, expected: list[str]) -> None:
    for name, pod in {
        "a": subject.pod("a", app="web", tier="front"),
        "b": subject.pod("b", app="web", tier="back"),
        "c": subject.pod("c", app="db"),
        "d": subject.pod("d"),
    }.items():
        assert text(await subject.kube.create(PODS, pod), "metadata", "name") == name
    found = await subject.kube.list(PODS, subject.namespace, labels=labels)
    assert names(found.items) == expected


async def test_fields_select(subject: Subject) -> None:
    for name in ("a", "b"):
        await subject.kube.create(PODS, subject.pod(name))
    one = await subject.kube.list(PODS, subject.namespace, fields="metadata.name=b")
    assert names(one.items) == ["b"]
    pending = await subject.kube.list(PODS, subject.namespace, fields="status.phase=Pending,metadata.name!=a")
    assert names(pending.items) == ["b"]


async def test_a_bad_selector_is_refused(subject: Subject) -> None:
    with pytest.raises(Invalid):
        await subject.kube.list(PODS, subject.namespace, labels="app in web")


async def test_a_watch_tells_what_happened_after_its_version(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("before"))
    start = WatchFrom(await version_of_now(subject), _LONG, subject.namespace)
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "2"}}, subject.namespace)
    await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace)
    events = await collect(subject, start, 3)
    assert shown(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(event.resource_version) for event in events]
    assert versions == sorted(versions)
    assert versions[2] > versions[1], "a deletion has a version of its own to go on from"


async def test_a_watch_without_a_version_begins_with_what_is_there(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    start = WatchFrom("", _LONG, subject.namespace, fields="metadata.name=a")
    assert shown(await collect(subject, start, 1)) == [("ADDED", "a")]


async def test_a_watch_with_a_selector_adds_and_deletes_what_moves_in_and_out(subject: Subject) -> None:
    body = subject.config_map("a")
    await subject.kube.create(CONFIG_MAPS, body)
    start = WatchFrom(await version_of_now(subject), _LONG, subject.namespace, labels="watched=yes")
    for value in ("yes", "no"):
        await subject.kube.merge(CONFIG_MAPS, "a", {"metadata": {"labels": {"watched": value}}}, subject.namespace)
    await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "unseen"}}, subject.namespace)
    await subject.kube.merge(CONFIG_MAPS, "a", {"metadata": {"labels": {"watched": "yes"}}}, subject.namespace)
    events = await collect(subject, start, 3)
    assert [event.type for event in events] == ["ADDED", "DELETED", "ADDED"]


async def test_a_watch_ends_by_itself_when_its_time_is_over(subject: Subject) -> None:
    start = WatchFrom(await version_of_now(subject), _SHORT, subject.namespace)
    async with asyncio.timeout(10):
        seen = [event.type async for event in subject.kube.watch(CONFIG_MAPS, start)]
    assert set(seen) <= {"BOOKMARK"}


async def test_an_unreadable_version_is_refused(subject: Subject) -> None:
    start = WatchFrom("yesterday", _SHORT, subject.namespace)
    with pytest.raises(KubeError, match='resourceVersion: Invalid value: "yesterday"') as refused:
        await collect(subject, start, 1)
    assert refused.value.code == 500


async def test_a_version_from_the_future_makes_a_list_wait_and_fail_with_a_retry_after(subject: Subject) -> None:
    far = str(int(await version_of_now(subject)) + 1_000_000)
    query = {"resourceVersion": far, "resourceVersionMatch": "NotOlderThan"}
    exchange = Exchange("list", "GET", CONFIG_MAPS.path(subject.namespace), query, repeat=Repeat.NEVER)
    with pytest.raises(ServerUnavailable, match="Too large resource version") as refused:
        await subject.kube.send(exchange)
    assert refused.value.code == 504
    assert refused.value.retry_after == timedelta(seconds=1)


async def test_a_watch_from_the_future_is_silent(subject: Subject) -> None:
    far = str(int(await version_of_now(subject)) + 1_000_000)
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    async with asyncio.timeout(10):
        start = WatchFrom(far, _SHORT, subject.namespace)
        assert [event async for event in subject.kube.watch(CONFIG_MAPS, start)] == []


async def test_a_bad_continue_token_is_refused(subject: Subject) -> None:
    with pytest.raises((Invalid, Gone)):
        await subject.kube.request("GET", PODS.path(subject.namespace), query={"limit": "1", "continue": "bm9uc2Vuc2U"})
