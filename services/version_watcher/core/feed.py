"""The version-check document: a flat object, channel → release. A bad key never hides a good one.

The document is written by a script from a list of tags. It has no history, no signature and no date, so each value
must at least name its own channel, look like a release, and not be from the future.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from services.version_watcher.core.reading import Nothing, Problem, Read, unreadable
from steward.jsonvalue import Json
from steward.linkerd.version import MalformedVersion, Version

MOST_KEYS = 64
LONGEST_VALUE = 128
AHEAD = timedelta(days=7)
"""How far the month in an edge release may lie ahead of our clock: time zones and clocks that are a little off."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The usable part of the document: at most one release for each channel."""

    offers: dict[str, Version]


def read_feed(body: bytes, now: datetime) -> Read[Feed] | Nothing:
    """What the document offers at `now`."""
    pairs = _pairs(body)
    if isinstance(pairs, Nothing):
        return pairs
    offers: dict[str, Version] = {}
    problems: list[Problem] = []
    repeated = {key for key, times in Counter(key for key, _ in pairs).items() if times > 1}
    for key, value in pairs:
        found = (
            Problem(key, "DuplicateKey", f"{key!r} is in the document more than once, so that none of them counts")
            if key in repeated
            else _offer(key, value, now)
        )
        if isinstance(found, Version):
            offers[key] = found
        elif found not in problems:
            problems.append(found)
    if not offers:
        reasons = {problem.reason for problem in problems}
        reason = reasons.pop() if len(reasons) == 1 else "NoUsableKey"
        return Nothing(reason, "; ".join(each.message for each in problems) or "the document has no keys", reached=True)
    return Read(Feed(offers), tuple(problems))


def _pairs(body: bytes) -> list[tuple[str, Json]] | Nothing:
    refusal = unreadable(body, "the version document")
    if refusal is not None:
        return refusal
    try:
        parsed = json.loads(body, object_pairs_hook=_Pairs)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        return Nothing("NotJson", f"the document is not JSON: {error}", reached=True)
    if not isinstance(parsed, _Pairs):
        return Nothing("NotAnObject", 'the document is JSON but no object: expected {"edge": "edge-…"}', reached=True)
    if len(parsed) > MOST_KEYS:
        return Nothing(
            "TooManyKeys", f"the document has {len(parsed)} keys, at most {MOST_KEYS} are read", reached=True
        )
    return [(str(key), cast("Json", value)) for key, value in parsed]


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its repeated keys."""


def _offer(key: str, value: Json, now: datetime) -> Version | Problem:
    shown = key[:LONGEST_VALUE]
    if not isinstance(value, str):
        return Problem(shown, "NotText", f"{shown!r} is not a text but {type(value).__name__}")
    if len(value) > LONGEST_VALUE:
        return Problem(shown, "TooLong", f"{shown!r} has {len(value)} characters, at most {LONGEST_VALUE} are read")
    try:
        version = Version.parse(value)
    except MalformedVersion as error:
        return Problem(shown, "UnknownFormat", f"{shown!r}: {error}")
    expected = version.channel if version.hotpatch is None else f"{version.channel}Hotpatch"
    if key != expected:
        return Problem(shown, "WrongChannel", f"{shown!r} offers {value!r}, which is of channel {expected!r}")
    return _edge(shown, version, now) if version.channel == "edge" else version


def _edge(key: str, version: Version, now: datetime) -> Version | Problem:
    """Edge releases are numbered by date, which is the only date that the document has."""
    if len(version.parts) != 3 or not 1 <= version.parts[1] <= 12:
        return Problem(key, "UnknownFormat", f"{key!r} offers {str(version)!r}: expected edge-<year>.<month>.<number>")
    latest = now + AHEAD
    if (2000 + version.parts[0], version.parts[1]) > (latest.year, latest.month):
        return Problem(
            key, "FutureDated", f"{key!r} offers {str(version)!r}, whose month lies ahead of our clock ({now:%Y-%m-%d})"
        )
    return version
