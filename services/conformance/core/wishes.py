"""The query contract of the echo server: how a caller makes it fail, wait or break off, the same way every time.

    status=503          the status of the answer, or of its failures where `fail-until` or `fail-percent` is given;
                        for gRPC a code (14), for a WebSocket the code of the close (4001) or what it gets instead
    delay=0.2           seconds (or 200ms, 2s) before anything is answered
    fail-until=N&id=X   the first N requests with this id fail, later ones succeed
    fail-percent=P&id=X of every 100 requests with this id exactly P fail, evenly spread; without an id, of its path
    bytes=N             a body of N bytes; the header `x-body-digest` has its SHA-256
    stream=N&every=0.1  N pieces, `every` apart; as server-sent events where the request accepts those
    close               the connection is closed without an answer (HTTP/2: the stream is reset; gRPC: UNAVAILABLE)
    close-after=N       the answer breaks off after N bytes of its body (of a stream, or of a WebSocket: N pieces)
    retry-after=S       the answer has the header `retry-after: S`
    only=POD            the wishes are for the pod of that name; every other one answers as if it had been asked nothing
    others=0.05         what those other pods wait before they answer
    spans=TRACE         the answer tells which spans of this trace were collected here

Other parameters mean nothing to the server and are free for routes to match.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlencode

from steward.errors import StewardError

UNAVAILABLE = 503
GRPC_UNAVAILABLE = 14
LARGEST_BODY = 134_217_728
_LONGEST = timedelta(minutes=10)
_MOST_PIECES = 100_000
_NOTHING = timedelta()


class Senseless(StewardError):
    """A parameter that the server knows has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks of the server. `Wishes(fail_until=1, id="a").on("/pay")` is the path that says so."""

    status: int | None = None
    delay: timedelta = _NOTHING
    fail_until: int = 0
    fail_percent: int = 0
    id: str = ""
    bytes: int | None = None
    stream: int = 0
    every: timedelta = _NOTHING
    close: bool = False
    close_after: int | None = None
    retry_after: int | None = None
    only: str = ""
    others: timedelta = _NOTHING
    spans: str = ""

    def of_pod(self, pod: str) -> "Wishes":
        """What of it this pod has to heed."""
        return self if self.only in ("", pod) else Wishes(delay=self.others)

    def on(self, path: str = "/") -> str:
        """The path with these wishes; `path` may have a query already."""
        given = {
            "status": self.status,
            "delay": f"{self.delay.total_seconds():g}" if self.delay else None,
            "fail-until": self.fail_until or None,
            "fail-percent": self.fail_percent or None,
            "id": self.id or None,
            "bytes": self.bytes,
            "stream": self.stream or None,
            "every": f"{self.every.total_seconds():g}" if self.every else None,
            "close": "" if self.close else None,
            "close-after": self.close_after,
            "retry-after": self.retry_after,
            "only": self.only or None,
            "others": f"{self.others.total_seconds():g}" if self.others else None,
            "spans": self.spans or None,
        }
        query = urlencode({name: value for name, value in given.items() if value is not None}, quote_via=quote)
        return path if not query else f"{path}{'&' if '?' in path else '?'}{query}"

    def fails(self, attempt: int) -> bool:
        """Whether the request that is the `attempt`-th of its id is one that fails."""
        return attempt <= self.fail_until or (
            attempt * self.fail_percent // 100 > (attempt - 1) * self.fail_percent // 100
        )

    @property
    def counted(self) -> bool:
        """Whether what is answered depends on how often it was asked."""
        return bool(self.fail_until or self.fail_percent)

    def answered(self, attempt: int, *, fine: int, failing: int) -> int:
        """The status of the answer, where `fine` and `failing` are what the protocol calls success and failure."""
        if not self.counted:
            return fine if self.status is None else self.status
        return (failing if self.status is None else self.status) if self.fails(attempt) else fine


def wishes_of(path: str) -> Wishes:
    """The wishes in the query of `path`; raises Senseless."""
    given = dict(parse_qsl(path.partition("?")[2], keep_blank_values=True))
    return Wishes(
        status=_whole(given, "status", 4999),
        delay=_duration(given, "delay"),
        fail_until=_whole(given, "fail-until", 1_000_000) or 0,
        fail_percent=_whole(given, "fail-percent", 100) or 0,
        id=given.get("id", ""),
        bytes=_whole(given, "bytes", LARGEST_BODY),
        stream=_whole(given, "stream", _MOST_PIECES) or 0,
        every=_duration(given, "every"),
        close=given.get("close", "false").lower() not in ("false", "0", "no"),
        close_after=_whole(given, "close-after", LARGEST_BODY),
        retry_after=_whole(given, "retry-after", 86_400),
        only=given.get("only", ""),
        others=_duration(given, "others"),
        spans=given.get("spans", ""),
    )


def _whole(given: dict[str, str], name: str, most: int) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 12 and int(value) <= most):
        raise Senseless(f"{name}={value!r} is no number between 0 and {most}")
    return int(value)


def _duration(given: dict[str, str], name: str) -> timedelta:
    value = given.get(name)
    if value is None:
        return _NOTHING
    number, unit = (value[:-2], 0.001) if value.endswith("ms") else (value.removesuffix("s"), 1.0)
    try:
        duration = timedelta(seconds=float(number) * unit)
    except (ValueError, OverflowError):
        raise Senseless(f"{name}={value!r} is no time: write seconds, such as 0.2, or 200ms") from None
    if not _NOTHING <= duration <= _LONGEST:
        raise Senseless(f"{name}={value!r} is not between 0 and {_LONGEST.total_seconds():g} seconds")
    return duration
