"""version_watcher as a whole: what it says, once each, whatever happens around it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from steward.events.versions import DriftKind, MeshDrifted, NewVersion, Recommendation, VersionWithdrawn
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import EVENTS, NAMESPACES, RELEASE_CATALOGS
from steward.resources.release_catalog import ReleaseCatalogStatus
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import Reset
from tests.services.version_watcher.cluster import install, workload
from tests.services.version_watcher.running import PATIENCE, World, world
from tests.services.version_watcher.upstream import NOTES, VERSION, Page, release


@pytest_asyncio.fixture
async def around() -> AsyncIterator[World]:
    """A cluster that runs edge-26.6.3, and an upstream that offers edge-26.8.3."""
    async with world() as made:
        install(made.kubernetes.cluster, "edge-26.6.3")
        workload(made.kubernetes.cluster, "shop", "web", "edge-26.6.3")
        made.upstream.offer(edge="edge-26.8.3")
        made.upstream.publish(release("edge-26.8.3"), release("edge-26.6.3"))
        made.upstream.index("2026.8.3", "2026.6.3")
        yield made


async def test_a_release_is_announced_with_everything_that_is_known_of_it(around: World) -> None:
    async with around.running(), around.events() as events:
        (envelope,) = await events.first(1)

    event = envelope.data
    assert isinstance(event, NewVersion)
    assert envelope.id == "new-version/testing/edge-26.8.3"
    assert (event.channel, event.release, event.previous, event.running) == ("edge", "edge-26.8.3", None, "edge-26.6.3")
    assert (event.logical_version, event.chart_version, event.kubernetes_minimum) == ("2.20", "2026.8.3", "1.31")
    assert event.recommendation is Recommendation.UNKNOWN
    assert any("ServiceProfile" in notice for notice in event.notices), "the notice of edge-26.7.1 lies on the way"


async def test_the_status_says_what_the_events_say(around: World) -> None:
    async with around.running():
        status = await around.until(lambda it: bool(it.channels) and it.channels[0].announced is not None)

    assert status.channels[0].head == "edge-26.8.3"
    assert status.mesh is not None
    assert (status.mesh.control_plane, status.mesh.expected_proxy) == ("edge-26.6.3", "edge-26.6.3")
    assert [(each.version, each.pods) for each in status.mesh.proxies] == [("edge-26.6.3", 1)]
    head = next(each for each in status.releases if each.version == "edge-26.8.3")
    assert set(head.digests) == {"linkerd-linux-amd64", "linkerd-control-plane", "linkerd-crds"}
    assert {each.type: each.status.value for each in status.conditions} == {
        "Fresh": "True",
        "MeshAsExpected": "True",
        "MeshInventoried": "True",
        "Parsed": "True",
        "Retrieved": "True",
    }


async def test_a_restart_says_nothing_again(around: World) -> None:
    async with around.events() as events:
        async with around.running():
            await events.first(1)
            await around.until(_all_said)
        async with around.running():
            around.upstream.offer(edge="edge-26.9.1")
            found = await events.first(2)

        assert [each.id for each in found] == ["new-version/testing/edge-26.8.3", "new-version/testing/edge-26.9.1"]
        assert len(await events.all()) == 2


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_a_process_that_dies_at_any_write_leaves_nothing_unsaid_and_nothing_said_twice(
    around: World, stage: str, writes: int
) -> None:
    workload(around.kubernetes.cluster, "shop", "old", "edge-26.5.1")
    killer = around.killer(writes=writes, stage=stage)
    async with around.events() as events:
        first = around.start()
        async with asyncio.timeout(PATIENCE):
            await killer.struck.wait()
        await first.stop()
        killer.spare()
        async with around.running():
            await around.until(_all_said)
        assert sorted(each.data.name for each in await events.all()) == ["mesh-drifted", "new-version"]


async def test_a_status_write_whose_answer_is_lost_is_looked_up(around: World) -> None:
    around.kubernetes.faults.add(Reset(after=True), method="PUT", path="releasecatalogs/default/status$", times=3)
    async with around.running(), around.events() as events:
        await around.until(_all_said)
        assert len(await events.all()) == 1


async def test_of_two_replicas_one_speaks(around: World) -> None:
    async with around.events() as events:
        async with around.running(identity="one") as one, around.running(identity="two") as two:
            await around.until(_all_said)
            assert sorted([one.sample("leading"), two.sample("leading")], key=str) == [0.0, 1.0]
            leader = one if one.sample("leading") else two
            await leader.stop()
            around.upstream.offer(edge="edge-26.9.1")
            await events.first(2)
        assert [each.id for each in await events.all()] == [
            "new-version/testing/edge-26.8.3",
            "new-version/testing/edge-26.9.1",
        ]


async def test_what_happens_while_nats_is_down_is_said_when_it_is_back(around: World) -> None:
    async with around.events() as events, around.running():
        await around.until(_all_said)
        await around.nats.kill()
        around.upstream.offer(edge="edge-26.9.1")
        await around.until(lambda it: it.channels[0].head == "edge-26.9.1")
        around.upstream.offer(edge="edge-26.9.2")
        await around.until(lambda it: it.channels[0].head == "edge-26.9.2")
        await around.nats.start()
        await around.until(_all_said)
        assert [each.data.release for each in await events.all() if isinstance(each.data, NewVersion)] == [
            "edge-26.8.3",
            "edge-26.9.1",
            "edge-26.9.2",
        ]


async def test_it_starts_without_nats_and_loses_nothing(around: World) -> None:
    await around.nats.kill()
    async with around.running():
        await around.until(lambda it: bool(it.channels))
        await around.nats.start()
        async with around.events() as events:
            (envelope,) = await events.first(1)
    assert envelope.id == "new-version/testing/edge-26.8.3"


async def test_a_head_that_goes_back_is_recorded_and_not_said(around: World) -> None:
    async with around.events() as events, around.running():
        await around.until(_all_said)
        around.upstream.offer(edge="edge-26.7.1")
        status = await around.until(lambda it: it.channels[0].regressed)
        assert (status.channels[0].head, status.channels[0].offered) == ("edge-26.8.3", "edge-26.7.1")
        around.upstream.offer(edge="edge-26.9.1")
        await events.first(2)
        assert len(await events.all()) == 2


async def test_a_cluster_that_runs_the_first_head_is_told_nothing() -> None:
    async with world() as made:
        install(made.kubernetes.cluster, "edge-26.8.3")
        made.upstream.offer(edge="edge-26.8.3")
        made.upstream.publish(release("edge-26.8.3"))
        made.upstream.index("2026.8.3")
        async with made.running(), made.events() as events:
            await made.until(lambda it: bool(it.channels))
            made.upstream.offer(edge="edge-26.9.1")
            (envelope,) = await events.first(1)
    assert envelope.id == "new-version/testing/edge-26.9.1"


async def test_a_note_edited_weeks_later_withdraws_the_release(around: World) -> None:
    async with around.events() as events, around.running():
        await around.until(_all_said)
        around.upstream.publish(
            release("edge-26.8.3", "**This release is not recommended.** Please use edge-26.9.1 instead."),
            release("edge-26.6.3"),
        )
        found = await events.first(2)
        await around.until(_all_said)
        event = found[1].data
        assert isinstance(event, VersionWithdrawn)
        assert (event.release, event.superseded_by, event.running) == ("edge-26.8.3", "edge-26.9.1", False)
        assert len(await events.all()) == 2


async def test_a_person_withdraws_the_release_that_runs(around: World) -> None:
    async with around.events("version-withdrawn") as events, around.running():
        await around.until(_all_said)
        entry: JsonObject = {"version": "edge-26.6.3", "recommendation": "NotRecommended", "reason": "Ours."}
        around.kubernetes.cluster.patch(
            RELEASE_CATALOGS,
            "default",
            Patch(
                "merge",
                {"spec": {"releases": [entry]}},
            ),
        )
        (envelope,) = await events.first(1)
    event = envelope.data
    assert isinstance(event, VersionWithdrawn)
    assert (event.release, event.reason, event.running) == ("edge-26.6.3", "Ours.", True)


async def test_a_mesh_that_drifts_is_said_once_for_each_way_it_does(around: World) -> None:
    async with around.events("mesh-drifted") as events, around.running() as replica:
        await around.until(_all_said)
        workload(around.kubernetes.cluster, "shop", "old", "edge-25.10.7", native=False)
        (first,) = await events.first(1)
        await around.until(lambda it: _all_said(it) and it.mesh is not None and bool(it.mesh.drifts))
        workload(around.kubernetes.cluster, "shop", "bare", None)
        found = await events.first(2)

        data = first.data
        assert isinstance(data, MeshDrifted)
        assert {each.kind for each in data.drifts} == {DriftKind.STALE_PROXY, DriftKind.SIDECAR_MODE}
        assert data.drifts[0].examples == ("shop/old-abc-0",)
        later = found[1].data
        assert isinstance(later, MeshDrifted)
        assert DriftKind.MISSING_PROXY in {each.kind for each in later.drifts}
        assert first.id.rsplit("/", 1)[1] == "1"
        assert found[1].id.rsplit("/", 1)[1] == "2"
        assert replica.sample("drifts", kind="MissingProxy") == 1
        assert (await around.condition("MeshAsExpected", "StaleProxy")).status == "False"


async def test_a_mesh_that_is_well_again_is_a_condition_and_no_event(around: World) -> None:
    async with around.events("mesh-drifted") as events, around.running():
        workload(around.kubernetes.cluster, "shop", "old", "edge-26.5.1")
        await events.first(1)
        workload(around.kubernetes.cluster, "shop", "old", "edge-26.6.3")
        await around.condition("MeshAsExpected", "AsExpected")
        await around.until(lambda it: it.mesh is not None and not it.mesh.fingerprint)
        workload(around.kubernetes.cluster, "shop", "old", "edge-26.5.1")
        found = await events.first(2)
        assert [each.id.rsplit("/", 1)[1] for each in found] == ["1", "2"]


async def test_people_read_it_in_the_events_of_the_catalog(around: World) -> None:
    async with asyncio.TaskGroup() as tasks, around.running():
        noted = tasks.create_task(
            around.written(lambda moment: "/events" in moment.path and text(moment.body, "reason") == "NewVersion")
        )
        await noted
    about = around.kubernetes.cluster.list(EVENTS, "default")
    assert {text(each, "regarding", "name") for each in about} == {"default"}


async def test_what_does_not_matter_writes_nothing(around: World) -> None:
    group = around.upstream.group()
    calm = group.model_copy(
        update={
            name: getattr(group, name).model_copy(update={"interval": timedelta(days=1)})
            for name in ("version_check", "release_notes", "helm_index")
        }
    )
    async with around.running(calm) as replica:
        await around.until(_all_said)
        writes = replica.sample("status_writes_total", result="written")
        around.kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": "other", "labels": {"a": "b"}}})
        # The next thing that does matter comes after it, and is the only one that is written.
        workload(around.kubernetes.cluster, "other", "web", "edge-26.6.3")
        await around.until(lambda it: it.mesh is not None and it.mesh.meshed_pods == 2)
        assert replica.sample("status_writes_total", result="written") == (writes or 0) + 1


READ = ("get", "list", "watch")
RIGHTS = (
    Rule(("list", "watch"), ("",), ("pods", "namespaces")),
    Rule(("list", "watch"), ("apps",), ("deployments", "statefulsets", "daemonsets")),
    Rule(("list", "watch"), ("apiextensions.k8s.io",), ("customresourcedefinitions",)),
    Rule(("list", "watch"), ("",), ("configmaps",), ("linkerd",)),
    Rule((*READ, "create"), ("steward.linkerd.io",), ("releasecatalogs",)),
    Rule(("update",), ("steward.linkerd.io",), ("releasecatalogs/status",)),
    Rule(("get", "create", "update"), ("coordination.k8s.io",), ("leases",), ("linkerd-steward",)),
    Rule(("create", "patch"), ("events.k8s.io",), ("events",), ("default",)),
)


async def test_it_needs_these_rights_and_no_others(around: World) -> None:
    config = around.kubernetes.add_user("watcher", "version-watcher", RIGHTS)
    async with around.running(kubeconfig=config) as replica:
        await around.until(_all_said)
        samples = [each for family in replica.registry.collect() for each in family.samples]
    assert [each.labels for each in samples if each.labels.get("code") in ("401", "403") and each.value] == []


async def test_a_source_that_is_away_hides_nothing_of_the_others(around: World) -> None:
    around.upstream.pages[NOTES] = Page(status=503)
    async with around.running(), around.events() as events:
        (envelope,) = await events.first(1)
        condition = await around.condition("Retrieved", "Http503")
    assert isinstance(envelope.data, NewVersion)
    assert envelope.data.kubernetes_minimum == "1.31"
    assert "release-notes" in condition.message


@pytest.mark.parametrize(
    ("page", "condition", "reason", "words"),
    [
        pytest.param(Page(b""), "Parsed", "EmptyAnswer", "is empty", id="empty"),
        pytest.param(Page(b"<html>Sign in</html>"), "Parsed", "HtmlAnswer", "web page", id="html"),
        pytest.param(Page(b"edge-26.8.3"), "Parsed", "NotJson", "not JSON", id="text"),
        pytest.param(Page(b'["edge-26.8.3"]'), "Parsed", "NotAnObject", "no object", id="list"),
        pytest.param(Page(b"[" * 5000), "Parsed", "NotJson", "not JSON", id="nested"),
        pytest.param(Page(b" " * 20_000), "Parsed", "TooLarge", "larger than", id="large"),
        pytest.param(Page(b'{"edge": 26}'), "Parsed", "NotText", "not a text", id="number"),
        pytest.param(Page(b'{"edge": "stable-2.14.10"}'), "Parsed", "WrongChannel", "channel 'stable'", id="channel"),
        pytest.param(Page(b'{"edge": "edge-2.8"}'), "Parsed", "UnknownFormat", "expected edge-", id="format"),
        pytest.param(Page(b'{"edge": "latest"}'), "Parsed", "UnknownFormat", "no Linkerd version", id="word"),
        pytest.param(Page(b'{"edge": "edge-99.1.1"}'), "Parsed", "FutureDated", "ahead of our clock", id="future"),
        pytest.param(Page(b'{"stable": "stable-2.14.10"}'), "Parsed", "ChannelMissing", "nothing for", id="missing"),
        pytest.param(
            Page(b'{"edge": "edge-26.8.3", "edge": "edge-26.8.4"}'),
            "Parsed",
            "DuplicateKey",
            "more than once",
            id="twice",
        ),
        pytest.param(Page(status=404), "Retrieved", "Http404", "404", id="gone"),
        pytest.param(Page(status=500), "Retrieved", "Http500", "500", id="broken"),
        pytest.param(Page(status=429), "Retrieved", "RateLimited", "too many requests", id="limited"),
        pytest.param(
            Page(status=302, headers={"Location": VERSION}),
            "Retrieved",
            "TooManyRedirects",
            "again and again",
            id="loop",
        ),
    ],
)
async def test_every_kind_of_garbage_is_a_condition_of_its_own_and_no_news(
    around: World, page: Page, condition: str, reason: str, words: str
) -> None:
    around.upstream.pages[VERSION] = page
    async with around.events("new-version") as events, around.running():
        found = await around.condition(condition, reason)
        assert found.status == "False"
        assert words in found.message
        assert (await around.condition("Fresh", "Fresh" if reason == "ChannelMissing" else "NeverRead")) is not None
        around.upstream.offer(edge="edge-26.8.3")
        (envelope,) = await events.first(1)
        await around.condition(condition, condition)
    assert envelope.id == "new-version/testing/edge-26.8.3", "what follows garbage is read as if there had been none"


async def test_without_sources_people_say_what_there_is(around: World) -> None:
    group = around.upstream.group()
    offline = group.model_copy(
        update={
            name: getattr(group, name).model_copy(update={"enabled": False})
            for name in ("version_check", "release_notes", "helm_index")
        }
    )
    around.kubernetes.cluster.create(
        RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": {"releases": [{"version": "edge-26.8.3"}]}}
    )
    async with around.running(offline), around.events() as events:
        (envelope,) = await events.first(1)
    assert envelope.id == "new-version/testing/edge-26.8.3"
    assert around.upstream.count(VERSION) == 0


def _all_said(status: ReleaseCatalogStatus) -> bool:
    return (
        bool(status.channels)
        and all(channel.announced == channel.head for channel in status.channels)
        and all(each.published for each in status.withdrawn)
        and status.mesh is not None
        and not status.mesh.unpublished
    )
