"""Builders of events with every member filled in, so that a test names only what it is about."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from steward.events.base import Envelope, Event, Part, Trail, enclose
from steward.events.codec import encode
from steward.events.registry import EVENTS

MOMENT = datetime(2026, 6, 18, 12, 0, tzinfo=UTC)
"""The time of everything that a test does not give a time of its own: the day of edge-26.6.3."""

_WORDS: dict[str, str] = {
    "channel": "edge",
    "release": "edge-26.8.3",
    "previous": "edge-26.6.3",
    "running": "edge-26.6.3",
    "from_version": "edge-26.6.3",
    "to_version": "edge-26.8.3",
    "run": "edge-26-8-3",
    "run_uid": "5f0c1c5e-6f55-4a4e-9d0e-0d5f2b4f9a10",
    "plan": "edge-within-2.20",
    "reason": "AsPlanned",
    "step": "control-plane",
    "step_type": "UpgradeControlPlane",
    "feature": "mtls.identity",
    "fingerprint": "6f1c5e0d2b4f9a10",
    "claim": "A request between meshed pods carries the identity of its client.",
}

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound=Part)


def build(event: type[P], **given: object) -> P:
    """An `event` with every member filled in; `given` wins."""
    filled = {name: _fill(name, field) for name, field in event.model_fields.items() if name not in given}
    return event(**{**filled, **given})


def enveloped(data: E, *, id: str = "", cluster: str = "test", trail: Trail | None = None) -> Envelope[E]:
    """`data` as its service would say it at `MOMENT`."""
    return enclose(data, id=id or f"{data.name}/1", cluster=cluster, service="test", time=MOMENT, trail=trail)


def _fill(name: str, field: FieldInfo) -> object:
    return _value(name, field.annotation)


def _value(name: str, annotation: Any) -> object:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _value(name, next(each for each in get_args(annotation) if each is not type(None)))
    if origin is tuple:
        return (_value(name, get_args(annotation)[0]),)
    if origin is dict:
        return {f"a-{name}": f"{name}-of-it"}
    if annotation in (datetime, AwareDatetime):
        return MOMENT
    if isinstance(annotation, type):
        return _plain(name, annotation)
    return _value(name, get_args(annotation)[0])


def _plain(name: str, annotation: type) -> object:
    if issubclass(annotation, Part):
        return build(annotation)
    if issubclass(annotation, bool):
        return True
    if issubclass(annotation, (int, float)):
        return annotation(1)
    members = list(getattr(annotation, "__members__", {}).values())
    return members[0] if members else _WORDS.get(name, f"a-{name.replace('_', '-')}")


def record(directory: Path) -> list[Path]:
    """Write an example of each event that has none yet; one that exists is what was published, and stays."""
    directory.mkdir(parents=True, exist_ok=True)
    missing = {directory / f"{event.name}.v{event.version}.json": event for event in EVENTS}
    missing = {path: event for path, event in missing.items() if not path.exists()}
    for path, event in missing.items():
        path.write_bytes(encode(enveloped(build(event))) + b"\n")
    return list(missing)


if __name__ == "__main__":
    for written in record(Path(sys.argv[1])):
        sys.stdout.write(f"{written}\n")
