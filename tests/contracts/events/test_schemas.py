"""The published vocabulary: frozen, complete, readable yesterday and tomorrow, by us and by others."""

import json
from pathlib import Path

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator, FormatChecker
from pydantic_asyncapi.v3 import AsyncAPI

from steward.events import schemas
from steward.events.base import Event
from steward.events.codec import Known, decode, encode
from steward.events.compatibility import incompatibilities
from steward.events.registry import BY_TYPE, EVENTS
from steward.jsonvalue import JsonObject
from steward.testing.events import build, enveloped

YESTERDAY = Path(__file__).parent / "yesterday"
each_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)


@each_event
def test_the_committed_schema_is_the_one_of_the_code(event: type[Event]) -> None:
    assert schemas.check(event) is None


def test_the_committed_asyncapi_document_is_the_one_of_the_code() -> None:
    committed = json.loads(schemas.ASYNCAPI.read_text())

    assert committed == schemas.asyncapi(), f"run `{schemas.COMMAND}`"


def test_the_asyncapi_document_is_valid_and_names_every_event() -> None:
    document = AsyncAPI.model_validate(json.loads(schemas.ASYNCAPI.read_text()))

    assert document.channels is not None
    assert len(document.channels) == len(EVENTS)


@each_event
def test_a_published_event_fits_its_published_schema(event: type[Event]) -> None:
    document = json.loads(encode(enveloped(build(event))))
    schema = json.loads(schemas.file_of(event).read_text())

    assert list(Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(document)) == []


@each_event
def test_an_event_with_every_optional_member_absent_can_be_read(event: type[Event]) -> None:
    whole = build(event)
    bare = {name: getattr(whole, name) for name, field in event.model_fields.items() if field.is_required()}
    envelope = enveloped(event(**bare))

    assert decode(encode(envelope)) == Known(envelope)


@each_event
def test_the_reference_library_reads_what_is_published(event: type[Event]) -> None:
    envelope = enveloped(build(event))

    read = JSONFormat().read(CloudEvent, encode(envelope))

    assert read.get_id() == envelope.id
    assert read.get_type() == event.type()
    assert read.get_source() == envelope.source
    assert read.get_time() == envelope.time
    assert read.get_extension("cluster") == "test"


@each_event
def test_todays_code_reads_yesterdays_event(event: type[Event]) -> None:
    recorded = YESTERDAY / f"{event.name}.v{event.version}.json"
    assert recorded.exists(), f"{event.type()} has no recorded example: run `make schemas` and commit it"

    reading = decode(recorded.read_bytes())

    assert isinstance(reading, Known), reading


@pytest.mark.parametrize("recorded", sorted(YESTERDAY.glob("*.json")), ids=lambda path: path.stem)
def test_no_event_that_was_ever_published_is_forgotten(recorded: Path) -> None:
    assert json.loads(recorded.read_bytes())["type"] in BY_TYPE


def _with(change: JsonObject, **more: JsonObject) -> JsonObject:
    base: JsonObject = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string"}, "b": {"enum": ["X", "Y"], "type": "string"}},
    }
    return {**base, **change, **more}


def test_a_new_optional_member_needs_no_new_version() -> None:
    after = _with({"properties": {"a": {"type": "string"}, "b": {"enum": ["X", "Y"], "type": "string"}, "c": {}}})

    assert incompatibilities(_with({}), after) == []


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (_with({"properties": {"a": {"type": "string"}}}), "b: was removed"),
        (
            _with({"properties": {"a": {"type": "integer"}, "b": {"enum": ["X", "Y"], "type": "string"}}}),
            "a.: type was",
        ),
        (_with({"properties": {"a": {"type": "string"}, "b": {"enum": ["X"], "type": "string"}}}), "not the same"),
        (
            _with({"properties": {"a": {"type": "string"}, "b": {"enum": ["X", "Y", "Z"], "type": "string"}}}),
            "not the same",
        ),
        (_with({"required": ["a", "b"]}), "b: became required"),
        (_with({"required": []}), "a: is not required any more"),
    ],
)
def test_a_change_that_a_reader_cannot_live_with_needs_a_new_version(after: JsonObject, problem: str) -> None:
    assert any(problem in each for each in incompatibilities(_with({}), after))
