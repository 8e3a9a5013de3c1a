"""Alerts of Steward's own, as its events begin and end them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting import from_events
from steward.alerting.own_alerts import MESH_DRIFTED, OWN_ALERTS
from steward.alerting.rules import Alerting
from steward.alerting.standing import Begins, Ends, Post, Runs, Standing, news, posts
from steward.events.alerts import AlertFiring
from steward.events.base import Event
from steward.events.upgrades import RunOutcome
from tests.common.alerting.happenings import (
    MESH,
    NOON,
    TTL,
    at,
    drifted,
    feature_failed,
    finished,
    names,
    new_version,
    paused,
    recovered,
    resumed,
    rolled_back,
    standing,
    started,
    step_done,
    step_failed,
    withdrawn,
)

STORIES: dict[str, tuple[list[tuple[float, Event]], list[str]]] = {
    "nothing": ([], []),
    "an alert of Alertmanager's is not ours": (
        [(0, AlertFiring(fingerprint="0" * 16, alert="A", labels={}, since=NOON))],
        [],
    ),
    "stopped by itself": ([(0, paused())], ["LinkerdUpgradePaused"]),
    "stopped by somebody": ([(0, paused(reason="PausedByPerson"))], ["LinkerdUpgradeHeld"]),
    "stopped by itself, then held": (
        [(0, paused()), (1, paused(reason="PausedByPerson"))],
        ["LinkerdUpgradeHeld"],
    ),
    "goes on": ([(0, paused()), (1, resumed())], []),
    "stopped again": ([(0, paused()), (1, resumed()), (2, paused())], ["LinkerdUpgradePaused"]),
    "a step is tried again": ([(0, step_failed(will_retry=True))], ["LinkerdUpgradeStepFailing"]),
    "and is given up": (
        [(0, step_failed(will_retry=True)), (1, step_failed(will_retry=False))],
        ["LinkerdUpgradeStepFailed"],
    ),
    "or is done": ([(0, step_failed(will_retry=True)), (1, step_done())], []),
    "another step is done": (
        [(0, step_failed(will_retry=True)), (1, step_done("crds"))],
        ["LinkerdUpgradeStepFailing"],
    ),
    "given up, resumed": ([(0, step_failed(will_retry=False)), (1, paused()), (2, resumed())], []),
    "rolled back": ([(0, step_failed(will_retry=False)), (1, rolled_back())], []),
    "succeeded": ([(0, step_failed(will_retry=True)), (1, finished(RunOutcome.SUCCEEDED))], []),
    "aborted": ([(0, paused()), (1, finished(RunOutcome.ABORTED))], []),
    "failed": ([(0, paused()), (1, finished(RunOutcome.FAILED))], ["LinkerdUpgradeFailed"]),
    "failed, and the next began": ([(0, finished(RunOutcome.FAILED)), (1, started())], []),
    "two runs": (
        [(0, step_failed(will_retry=False)), (1, finished(RunOutcome.SUCCEEDED, "other"))],
        ["LinkerdUpgradeStepFailed"],
    ),
    "a feature fails": ([(0, feature_failed())], ["LinkerdFeatureFailing"]),
    "protection fails": ([(0, feature_failed("authz.deny", security=True))], ["LinkerdProtectionFailing"]),
    "it recovers": ([(0, feature_failed()), (1, recovered())], []),
    "another recovers": ([(0, feature_failed()), (1, recovered("mtls.other"))], ["LinkerdFeatureFailing"]),
    "it fails again": ([(0, feature_failed()), (1, recovered()), (2, feature_failed())], ["LinkerdFeatureFailing"]),
    "drifted": ([(0, drifted("three old proxies"))], ["LinkerdMeshDrifted"]),
    "drifted no more": ([(0, drifted("three old proxies")), (1, drifted())], []),
    "withdrawn, and runs": ([(0, withdrawn())], ["LinkerdVersionWithdrawn"]),
    "withdrawn, and does not run": ([(0, new_version("edge-26.6.3")), (1, withdrawn(running=False))], []),
    "withdrawn, and nobody knows what runs": ([(1, withdrawn(running=False))], []),
    "withdrawn, and left": ([(0, withdrawn()), (2, new_version("edge-26.9.1"))], []),
    "withdrawn, then upgraded to": (
        [(0, withdrawn(running=False)), (1, finished(RunOutcome.SUCCEEDED))],
        ["LinkerdVersionWithdrawn"],
    ),
    "withdrawn, upgraded to, and rolled back": (
        [(0, withdrawn(running=False)), (1, finished(RunOutcome.SUCCEEDED)), (2, rolled_back())],
        [],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_an_event_begins_an_alert_and_another_ends_it(story: str) -> None:
    events, firing = STORIES[story]
    assert names(standing(*events), 3) == firing


all_events = [each for events, _ in STORIES.values() for _, each in events]
happenings = st.lists(
    st.tuples(st.integers(0, 20).map(float), st.sampled_from(all_events)), max_size=15, unique_by=lambda each: each[0]
)


@given(said=happenings, data=st.data())
def test_in_whatever_order_and_however_often_events_come_the_same_lasts(
    said: list[tuple[float, Event]], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(said), max_size=10)) if said else []
    mixed = data.draw(st.permutations([*said, *again]))
    assert standing(*mixed) == standing(*said)
    now = at(data.draw(st.integers(0, 3000)))
    assert posts(standing(*mixed), now, TTL) == posts(standing(*said), now, TTL)


@given(said=happenings)
def test_heard_one_by_one_or_all_at_once_is_the_same(said: list[tuple[float, Event]]) -> None:
    one_by_one = Standing()
    for minutes, event in said:
        one_by_one = one_by_one.after(from_events.marks(event, at(minutes), MESH))
    assert one_by_one == standing(*said)


@given(said=happenings)
def test_what_is_forgotten_was_over(said: list[tuple[float, Event]]) -> None:
    before = standing(*said)
    assert names(before.forgotten(at(10)), 21) == names(before, 21)


@given(said=happenings, minutes=st.integers(0, 3000))
def test_alertmanager_takes_every_post(said: list[tuple[float, Event]], minutes: int) -> None:
    for post in posts(standing(*said), at(minutes), TTL):
        assert post.since <= post.until
        assert all(post.alert.labels.values())


def test_a_living_alert_ends_soon_unless_it_is_told_again() -> None:
    here = standing((0, paused()))
    assert [each.until for each in posts(here, at(1), TTL)] == [at(6)]
    assert [each.until for each in posts(here, at(1000), TTL)] == [at(1005)]


def test_the_end_is_told_for_a_while_and_then_no_more() -> None:
    here = standing((0, paused()), (10, resumed()))
    assert [each.until for each in posts(here, at(12), TTL)] == [at(10)]
    assert posts(here, at(15), TTL) == ()


def test_what_is_new_is_told_at_once_and_only_that() -> None:
    before = standing((0, feature_failed("mtls.one")), (0, feature_failed("mtls.two")))
    after = before.after(from_events.marks(recovered("mtls.one"), at(1), MESH))
    (post,) = news(before, after, at(1), TTL)
    assert (post.alert.labels["feature"], post.until) == ("mtls.one", at(1))
    assert news(after, after, at(1), TTL) == ()
    again = after.after(from_events.marks(recovered("mtls.one"), at(1), MESH))
    assert news(after, again, at(1), TTL) == ()


def test_another_text_is_news_too_and_the_alert_stays_the_same() -> None:
    before = standing((0, drifted("three old proxies")))
    after = before.after(from_events.marks(drifted("three old proxies", "two foreign ones"), at(1), MESH))
    (post,) = news(before, after, at(1), TTL)
    (old,) = posts(before, at(1), TTL)
    assert post.alert.labels == old.alert.labels
    assert post.alert.annotations["summary"].endswith("three old proxies, and 1 more differences")


def test_a_post_is_what_alertmanager_reads() -> None:
    (post,) = posts(standing((0, feature_failed(security=True))), at(1), TTL)
    assert post.to_json() == {
        "labels": {
            "alertname": "LinkerdProtectionFailing",
            "severity": "critical",
            "namespace": "linkerd",
            "feature": "mtls.identity",
        },
        "annotations": {
            "summary": "mtls.identity does not work: 403 instead of 200",
            "description": "POLICY_DENY: refused",
            "runbook": "LinkerdProtectionFailing",
        },
        "startsAt": "2026-11-21T11:50:00+00:00",
        "endsAt": "2026-11-21T12:06:00+00:00",
    }


def test_a_failed_upgrade_is_told_for_a_day() -> None:
    here = standing((0, finished(RunOutcome.FAILED)))
    assert names(here, 60 * 23) == ["LinkerdUpgradeFailed"]
    assert names(here, 60 * 24) == []


def test_every_alert_of_our_own_has_a_name_that_a_rule_could_have() -> None:
    assert len({each.name for each in OWN_ALERTS}) == len(OWN_ALERTS)
    for each in OWN_ALERTS:
        assert Alerting(each.name, "vector(1)", each.severity).alert == each.name
        assert each.means.endswith(".")


def test_of_two_that_were_said_at_the_same_time_the_same_one_always_counts() -> None:
    one, other = (Begins(("a",), NOON, MESH_DRIFTED.about(MESH, said), NOON) for said in ("one", "other"))
    assert Standing().after((one, other)) == Standing().after((other, one))
    assert Standing().after((Runs(NOON, "a"), Runs(NOON, "b"))).running == Runs(NOON, "b")
    assert names(Standing().after((one, Ends(("a",), NOON))), 1) == []
    assert isinstance(posts(Standing().after((one,)), at(1), TTL)[0], Post)
