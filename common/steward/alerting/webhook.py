"""What Alertmanager posts to a webhook (payload version 4), read into values. What is no such post is refused."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, whole

VERSION = "4"
LARGEST = 8 * 1024 * 1024
"""Bytes of a post."""
_DEEPEST = 8
_MOST_ALERTS = 20_000
_MOST_LABELS = 256
_LONGEST = 64 * 1024
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Alertmanager writes year 1 where a time is not known."""


class Status(StrEnum):
    """Whether an alert goes on."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class TellingAlert:
    """One alert of a post."""

    fingerprint: str
    """Of the label set: sixteen hexadecimal digits."""
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    since: datetime
    until: datetime | None
    """None while it fires."""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """One post: a group of alerts."""

    group: str
    """Alertmanager's name of the group."""
    receiver: str
    external_url: str
    alerts: tuple[TellingAlert, ...]
    left_out: int = 0
    """Alerts of the group that `max_alerts` kept out."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a post is none. Nothing of it is taken."""

    reason: str
    """TooLarge, NotJson, TooDeep, NotVersion4 or BadAlert."""
    message: str


def read(body: bytes) -> Telling | Unreadable:
    """The post in `body`. Total: whatever the bytes are, the answer is a value."""
    if len(body) > LARGEST:
        return Unreadable("TooLarge", f"{len(body)} bytes are more than {LARGEST}: set max_alerts of the webhook")
    try:
        found: Json = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        return Unreadable("NotJson", f"the post is no JSON: {str(error)[:200] or type(error).__name__}")
    if _deeper_than(found, _DEEPEST):
        return Unreadable("TooDeep", f"the post is nested more than {_DEEPEST} levels deep")
    if not isinstance(found, dict) or text(found, "version") != VERSION:
        said = dig(found, "version") if isinstance(found, dict) else type(found).__name__
        return Unreadable(
            "NotVersion4", f"the post has version {str(said)[:40]!r}, and version {VERSION!r} is read here"
        )
    return _telling(found)


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's name of a label set: FNV-1a of 64 bits over names and values in order, a byte 255 after each.

    As `LabelSet.Fingerprint` of prometheus/common.
    """
    found = 0xCBF29CE484222325
    for name, value in sorted(labels.items()):
        for byte in (*name.encode(), 255, *value.encode(), 255):
            found = ((found ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def _telling(found: JsonObject) -> Telling | Unreadable:
    members = dig(found, "alerts")
    if not isinstance(members, list) or len(members) > _MOST_ALERTS:
        return Unreadable("BadAlert", f"`alerts` is no list of at most {_MOST_ALERTS}")
    if len(rows(found, "alerts")) != len(members):
        return Unreadable("BadAlert", "`alerts` has members that are no objects")
    alerts: list[TellingAlert] = []
    for place, member in enumerate(rows(found, "alerts")):
        try:
            alerts.append(_alert(member))
        except ValueError as error:
            return Unreadable("BadAlert", f"alerts[{place}]: {error}")
    return Telling(
        group=text(found, "groupKey")[:_LONGEST],
        receiver=text(found, "receiver")[:_LONGEST],
        external_url=text(found, "externalURL")[:_LONGEST],
        alerts=tuple(alerts),
        left_out=max(0, whole(found, "truncatedAlerts")),
    )


def _alert(member: JsonObject) -> TellingAlert:
    fingerprint = text(member, "fingerprint")
    if _FINGERPRINT.fullmatch(fingerprint) is None:
        raise ValueError(f"{fingerprint[:40]!r} is no fingerprint: sixteen hexadecimal digits")
    status = text(member, "status")
    if status not in tuple(Status):
        raise ValueError(f"status {status[:40]!r} is neither firing nor resolved")
    since, until = _time(member, "startsAt"), _time(member, "endsAt")
    if since is None:
        raise ValueError("startsAt is missing")
    resolved = status == Status.RESOLVED
    return TellingAlert(
        fingerprint=fingerprint,
        status=Status(status),
        labels=_strings(member, "labels"),
        annotations=_strings(member, "annotations"),
        since=since,
        until=max(until or since, since) if resolved else None,
        source=text(member, "generatorURL")[:_LONGEST],
    )


def _strings(member: JsonObject, name: str) -> Mapping[str, str]:
    found = table(member, name)
    if not isinstance(dig(member, name), dict) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError(f"{name} are no texts by name")
    if len(found) > _MOST_LABELS:
        raise ValueError(f"{name} are more than {_MOST_LABELS}")
    pairs = {key: each for key, each in found.items() if isinstance(each, str)}
    if any(len(part) > _LONGEST or not _is_unicode(part) for pair in pairs.items() for part in pair):
        raise ValueError(f"{name} hold what is no text of at most {_LONGEST} characters")
    return pairs


def _time(member: JsonObject, name: str) -> datetime | None:
    said = text(member, name)
    if not said:
        return None
    try:
        found = datetime.fromisoformat(said)
        # A time of year 1 with an offset may lie before all time.
        utc = found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} {said[:40]!r} is no time: {error}") from error
    if utc is None:
        raise ValueError(f"{name} {said[:40]!r} has no time zone")
    return utc if utc > _NEVER else None


def _is_unicode(said: str) -> bool:
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return True


def _deeper_than(value: Json, limit: int) -> bool:
    level: list[Json] = [value]
    for _ in range(limit):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
    return any(isinstance(each, dict | list) for each in level)


def _no_number(said: str) -> Json:
    raise ValueError(f"{said} is no number of JSON")
