"""Objectives by annotation: what is read, and how garbage is refused."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.objectives.annotations import wanted_by_annotations
from steward.alerting.objectives.facts import ANNOTATION_PREFIX, Place
from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.wanted import Audience, Latency, Success, Target, View, Wanted
from steward.alerting.rules import Severity
from steward.resources.alert_policy import Granularity, Side, TargetKind

WEB = Target(TargetKind.SERVICE, Place("shop", "web"))


def read(**said: str) -> tuple[Wanted, ...] | Refused:
    return wanted_by_annotations(WEB, {ANNOTATION_PREFIX + key.replace("_", "-"): value for key, value in said.items()})


def wanted(**said: str) -> tuple[Wanted, ...]:
    found = read(**said)
    assert not isinstance(found, Refused), found
    return found


def test_an_object_without_our_annotations_asks_for_nothing() -> None:
    assert wanted_by_annotations(WEB, {}) == ()
    assert wanted_by_annotations(WEB, {"example.com/success-rate": "99"}) == ()


def test_success_and_latency_are_two_objectives_with_the_usual_rest() -> None:
    slow, good = wanted(success_rate="99.9", latency="500ms@99")
    assert (good.goal, slow.goal) == (Success(99.9), Latency(99, 500))
    assert (good.objective, slow.objective) == ("success-99.9", "latency-500ms-99")
    for each in (good, slow):
        assert (each.target, each.period, each.policy) == (WEB, timedelta(days=30), "")
        assert (each.view, each.audience) == (View(), Audience())


def test_everything_can_be_said() -> None:
    (one,) = wanted(
        latency=" 1s@99.5 ",
        window="7d",
        side="server",
        granularity="Route",
        minimum_rps="0.5",
        severity="warning",
        team="payments",
    )
    assert one.goal == Latency(99.5, 1000)
    assert one.period == timedelta(days=7)
    assert one.view == View(Side.SERVER, Granularity.ROUTE, 0.5)
    assert one.audience == Audience(Severity.WARNING, "payments")
    assert one.objective == "latency-1000ms-99.5-7d-from-0.5rps-server-warning-team-payments"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("success-rate", "99,9", "'99,9' is not a percentage from 1 to 99.999, such as 99.9"),
        ("success-rate", "100", "'100' is not a percentage"),
        ("success-rate", "0.999", "'0.999' is not a percentage"),
        ("success-rate", "nan", "'nan' is not a percentage"),
        ("success-rate", "\uff19\uff19", "is not a percentage"),
        ("latency", "500", "'500' is not a time up to 50s in whole milliseconds and a percentage, such as 500ms@99"),
        ("latency", "0.5ms@99", "'0.5ms@99' is not a time"),
        ("latency", "1h@99", "'1h@99' is not a time"),
        ("latency", "500ms@", "'500ms@' is not a time"),
        ("latency", "fast@99", "'fast@99' is not a time"),
        ("window", "month", "'month' is no time from 1d to 90d, such as 30d"),
        ("window", "1h", "'1h' is no time from 1d to 90d"),
        ("window", "9999999999999999999999d", "is no time from 1d to 90d"),
        ("side", "both", "'both' is none of client, server"),
        ("granularity", "pod", "'pod' is none of target, route"),
        ("severity", "page", "'page' is none of critical, warning, info, none"),
        ("minimum-rps", "-1", "'-1' is no number of requests a second, such as 0.5"),
        ("minimum-rps", "1e9", "'1e9' is no number of requests a second"),
        ("team", " ", "'' is no name of a team"),
        ("team", "t" * 64, "is no name of a team: 1 to 63 characters"),
        ("success-rate", "9" * 100, "a value is no longer than 80 characters"),
        ("sucess-rate", "99", "there is no such annotation: there are success-rate, latency, window, side"),
    ],
)
def test_garbage_is_refused_by_name_with_what_would_be_read(key: str, value: str, said: str) -> None:
    found = wanted_by_annotations(
        WEB,
        {f"{ANNOTATION_PREFIX}{key}": value, f"{ANNOTATION_PREFIX}success-rate": "99"}
        | {f"{ANNOTATION_PREFIX}{key}": value},
    )
    assert isinstance(found, Refused)
    assert found.reason == "AnnotationUnreadable"
    assert found.message.startswith("nothing of Service/web is in force: ")
    assert f"{ANNOTATION_PREFIX}{key}: " in found.message
    assert said in found.message


def test_all_that_is_wrong_is_named_at_once() -> None:
    found = read(success_rate="much", window="long")
    assert isinstance(found, Refused)
    assert "success-rate: 'much'" in found.message
    assert "window: 'long'" in found.message


def test_annotations_that_name_no_objective_are_refused() -> None:
    found = read(team="payments")
    assert isinstance(found, Refused)
    assert f"write {ANNOTATION_PREFIX}success-rate or {ANNOTATION_PREFIX}latency" in found.message


@given(
    st.dictionaries(st.sampled_from(["success-rate", "latency", "window", "side", "team", "x"]), st.text(max_size=90))
)
def test_any_text_is_read_or_refused(said: dict[str, str]) -> None:
    found = wanted_by_annotations(WEB, {ANNOTATION_PREFIX + key: value for key, value in said.items()})
    assert isinstance(found, Refused | tuple)
    assert not isinstance(found, Refused) or found.message


said_well = st.fixed_dictionaries(
    {"success-rate": st.sampled_from(["99.9", "99.90", "99.98765", "99.98766"])},
    optional={
        "window": st.sampled_from(["7d", "30d", "36h"]),
        "side": st.sampled_from(["client", "server"]),
        "minimum-rps": st.sampled_from(["0", "0.1", "0.5"]),
        "severity": st.sampled_from(["critical", "warning", "info"]),
        "team": st.sampled_from(["a", "b", "warning", "x-team-a"]),
    },
)


@given(said_well, said_well)
def test_objectives_of_one_name_have_one_alert(one: dict[str, str], other: dict[str, str]) -> None:
    """The name tells all that an alert depends on: one rule does for all objectives of a name."""
    (first,), (second,) = (
        wanted(**{key.replace("-", "_"): value for key, value in said.items()}) for said in (one, other)
    )
    same = (first.goal, first.period, first.audience, first.view) == (
        second.goal,
        second.period,
        second.audience,
        second.view,
    )
    assert (first.objective == second.objective) == same
