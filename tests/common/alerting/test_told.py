"""Transitions: each beginning and each end once, however it is told."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.told import Known, Transition, ended_unheard, heard, identity, settled_before
from steward.alerting.webhook import Status, TellingAlert
from steward.events.alerts import AlertFiring, AlertResolved

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FINGERPRINT = "0123456789abcdef"


def telling(status: Status, since: int, until: int | None = None, fingerprint: str = FINGERPRINT) -> TellingAlert:
    """An alert as it is told; times are minutes after noon."""
    return TellingAlert(
        fingerprint=fingerprint,
        status=status,
        labels={"alertname": "LinkerdX", "severity": "critical"},
        annotations={"summary": f"since {since}", "description": "It is down", "runbook": "LinkerdX"},
        since=NOON + timedelta(minutes=since),
        until=NOON + timedelta(minutes=until) if until is not None else None,
        source="http://prometheus/graph",
    )


def firing(since: int, fingerprint: str = FINGERPRINT) -> TellingAlert:
    return telling(Status.FIRING, since, None, fingerprint)


def resolved(since: int, until: int, fingerprint: str = FINGERPRINT) -> TellingAlert:
    return telling(Status.RESOLVED, since, until, fingerprint)


def all_told(tellings: Iterable[TellingAlert]) -> list[Transition]:
    known: dict[str, Known] = {}
    found: list[Transition] = []
    for each in tellings:
        after = heard(known.get(each.fingerprint), each)
        known[each.fingerprint] = after.known
        found += after.transitions
    return found


def said(transitions: Iterable[Transition]) -> list[tuple[str, int]]:
    return [(each.name, round((each.since - NOON) / timedelta(minutes=1))) for each in transitions]


def test_an_alert_begins_and_ends() -> None:
    begin, end = all_told([firing(0), resolved(0, 5)])
    assert begin == AlertFiring(
        fingerprint=FINGERPRINT,
        alert="LinkerdX",
        severity="critical",
        labels={"alertname": "LinkerdX", "severity": "critical"},
        summary="since 0",
        description="It is down",
        runbook="LinkerdX",
        since=NOON,
        source="http://prometheus/graph",
    )
    assert isinstance(end, AlertResolved)
    assert end.until == NOON + timedelta(minutes=5)


def test_what_is_told_again_is_not_told_again() -> None:
    assert said(all_told([firing(0), firing(0), resolved(0, 5), resolved(0, 6), firing(0)])) == [
        ("alert-firing", 0),
        ("alert-resolved", 0),
    ]


def test_an_end_without_its_beginning_tells_both_in_order() -> None:
    assert said(all_told([resolved(0, 5)])) == [("alert-firing", 0), ("alert-resolved", 0)]


def test_a_new_beginning_ends_what_nobody_ended() -> None:
    found = all_told([firing(0), firing(10)])
    assert said(found) == [("alert-firing", 0), ("alert-resolved", 0), ("alert-firing", 10)]
    end = found[1]
    assert isinstance(end, AlertResolved)
    assert end.until == NOON + timedelta(minutes=10)


def test_an_alert_that_comes_and_goes_is_told_each_time() -> None:
    tellings = [each for start in range(0, 60, 10) for each in (firing(start), resolved(start, start + 5))]
    assert said(all_told(tellings)) == [
        (name, start) for start in range(0, 60, 10) for name in ("alert-firing", "alert-resolved")
    ]


def test_a_beginning_that_is_late_says_nothing_new_of_the_present() -> None:
    tellings = [firing(10), firing(0)]
    known = None
    for each in tellings:
        known = heard(known, each).known
    assert known is not None
    assert known.fires
    assert known.annotations["summary"] == "since 10"
    assert said(all_told(tellings)) == [("alert-firing", 10), ("alert-firing", 0), ("alert-resolved", 0)]


minutes = st.integers(0, 8)
alerts = st.sampled_from((FINGERPRINT, "fedcba9876543210"))
some_telling = st.builds(firing, minutes, alerts) | st.builds(
    lambda since, lasts, fingerprint: resolved(since, since + lasts, fingerprint), minutes, st.integers(0, 3), alerts
)


@given(tellings=st.lists(some_telling, max_size=12), data=st.data())
def test_in_whatever_order_and_however_often_the_same_is_told_once(
    tellings: list[TellingAlert], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(tellings), max_size=8)) if tellings else []
    shuffled = data.draw(st.permutations([*tellings, *again]))
    in_order, mixed = all_told(tellings), all_told(shuffled)
    assert {identity(each) for each in mixed} == {identity(each) for each in in_order}
    assert max(Counter(identity(each) for each in mixed).values(), default=1) == 1


@given(st.lists(some_telling, max_size=12))
def test_every_end_comes_after_its_beginning_and_is_not_before_it(tellings: list[TellingAlert]) -> None:
    begun: set[tuple[str, datetime]] = set()
    for each in all_told(tellings):
        if isinstance(each, AlertFiring):
            begun.add((each.fingerprint, each.since))
        else:
            assert (each.fingerprint, each.since) in begun
            assert each.until >= each.since


@given(st.lists(some_telling, min_size=1, max_size=12))
def test_no_two_episodes_of_an_alert_go_on_at_once(tellings: list[TellingAlert]) -> None:
    known: Known | None = None
    for each in tellings:
        known = heard(known, each).known
    assert known is not None
    assert all(episode.until is not None for episode in known.episodes[:-1])


def test_what_alertmanager_has_no_more_has_ended() -> None:
    one, other = heard(None, firing(0)).known, heard(None, firing(0, "fedcba9876543210")).known
    now = NOON + timedelta(hours=1)
    (ended,) = ended_unheard([one, other], [FINGERPRINT], now)
    assert not ended.known.fires
    (end,) = ended.transitions
    assert isinstance(end, AlertResolved)
    assert (end.fingerprint, end.until) == ("fedcba9876543210", now)
    assert ended_unheard([ended.known], [], now) == ()


def test_only_what_ended_long_ago_can_be_forgotten() -> None:
    going_on, over = heard(None, firing(0)).known, heard(None, resolved(0, 5)).known
    later = NOON + timedelta(days=30)
    assert not settled_before(going_on, later, timedelta(days=7))
    assert settled_before(over, later, timedelta(days=7))
    assert not settled_before(over, NOON + timedelta(days=1), timedelta(days=7))


def test_of_an_alert_without_a_name_it_is_said_that_it_has_none() -> None:
    nameless = TellingAlert(FINGERPRINT, Status.FIRING, {"a": "b"}, {}, NOON, None)
    (begin,) = heard(None, nameless).transitions
    assert begin.alert == "(no name)"


def test_a_beginning_older_than_everything_remembered_is_no_news() -> None:
    known: Known | None = None
    for start in range(200):
        known = heard(known, resolved(start, start)).known
    assert known is not None
    assert len(known.episodes) == 64
    assert heard(known, firing(0)).transitions == ()
