"""Event type and key ↔ NATS subject: `steward.v1.<cluster>.<event>.<key…>`.

A key may hold any text; a token may not hold dots, spaces or wildcards. Every character outside `[A-Za-z0-9-]` is
written as `_` and its two-digit hexadecimal UTF-8 bytes, so the way back is exact. A dotted key (a feature id such as
`mtls.identity`) is given as several parts, which become several tokens, so that `mtls.>` can be subscribed to.
"""

import re
from collections.abc import Sequence

from steward.events.base import Event

ROOT = "steward.v1"
CLUSTER = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_CLEAN = re.compile(r"^[A-Za-z0-9-]+$")
_ESCAPED = re.compile(r"_([0-9a-f]{2})")


def is_cluster_name(name: str) -> bool:
    """Whether `name` is one clean token: lowercase letters, digits and inner hyphens, at most 63."""
    return CLUSTER.fullmatch(name) is not None


def token(part: str) -> str:
    """`part` as exactly one subject token."""
    if _CLEAN.fullmatch(part):
        return part
    if not part:
        return "_"
    return "".join(
        char
        if char.isascii() and (char.isalnum() or char == "-")
        else "".join(f"_{byte:02x}" for byte in char.encode())
        for char in part
    )


def part(token: str) -> str:
    """The text that `token` stands for."""
    if token == "_":
        return ""
    raw = bytearray()
    position = 0
    for match in _ESCAPED.finditer(token):
        raw += token[position : match.start()].encode() + bytes([int(match.group(1), 16)])
        position = match.end()
    return (bytes(raw) + token[position:].encode()).decode(errors="replace")


def subject_of(cluster: str, event: Event) -> str:
    """The subject on which `event` of `cluster` is published."""
    return subject(cluster, event.name, event.key)


def subject(cluster: str, name: str, key: Sequence[str]) -> str:
    """The subject of an event's `name` and `key`."""
    return ".".join([ROOT, cluster, name, *(token(each) for each in key)])


def subject_filter(name: str = "*", *, cluster: str = "*", key: Sequence[str] = ()) -> str:
    """The filter that matches every event `name` whose key begins with `key`."""
    return ".".join([ROOT, cluster, name, *(token(each) for each in key), ">"])


def event_name(subject: str) -> str | None:
    """The event's name in `subject`, or None where it is no subject of ours."""
    parts = subject.split(".")
    return parts[3] if len(parts) > 4 and parts[:2] == ["steward", "v1"] else None


def key_of(subject: str) -> tuple[str, ...]:
    """The key in `subject`; empty where it is no subject of ours."""
    return tuple(part(each) for each in subject.split(".")[4:]) if event_name(subject) else ()
