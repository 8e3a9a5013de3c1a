"""What a client speaks, told from its first bytes."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from steward.testing.dataplane.proxy.stream import Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_METHOD_LONGEST = 16
_LINE_LONGEST = 8192
_HANDSHAKE = 0x16
_CLIENT_HELLO = 0x01


class Spoken(StrEnum):
    """The results of a detection."""

    HTTP1 = "http/1"
    HTTP2 = "http/2"
    TLS = "tls"
    OTHER = "not_http"
    SILENT = "read_timeout"
    GONE = "error"


@dataclass(frozen=True, slots=True)
class Detected:
    """`sni` with TLS only."""

    spoken: Spoken
    sni: str = ""


async def detect(stream: Stream, limit: timedelta) -> Detected:
    """Look at the first bytes without taking them, for as long as the limit allows."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await _look(stream)
    except TimeoutError:
        return Detected(Spoken.SILENT)
    except ConnectionError:
        return Detected(Spoken.GONE)


async def _look(stream: Stream) -> Detected:
    seen = b""
    while True:
        more = await stream.peek(len(seen) + 1)
        if len(more) == len(seen):
            return Detected(Spoken.GONE if not seen else Spoken.OTHER)
        seen = more
        verdict = judge(seen)
        if verdict is not None:
            return verdict


def judge(seen: bytes) -> Detected | None:
    """What these bytes are the start of; None when more are needed to tell."""
    if seen[0] == _HANDSHAKE:
        return _hello(seen)
    if seen.startswith(PREFACE):
        return Detected(Spoken.HTTP2)
    if PREFACE.startswith(seen):
        return None
    return _request_line(seen)


def _request_line(seen: bytes) -> Detected | None:
    method, space, _ = seen.partition(b" ")
    if len(method) > _METHOD_LONGEST or not all(0x21 <= byte < 0x7F for byte in method):
        return Detected(Spoken.OTHER)
    line, ended, _ = seen.partition(b"\r\n")
    if not ended:
        broken = b"\n" in seen or len(seen) > _LINE_LONGEST
        return Detected(Spoken.OTHER) if broken else None
    proper = bool(space) and line.rsplit(b" ", 1)[-1] in {b"HTTP/1.1", b"HTTP/1.0"}
    return Detected(Spoken.HTTP1 if proper else Spoken.OTHER)


def _hello(seen: bytes) -> Detected | None:
    """A TLS ClientHello: record header, handshake header, and the server name among the extensions."""
    if len(seen) < 6:
        return None
    if seen[1] != 3 or seen[5] != _CLIENT_HELLO:
        return Detected(Spoken.OTHER)
    length = int.from_bytes(seen[3:5], "big")
    if len(seen) < 5 + length:
        return None
    return Detected(Spoken.TLS, _server_name(seen[9 : 5 + length]))


def _server_name(hello: bytes) -> str:
    try:
        at = 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 1 + hello[at]
        at += 2
        while at + 4 <= len(hello):
            kind = int.from_bytes(hello[at : at + 2], "big")
            size = int.from_bytes(hello[at + 2 : at + 4], "big")
            if kind == 0:
                return hello[at + 9 : at + 4 + size].decode("ascii", "replace")
            at += 4 + size
    except IndexError:
        return ""
    return ""
