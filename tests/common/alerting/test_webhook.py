"""Posts of Alertmanager, and what is none."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.webhook import LARGEST, Status, Telling, Unreadable, read
from steward.jsonvalue import Json, JsonObject

ALERT: JsonObject = {
    "status": "firing",
    "labels": {"alertname": "LinkerdX", "severity": "critical"},
    "annotations": {"summary": "It is down"},
    "startsAt": "2026-11-21T09:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "0123456789abcdef",
}
POST: JsonObject = {
    "version": "4",
    "groupKey": '{}:{alertname="LinkerdX"}',
    "truncatedAlerts": 2,
    "status": "firing",
    "receiver": "linkerd-steward",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "notification_reason": "some newer member",
    "alerts": [ALERT, {**ALERT, "status": "resolved", "endsAt": "2026-11-21T10:00:00+01:00"}],
}


def told(**changes: Json) -> Telling | Unreadable:
    return read(json.dumps({**POST, **changes}).encode())


def of_alert(**changes: Json) -> Telling | Unreadable:
    return told(alerts=[{**ALERT, **changes}])


def test_a_post_is_read_into_values() -> None:
    found = told()
    assert isinstance(found, Telling)
    assert (found.group, found.receiver, found.left_out) == ('{}:{alertname="LinkerdX"}', "linkerd-steward", 2)
    firing, resolved = found.alerts
    assert (firing.status, firing.since, firing.until) == (
        Status.FIRING,
        datetime(2026, 11, 21, 9, 0, 0, 123456, UTC),
        None,
    )
    assert (firing.labels["alertname"], firing.annotations, firing.source) == (
        "LinkerdX",
        {"summary": "It is down"},
        "http://prometheus/graph",
    )
    assert (resolved.status, resolved.until) == (Status.RESOLVED, datetime(2026, 11, 21, 9, 0, 0, 123456, UTC))


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        (read(b"x" * (LARGEST + 1)), "TooLarge", "set max_alerts"),
        (read(b""), "NotJson", "no JSON"),
        (read(b"\xff\xfe{"), "NotJson", "no JSON"),
        (read(b'{"version": NaN}'), "NotJson", "NaN is no number"),
        (read(b"[" * 200_000), "NotJson", "no JSON"),
        (read(b"9" * 5000), "NotJson", "no JSON"),
        (read(b"[[[[[[[[[]]]]]]]]]"), "TooDeep", "8 levels"),
        (read(b"[]"), "NotVersion4", "'list'"),
        (told(version="5"), "NotVersion4", "'5'"),
        (told(version=4), "NotVersion4", "'4'"),
        (told(alerts="all"), "BadAlert", "no list"),
        (told(alerts=[ALERT, 7]), "BadAlert", "no objects"),
        (of_alert(fingerprint="xyz"), "BadAlert", "alerts[0]: 'xyz' is no fingerprint"),
        (of_alert(status="maybe"), "BadAlert", "'maybe' is neither"),
        (of_alert(startsAt="yesterday"), "BadAlert", "startsAt 'yesterday' is no time"),
        (of_alert(startsAt="2026-11-21T09:00:00"), "BadAlert", "no time zone"),
        (of_alert(startsAt="0001-01-01T00:00:00+14:00"), "BadAlert", "is no time"),
        (of_alert(startsAt="0001-01-01T00:00:00Z"), "BadAlert", "startsAt is missing"),
        (of_alert(labels={"a": 1}), "BadAlert", "labels are no texts"),
        (of_alert(labels=None), "BadAlert", "labels are no texts"),
        (of_alert(annotations={"a": "\ud800"}), "BadAlert", "no text"),
        (of_alert(annotations={"a": "x" * 70_000}), "BadAlert", "no text of at most"),
        (of_alert(labels={f"l{number}": "" for number in range(300)}), "BadAlert", "more than 256"),
    ],
)
def test_what_is_no_post_is_refused_with_the_reason(found: Telling | Unreadable, reason: str, said: str) -> None:
    assert isinstance(found, Unreadable)
    assert found.reason == reason
    assert said in found.message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(st.binary(max_size=300))
def test_whatever_bytes_come_the_answer_is_a_value(body: bytes) -> None:
    assert isinstance(read(body), Unreadable)


@given(member=st.sampled_from(sorted(ALERT)), value=anything)
def test_whatever_a_member_is_the_answer_is_a_value(member: str, value: Json) -> None:
    assert isinstance(of_alert(**{member: value}), Telling | Unreadable)


@given(member=st.sampled_from(sorted(POST)), value=anything)
def test_whatever_a_post_holds_the_answer_is_a_value(member: str, value: Json) -> None:
    assert isinstance(told(**{member: value}), Telling | Unreadable)
