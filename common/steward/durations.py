"""Durations as people write them in settings: `30`, `30s`, `1.5m`, `1h30m`, or ISO 8601 (`PT30S`)."""

import re
from datetime import timedelta

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_BARE = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def duration(value: object) -> object:
    """A timedelta where `value` is text of one of these forms; anything else as it came, for the field to judge."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _BARE.fullmatch(text):
        return timedelta(seconds=float(text))
    if _WHOLE.fullmatch(text):
        return timedelta(seconds=sum(float(part["count"]) * _SECONDS[part["unit"]] for part in _PART.finditer(text)))
    return text
