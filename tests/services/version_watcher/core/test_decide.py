"""(catalog, what was seen, now) → status, and the events that a status owes."""

from datetime import UTC, datetime, timedelta

import pytest

from services.version_watcher.core.advice import Advice
from services.version_watcher.core.announce import notices_on_the_way, owed, stored
from services.version_watcher.core.decide import Rules, Seen, decide
from services.version_watcher.core.feed import Feed
from services.version_watcher.core.helm_index import HelmIndex
from services.version_watcher.core.mesh import MeshSeen, Patience
from services.version_watcher.core.notes import Notes, ReleaseNote
from services.version_watcher.core.reading import Look, Nothing, Read, Source
from services.version_watcher.core.telling import tell
from steward.events.versions import Drift, DriftKind, MeshDrifted, NewVersion, Recommendation, VersionWithdrawn
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.resources.base import ObjectMeta, condition_of
from steward.resources.release_catalog import (
    ReleaseCatalog,
    ReleaseCatalogSpec,
    ReleaseCatalogStatus,
    ReleaseEntry,
)

NOW = datetime(2026, 8, 22, tzinfo=UTC)
RULES = Rules(
    channels=("edge",),
    sources=(Source.VERSION_CHECK, Source.RELEASE_NOTES, Source.HELM_INDEX),
    stale_after=timedelta(days=1),
    patience=Patience(timedelta(0), timedelta(0)),
)
AWAY = Nothing("Unreachable", "it cannot be reached", reached=False)


def catalog(status: ReleaseCatalogStatus | None = None, *written: ReleaseEntry) -> ReleaseCatalog:
    meta = ObjectMeta(name="default", uid="u1", generation=1)
    return ReleaseCatalog(metadata=meta, spec=ReleaseCatalogSpec(releases=written), status=status)


def feed(*offers: str, at: datetime = NOW) -> Look[Feed]:
    versions = [Version.parse(each) for each in offers]
    return Look.after(None, Read(Feed({each.channel: each for each in versions})), at)


def mesh(version: str = "edge-26.6.3", *drifts: Drift, fingerprint: str = "") -> MeshSeen:
    return MeshSeen(version, "Helm", version, 3, (), drifts, fingerprint, 0, "Inventoried", "")


def after(
    seen: Seen, status: ReleaseCatalogStatus | None = None, *written: ReleaseEntry, now: datetime = NOW
) -> ReleaseCatalogStatus:
    return decide(catalog(status, *written), seen, RULES, shipped(), now).status


def said(status: ReleaseCatalogStatus) -> list[str]:
    return [each.id for each in owed(catalog(status), "prod")]


def test_a_first_head_is_owed_to_people() -> None:
    status = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh()))
    assert said(status) == ["new-version/prod/edge-26.8.3"]


@pytest.mark.parametrize("running", ["edge-26.8.3", "edge-26.9.1"])
def test_a_first_head_is_no_news_to_a_cluster_that_runs_it_or_more(running: str) -> None:
    assert said(after(Seen(feed=feed("edge-26.8.3"), mesh=mesh(running)))) == []


def test_a_later_head_is_owed_though_the_cluster_runs_it() -> None:
    first = after(Seen(feed=feed("edge-26.6.3"), mesh=mesh("edge-26.6.3")))
    second = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh("edge-26.8.3")), first)
    assert said(second) == ["new-version/prod/edge-26.8.3"]


def test_a_head_is_owed_until_it_is_stored() -> None:
    status = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh()))
    assert said(stored(status, {"something else"}, "prod", "u1")) == ["new-version/prod/edge-26.8.3"]
    assert said(stored(status, {"new-version/prod/edge-26.8.3"}, "prod", "u1")) == []


def test_a_head_that_is_not_stored_keeps_the_later_ones_owed_in_order() -> None:
    status = after(Seen(feed=feed("edge-26.7.1"), mesh=mesh()))
    status = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh()), status)
    both = ["new-version/prod/edge-26.7.1", "new-version/prod/edge-26.8.3"]
    assert said(status) == both
    assert said(stored(status, {both[1]}, "prod", "u1")) == both
    assert said(stored(status, {both[0]}, "prod", "u1")) == both[1:]


def test_deciding_again_changes_nothing() -> None:
    seen = Seen(feed=feed("edge-26.8.3"), mesh=mesh())
    status = after(seen)
    assert after(seen, status, now=NOW + timedelta(hours=1)) == status


def test_without_an_answer_everything_stays_as_it_was() -> None:
    status = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh()))
    later = after(Seen(feed=Look.after(None, AWAY, NOW), mesh=mesh()), status)
    assert later.channels == status.channels
    assert later.releases == status.releases
    assert later.sources[0].last_success_at == NOW


def test_what_people_removed_from_the_spec_is_gone_once_the_sources_answer() -> None:
    mine = ReleaseEntry(version="edge-26.8.3", recommendation=Recommendation.NOT_RECOMMENDED, reason="Ours.")
    all_read = Seen(
        feed=feed("edge-26.8.3"),
        notes=Look.after(None, Read(Notes(())), NOW),
        index=Look.after(None, Read(HelmIndex(())), NOW),
        mesh=mesh(),
    )
    with_it = after(all_read, None, mine)
    assert [each.version for each in with_it.withdrawn] == ["edge-26.8.3"]
    assert after(all_read, with_it).withdrawn == ()


def test_a_withdrawn_release_is_owed_once_with_the_one_to_use_instead() -> None:
    status = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh("edge-25.10.4")))
    (event,) = [each for each in owed(catalog(status), "prod") if isinstance(each.event, VersionWithdrawn)]
    said_of = event.event
    assert isinstance(said_of, VersionWithdrawn)
    assert (said_of.release, said_of.superseded_by, said_of.running) == ("edge-25.10.4", "edge-25.10.7", True)
    done = stored(status, {event.id}, "prod", "u1")
    assert [each for each in owed(catalog(done), "prod") if each.id == event.id] == []
    later = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh("edge-25.10.4")), done, now=NOW + timedelta(days=1))
    assert later.withdrawn == done.withdrawn


def test_a_release_that_nobody_here_ever_met_is_not_announced_as_withdrawn() -> None:
    assert after(Seen(feed=feed("edge-26.8.3"), mesh=mesh())).withdrawn == ()


def test_a_release_that_is_fine_again_and_then_not_is_announced_again() -> None:
    def noted(recommendation: Recommendation) -> Seen:
        note = ReleaseNote(Version.parse("edge-26.8.3"), None, "", Advice(recommendation, "Because."), {})
        return Seen(feed=feed("edge-26.8.3"), notes=Look.after(None, Read(Notes((note,))), NOW), mesh=mesh())

    bad = after(noted(Recommendation.NOT_RECOMMENDED))
    first = [each for each in said(bad) if each.startswith("version-withdrawn")]
    good = after(noted(Recommendation.RECOMMENDED), stored(bad, set(first), "prod", "u1"))
    assert good.withdrawn == ()
    again = after(noted(Recommendation.NOT_RECOMMENDED), good, now=NOW + timedelta(days=1))
    second = [each for each in said(again) if each.startswith("version-withdrawn")]
    assert len(first) == len(second) == 1
    assert first != second


def test_a_drift_is_owed_with_what_it_was_when_it_was_noticed() -> None:
    drift = Drift(kind=DriftKind.STALE_PROXY, count=2, message="Two are stale.", examples=("a/b",))
    status = after(Seen(feed=feed("edge-26.6.3"), mesh=mesh("edge-26.6.3", drift, fingerprint="f1")))
    well = after(Seen(feed=feed("edge-26.6.3"), mesh=mesh()), status, now=NOW + timedelta(minutes=1))
    (event,) = owed(catalog(well), "prod")
    assert event.id == "mesh-drifted/prod/u1/1"
    assert isinstance(event.event, MeshDrifted)
    assert event.event.drifts == (drift,)
    assert owed(catalog(stored(well, {event.id}, "prod", "u1")), "prod") == ()


def test_events_are_owed_in_the_order_in_which_things_happened() -> None:
    drift = Drift(kind=DriftKind.STALE_PROXY, count=1, message="One.")
    status = after(Seen(feed=feed("edge-26.7.1"), mesh=mesh()))
    drifted = mesh("edge-26.6.3", drift, fingerprint="f")
    status = after(Seen(feed=feed("edge-26.7.1"), mesh=drifted), status, now=NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=2)
    status = after(Seen(feed=feed("edge-26.8.3", at=later), mesh=mesh()), status, now=later)
    assert [each.split("/")[0] for each in said(status)] == ["new-version", "mesh-drifted", "new-version"]


def test_the_notices_are_those_between_here_and_there() -> None:
    releases = tuple(shipped().entry(each) for each in shipped().named())
    from_2_19 = notices_on_the_way(releases, "edge-25.10.7", "edge-26.6.3")
    assert any("native sidecars" in each for each in from_2_19)
    assert any("1.31" in each for each in from_2_19)
    assert not any("post-quantum" in each for each in from_2_19), "that came with edge-25.10.7 itself"
    assert notices_on_the_way(releases, "edge-26.6.3", "edge-26.6.3") == ()
    assert notices_on_the_way(releases, None, "edge-26.5.1") == ("Kubernetes 1.31 or newer is required.",)
    assert notices_on_the_way(releases, "stable-2.14.10", "edge-26.5.1") == ("Kubernetes 1.31 or newer is required.",)


def test_an_event_names_the_head_before() -> None:
    status = after(Seen(feed=feed("edge-26.7.1"), mesh=mesh()))
    status = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh()), status)
    events = [each.event for each in owed(catalog(status), "prod")]
    assert [each.previous for each in events if isinstance(each, NewVersion)] == [None, "edge-26.7.1"]


@pytest.mark.parametrize(
    ("seen", "type_", "expected"),
    [
        (Seen(), "Retrieved", ("Unknown", "NotAskedYet")),
        (Seen(feed=feed("edge-26.8.3")), "Retrieved", ("Unknown", "NotAskedYet")),
        (Seen(feed=Look.after(None, AWAY, NOW)), "Retrieved", ("False", "Unreachable")),
        (Seen(feed=Look.after(None, AWAY, NOW)), "Parsed", ("Unknown", "NothingRetrieved")),
        (Seen(feed=Look.after(None, AWAY, NOW)), "Fresh", ("False", "NeverRead")),
        (Seen(feed=feed("edge-26.8.3")), "Fresh", ("True", "Fresh")),
        (Seen(feed=feed("edge-26.8.3", at=NOW - timedelta(days=2))), "Fresh", ("False", "Stale")),
        (Seen(feed=feed("stable-2.14.10")), "Parsed", ("False", "ChannelMissing")),
        (Seen(), "MeshInventoried", ("Unknown", "NotSeen")),
        (Seen(mesh=mesh()), "MeshAsExpected", ("True", "AsExpected")),
        (Seen(), "MeshAsExpected", ("Unknown", "NotInventoried")),
    ],
)
def test_a_condition_says_what_is_so(seen: Seen, type_: str, expected: tuple[str, str]) -> None:
    found = condition_of(after(seen).conditions, type_)
    assert found is not None
    assert (found.status.value, found.reason) == expected


def test_it_looks_again_when_the_feed_becomes_stale() -> None:
    decision = decide(catalog(), Seen(feed=feed("edge-26.8.3"), mesh=mesh()), RULES, shipped(), NOW)
    assert decision.look_again_at == NOW + timedelta(days=1, seconds=1)


def test_it_looks_again_when_a_difference_has_settled() -> None:
    rules = Rules(("edge",), RULES.sources, RULES.stale_after, Patience(timedelta(minutes=1), timedelta(minutes=15)))
    drift = Drift(kind=DriftKind.STALE_PROXY, count=1, message="One.")
    decision = decide(catalog(), Seen(mesh=mesh("edge-26.6.3", drift, fingerprint="f")), rules, shipped(), NOW)
    assert decision.look_again_at == NOW + timedelta(minutes=1)
    assert decision.status.mesh is not None
    assert decision.status.mesh.announcements == 0


def test_people_are_told_of_what_turned_and_of_nothing_that_stayed() -> None:
    good = after(Seen(feed=feed("edge-26.8.3"), mesh=mesh()))
    bad = after(Seen(feed=Look.after(None, AWAY, NOW), mesh=mesh()), good)
    assert [each.reason for each in tell(ReleaseCatalogStatus(), good)] == ["NewVersion"]
    assert [(each.type, each.reason) for each in tell(good, bad)] == [("Warning", "Unreachable")]
    assert tell(bad, bad) == ()
