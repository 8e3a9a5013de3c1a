"""Bytes ↔ event. Reading never raises: what cannot be read is a value that says why."""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from steward.events.base import TYPE_PATTERN, Envelope, Event
from steward.events.registry import BY_TYPE, NEWEST

CONTENT_TYPE = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class Known:
    """An event that this code understands."""

    envelope: Envelope[Event]


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a type, or of a version of a type, that newer code says: not ours to judge."""

    id: str
    type: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """Bytes that are no event, or an event whose payload breaks its own schema."""

    reason: str


Reading: TypeAlias = Known | Unknown | Invalid


class _Head(BaseModel):
    """The attributes that decide how to read the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: str
    id: str
    type: str


@cache
def model_of(event: type[Event]) -> type[Envelope[Event]]:
    """The envelope of `event` as a pydantic model."""
    # The parameter is known only at run time, which is why the types need a word of help here.
    return cast("type[Envelope[Event]]", Envelope.__class_getitem__(event))


def encode(envelope: Envelope[Event]) -> bytes:
    """`envelope` as structured CloudEvents JSON; absent attributes are left out, as the specification asks."""
    model = model_of(type(envelope.data))
    return model.__pydantic_serializer__.to_json(envelope, by_alias=True, exclude_none=True)


def decode(raw: bytes) -> Reading:
    """What `raw` is."""
    known = _decode_known(raw)
    if known is not None:
        return known
    try:
        head = _Head.model_validate_json(raw)
    except ValidationError as error:
        return Invalid(f"not a CloudEvent in structured JSON: {_first(error)}")
    if head.specversion != "1.0":
        return Invalid(f"CloudEvents specversion {head.specversion!r}, expected '1.0'")
    event = BY_TYPE.get(head.type)
    if event is None:
        return _unregistered(head)
    try:
        return Known(model_of(event).model_validate_json(raw))
    except ValidationError as error:
        return Invalid(f"{head.type} does not fit its schema: {_first(error)}")


def _decode_known(raw: bytes) -> Known | None:
    """The fast way for what is almost always so: the type is found by text search and the rest is parsed once."""
    start = raw.find(b'"type":"io.linkerd.steward.')
    if start < 0:
        return None
    end = raw.find(b'"', start + 8)
    event = BY_TYPE.get(raw[start + 8 : end].decode(errors="replace"))
    if event is None:
        return None
    try:
        envelope = model_of(event).model_validate_json(raw)
    except ValidationError:
        return None
    # The text may have been found inside the payload: only the parsed attribute decides.
    return Known(envelope) if envelope.type == event.type() else None


def _unregistered(head: _Head) -> Unknown | Invalid:
    match = TYPE_PATTERN.fullmatch(head.type)
    if match is None:
        return Invalid(f"type {head.type!r} is not of the form io.linkerd.steward.<event>.v<number>")
    newest = NEWEST.get(match["name"])
    if newest is not None and int(match["version"]) < newest:
        return Invalid(f"type {head.type!r} is a version that this code does not read any more")
    return Unknown(head.id, head.type)


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in problem["loc"]) or "the document"
    return f"{where}: {problem['msg']}"
