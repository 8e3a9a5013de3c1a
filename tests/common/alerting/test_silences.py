"""The silence of an upgrade in progress."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.promql import Matcher
from steward.alerting.silences import LASTS, Explained, Put, Reason, RunInProgress, Silence, acts, read
from steward.jsonvalue import JsonObject

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RUN = RunInProgress("to-26-8-3", "uid-1", "edge-26.6.3", "edge-26.8.3", NOON)
OTHER = RunInProgress("repair", "uid-2", "edge-26.8.3", "edge-26.8.3", NOON)
EXPLAINED = Explained(("LinkerdProxyRestarts", "LinkerdVersionSkew"))


class FakeSilences:
    """What Alertmanager makes of puts: silences with ids, that end."""

    def __init__(self) -> None:
        self.all: dict[str, Silence] = {}

    def take(self, puts: tuple[Put, ...], now: datetime) -> None:
        for put in puts:
            name = put.silence.id or f"s{len(self.all)}"
            assert put.silence.ends > now
            assert put.silence.starts < put.silence.ends
            self.all[name] = replace(put.silence, id=name, updated=now)

    def ended_by_hand(self, name: str, now: datetime) -> None:
        self.all[name] = replace(self.all[name], ends=now, updated=now)

    def lasting(self, now: datetime) -> list[Silence]:
        return [each for each in self.all.values() if each.ends > now]

    def turn(self, now: datetime, *runs: RunInProgress, explained: Explained = EXPLAINED) -> tuple[Put, ...]:
        puts = acts(runs, explained, self.all.values(), now)
        self.take(puts, now)
        return puts


def test_an_upgrade_in_progress_silences_what_it_explains_and_says_so() -> None:
    (put,) = acts([RUN], EXPLAINED, [], NOON)
    assert put.reason is Reason.BEGIN
    assert put.silence.to_json() == {
        "matchers": [
            {
                "name": "alertname",
                "value": "LinkerdProxyRestarts|LinkerdVersionSkew",
                "isRegex": True,
                "isEqual": True,
            }
        ],
        "startsAt": "2026-11-21T12:00:00+00:00",
        "endsAt": "2026-11-21T12:15:00+00:00",
        "createdBy": "linkerd-steward",
        "comment": "Upgrade to-26-8-3 (uid uid-1) from edge-26.6.3 to edge-26.8.3 is in progress, which explains these "
        "alerts. It ends with the upgrade; ended by hand, it stays ended.",
    }


def test_it_is_made_longer_while_the_upgrade_goes_on_and_stays_the_same_one() -> None:
    there = FakeSilences()
    for minute in range(0, 120, 2):
        now = NOON + timedelta(minutes=minute)
        puts = there.turn(now, RUN)
        assert all(each.reason is (Reason.EXTEND if minute else Reason.BEGIN) for each in puts)
        assert len(there.all) == 1
        assert len(there.lasting(now + timedelta(minutes=5))) == 1


def test_it_ends_with_the_upgrade() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    (put,) = there.turn(NOON + timedelta(minutes=3))
    assert put.reason is Reason.OVER
    assert there.lasting(NOON + timedelta(minutes=4)) == []
    assert there.turn(NOON + timedelta(minutes=5)) == ()


def test_an_upgrade_that_goes_on_after_a_pause_is_silenced_again() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    there.turn(NOON + timedelta(minutes=3))
    (put,) = there.turn(NOON + timedelta(minutes=30), RUN)
    assert put.reason is Reason.BEGIN


def test_it_ends_by_itself_when_we_are_gone() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    assert there.lasting(NOON + LASTS) == []


def test_after_a_long_absence_it_is_made_anew() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    (put,) = there.turn(NOON + timedelta(hours=2), RUN)
    assert put.reason is Reason.BEGIN


def test_whoever_ends_it_by_hand_meant_it() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    there.ended_by_hand("s0", NOON + timedelta(minutes=2))
    assert there.turn(NOON + timedelta(minutes=3), RUN) == ()
    assert [each.reason for each in there.turn(NOON + timedelta(minutes=4), RUN, OTHER)] == [Reason.BEGIN]


def test_another_that_we_made_is_adopted_and_doubles_end() -> None:
    there = FakeSilences()
    there.take(acts([RUN], EXPLAINED, [], NOON), NOON)
    there.take(acts([RUN], EXPLAINED, [], NOON), NOON)
    (put,) = there.turn(NOON + timedelta(seconds=10), RUN)
    assert put.reason is Reason.DOUBLE
    assert len(there.lasting(NOON + timedelta(minutes=1))) == 1
    assert there.turn(NOON + timedelta(seconds=20), RUN) == ()


def test_one_that_names_other_alerts_is_replaced() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    puts = there.turn(NOON + timedelta(minutes=1), RUN, explained=Explained(("LinkerdOther",)))
    assert [each.reason for each in puts] == [Reason.BEGIN, Reason.OUTDATED]
    (lasting,) = there.lasting(NOON + timedelta(minutes=2))
    assert lasting.matchers == (Matcher.any_of("alertname", ["LinkerdOther"]),)
    assert there.turn(NOON + timedelta(minutes=2), RUN, explained=Explained(("LinkerdOther",))) == ()


def test_silences_of_people_and_of_other_clusters_are_left_alone() -> None:
    theirs = Silence((Matcher.equal("a", "b"),), NOON, NOON + LASTS, "jane", "Upgrade x (uid uid-1)", "p1")
    elsewhere = replace(theirs, author="linkerd-steward/west", id="p2")
    plain = replace(theirs, author="linkerd-steward", comment="by the command line", id="p3")
    assert acts([], EXPLAINED, [theirs, elsewhere, plain], NOON) == ()
    (put,) = acts([RUN], Explained(("A",), "linkerd-steward/east"), [theirs, elsewhere, plain], NOON)
    assert (put.reason, put.silence.author) == (Reason.BEGIN, "linkerd-steward/east")


def test_several_clusters_silence_their_own_alerts_only() -> None:
    scope = (Matcher.equal("cluster", "east"),)
    (put,) = acts([RUN], Explained(("A",), scope=scope), [], NOON)
    assert put.silence.matchers == (Matcher.any_of("alertname", ["A"]), *scope)


def test_an_upgrade_that_explains_nothing_silences_nothing() -> None:
    there = FakeSilences()
    there.turn(NOON, RUN)
    (put,) = there.turn(NOON + timedelta(minutes=1), RUN, explained=Explained(()))
    assert put.reason is Reason.OVER


@given(st.lists(st.tuples(st.integers(1, 20), st.sets(st.sampled_from((RUN, OTHER)))), max_size=20))
def test_whatever_goes_on_there_is_exactly_one_silence_for_each_run(
    turns: list[tuple[int, set[RunInProgress]]],
) -> None:
    there, now = FakeSilences(), NOON
    for minutes, runs in turns:
        now += timedelta(minutes=minutes)
        there.turn(now, *sorted(runs, key=lambda run: run.name))
        lasting = there.lasting(now + timedelta(seconds=6))
        assert sorted(each.comment.split()[1] for each in lasting) == sorted(run.name for run in runs)
        assert acts(runs, EXPLAINED, there.all.values(), now) == ()


def test_what_the_api_shows_is_read_and_written_alike() -> None:
    (put,) = acts([RUN], EXPLAINED, [], NOON)
    raw: JsonObject = {**put.silence.to_json(), "id": "s1", "updatedAt": "2026-11-21T12:00:00.001Z"}
    assert read(raw) == replace(put.silence, id="s1", updated=NOON + timedelta(milliseconds=1))


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"startsAt": "soon"},
        {"endsAt": None},
        {"matchers": [{"name": "no label!", "value": "x"}]},
        {"updatedAt": "0001-01-01T00:00:00+14:00"},
    ],
    ids=str,
)
def test_a_silence_that_cannot_be_understood_is_left_alone(change: JsonObject) -> None:
    (put,) = acts([RUN], EXPLAINED, [], NOON)
    assert read({**put.silence.to_json(), "id": "s1", **change}) is None


def test_old_versions_say_nothing_of_equality() -> None:
    raw: JsonObject = {
        "id": "s1",
        "matchers": [{"name": "a", "value": "b", "isRegex": False}],
        "startsAt": "2026-11-21T12:00:00Z",
        "endsAt": "2026-11-21T13:00:00Z",
    }
    found = read(raw)
    assert found is not None
    assert found.matchers == (Matcher.equal("a", "b"),)


@pytest.mark.parametrize(("moved", "still"), [(None, True), (NOON + timedelta(minutes=20), False)])
def test_a_run_that_says_nothing_new_for_too_long_stands_still(moved: datetime | None, still: bool) -> None:
    run = replace(RUN, moved=moved)
    assert run.stands_still(NOON + timedelta(minutes=31), timedelta(minutes=30)) is still
    assert not run.stands_still(NOON + timedelta(minutes=30), timedelta(minutes=30))
