"""Reading never raises, and says exactly what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.events import NewVersion, UpgradeStarted
from steward.events.base import Event
from steward.events.codec import Invalid, Known, Unknown, decode, encode
from steward.events.registry import BY_TYPE, EVENTS
from steward.events.subjects import event_name, is_cluster_name, key_of, part, subject_of, token
from steward.testing.events import build, enveloped


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_what_is_written_is_read_back(event: type[Event]) -> None:
    envelope = enveloped(build(event))

    assert decode(encode(envelope)) == Known(envelope)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_type_and_subject_name_the_same_event(event: type[Event]) -> None:
    said = build(event)
    subject = subject_of("test", said)

    assert event_name(subject) == event.name
    assert key_of(subject) == said.key
    assert BY_TYPE[event.type()] is event


def test_members_that_a_newer_writer_added_are_ignored() -> None:
    envelope = enveloped(build(NewVersion))
    raw = encode(envelope).replace(b'"data":{', b'"future":1,"data":{"future":{"a":[1]},')

    assert decode(raw) == Known(envelope)


def test_a_newer_version_of_a_known_event_is_unknown_not_invalid() -> None:
    raw = encode(enveloped(build(NewVersion))).replace(b"new-version.v1", b"new-version.v2")

    assert decode(raw) == Unknown("new-version/1", "io.linkerd.steward.new-version.v2")


def test_an_event_nobody_here_knows_is_unknown_not_invalid() -> None:
    raw = encode(enveloped(build(NewVersion))).replace(b"steward.new-version.v1", b"steward.mesh-healed.v1")

    assert isinstance(decode(raw), Unknown)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a CloudEvent"),
        (b"<html></html>", "not a CloudEvent"),
        (b"[]", "not a CloudEvent"),
        (b'{"specversion":"0.3","id":"1","type":"io.linkerd.steward.new-version.v1"}', "specversion '0.3'"),
        (b'{"specversion":"1.0","id":"1","type":"com.example.thing"}', "is not of the form"),
        (b'{"specversion":"1.0","id":"1","type":"io.linkerd.steward.new-version.v1"}', "source: Field required"),
    ],
)
def test_what_is_no_event_says_why(raw: bytes, reason: str) -> None:
    reading = decode(raw)

    assert isinstance(reading, Invalid)
    assert reason in reading.reason


def test_a_payload_that_breaks_its_schema_is_named_by_its_member() -> None:
    raw = encode(enveloped(build(UpgradeStarted))).replace(b'"steps":[', b'"steps":5,"x":[')

    reading = decode(raw)

    assert isinstance(reading, Invalid)
    assert "data.steps" in reading.reason


def test_a_type_inside_the_payload_is_not_taken_for_the_event() -> None:
    payload = b'"data":{"type":"io.linkerd.steward.new-version.v1"}'
    nested = b"{" + payload + b',"specversion":"1.0","id":"1","type":"io.linkerd.steward.x.v1"}'

    assert decode(nested) == Unknown("1", "io.linkerd.steward.x.v1")


@given(st.binary())
def test_no_bytes_raise(raw: bytes) -> None:
    decode(raw)


@given(st.text())
def test_any_text_is_one_token_and_comes_back(text: str) -> None:
    encoded = token(text)

    assert not set(encoded) & set(". *>\t\r\n")
    assert encoded
    assert part(encoded) == text


@pytest.mark.parametrize(
    ("name", "clean"), [("prod-eu", True), ("a", True), ("A", False), ("a.b", False), ("", False), ("-a", False)]
)
def test_a_cluster_name_is_one_clean_token(name: str, clean: bool) -> None:
    assert is_cluster_name(name) is clean
