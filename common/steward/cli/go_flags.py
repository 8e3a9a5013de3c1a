"""Flags as Linkerd hands them on: a Go program writes `--proxy=false`, `--as-group=[]` and `--wait=5m0s`."""

import csv
import re
from collections.abc import Sequence
from datetime import timedelta

BOOLEANS = frozenset({"verbose", "proxy", "pre"})
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_DURATION = re.compile(r"(?P<sign>[+-]?)(?P<parts>(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h|d))+)")
_PART = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>ns|us|µs|ms|s|m|h|d)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """`--proxy=true` as `--proxy`, `--proxy=false` as nothing at all; everything behind `--` as it is."""
    result: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[index:]]
        name, equals, value = argument.removeprefix("--").partition("=")
        if not (argument.startswith("--") and equals and name in BOOLEANS):
            result.append(argument)
        elif value in _TRUE:
            result.append(f"--{name}")
        elif value not in _FALSE:
            result.append(argument)
    return result


def members(values: Sequence[str]) -> tuple[str, ...]:
    """Every member of a repeated list flag. A value may be `[a,b]`; `[]` is no member, not one named `[]`."""
    found: list[str] = []
    for value in values:
        inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        found += [member for member in next(csv.reader([inner]), []) if member]
    return tuple(found)


def duration(text: str) -> timedelta:
    """`5m0s`, `1h30m`, `250ms`, also `7d`. Raise ValueError where it is none, or negative."""
    stripped = text.strip()
    if stripped == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(stripped)
    if match is None or match["sign"] == "-":
        raise ValueError(f"{text!r} is no duration: write it like 30s, 5m, 1h30m or 7d")
    seconds = sum(float(part["number"]) * _SECONDS[part["unit"]] for part in _PART.finditer(match["parts"]))
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than any duration can be") from error


def spelled(span: timedelta) -> str:
    """`span` for people: `0s`, `42s`, `3m04s`, `2h05m`, `3d04h`."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"
