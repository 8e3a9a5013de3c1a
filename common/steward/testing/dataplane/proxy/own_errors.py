"""Errors of the proxy itself: what its application gets to see, and under which words they are counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

from steward.testing.dataplane.proxy.exchange import Headers, Request, Response, header

PROXY_ERROR = "l5d-proxy-error"
PROXY_CONNECTION = "l5d-proxy-connection"
GRPC = "application/grpc"
_PRINTABLE = "".join(chr(each) for each in range(0x20, 0x7F) if each != ord("%"))


@dataclass(frozen=True, slots=True)
class Kind:
    """`label` of `outbound_http_errors_total`; `route_error` of route metrics, where nothing means: by status.

    A `bare` message does not say where it happened.
    """

    status: int
    code: int
    label: str = "unexpected"
    route_error: str = ""
    closes: bool = False
    bare: bool = False
    location: str = ""


FAIL_FAST = Kind(504, 4, "failfast", "FAIL_FAST", closes=True)
LOAD_SHED = Kind(503, 14, "loadshed", "LOAD_SHED", closes=True)
IDENTITY_REQUIRED = Kind(502, 14, "identity required", "UNKNOWN", closes=True)
CONNECTION = Kind(502, 14, "i/o", closes=True)
REQUEST_TIMEOUT = Kind(504, 4, route_error="REQUEST_TIMEOUT")
RESPONSE_TIMEOUT = Kind(504, 4, route_error="RESPONSE_STREAM_TIMEOUT")
HEADERS_TIMEOUT = Kind(504, 4, route_error="RESPONSE_HEADERS_TIMEOUT")
PROFILE_TIMEOUT = Kind(504, 4, "response timeout", closes=True)
NO_ROUTE = Kind(404, 5)
MISSING_BACKEND = Kind(500, 13, bare=True)
FORBIDDEN = Kind(403, 7, bare=True)
REDIRECTED = Kind(302, 2, bare=True)


class OwnError(Exception):
    """Something that the proxy answers itself. Layers add where it happened, from the inside out."""

    def __init__(self, kind: Kind, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind
        self.message = cause

    def within(self, place: str) -> "OwnError":
        """The same, one layer further out."""
        if not self.kind.bare:
            self.message = f"{place}: {self.message}"
        return self

    def __str__(self) -> str:
        return self.message


def fail_fast() -> OwnError:
    """No endpoint became ready in time."""
    return OwnError(FAIL_FAST, "service in fail-fast")


def load_shed() -> OwnError:
    """Others have waited in vain before."""
    return OwnError(LOAD_SHED, "service unavailable")


def identity_required(wanted: str, found: str | None) -> OwnError:
    """`l5d-require-id` named somebody else."""
    given = f'Some(ServerId(Dns(Name("{found}"))))' if found else "None"
    return OwnError(IDENTITY_REQUIRED, f'required id ServerId(Dns(Name("{wanted}"))); found {given}')


def timed_out(kind: Kind, limit: timedelta) -> OwnError:
    """Before the head of a response was there."""
    what = {REQUEST_TIMEOUT: "request timeout", RESPONSE_TIMEOUT: "response stream timeout"}
    waited = f"{what.get(kind, 'response headers timeout')}: {spelled(limit)}"
    return OwnError(kind, f"timed out waiting for response headers: {waited}")


def spelled(duration: timedelta) -> str:
    """As the proxy writes durations: `250ms`, `1s`, `1.5s`."""
    milliseconds = duration / timedelta(milliseconds=1)
    return f"{milliseconds:g}ms" if milliseconds < 1000 else f"{milliseconds / 1000:g}s"


def is_grpc(headers: Headers) -> bool:
    """Whether a message is one of gRPC."""
    return header(headers, "content-type").startswith(GRPC)


def respond(kind: Kind, message: str, request: Request, now: datetime) -> Response:
    """The answer to the application: a status, or for gRPC a code, always with the message in a header."""
    told: Headers = ((PROXY_ERROR, message),)
    if kind.closes:
        told = ((PROXY_CONNECTION, "close"), *told)
    if kind.location:
        told = (("location", kind.location), *told)
    return without_body((kind.status, kind.code), message, request, now, told)


def without_body(
    status_and_code: tuple[int, int], message: str, request: Request, now: datetime, headers: Headers = ()
) -> Response:
    """An answer of a proxy: a status, or for gRPC a code with the message if there is one; never a body."""
    status, code = status_and_code
    common: Headers = (*headers, ("content-length", "0"), ("date", format_datetime(now, usegmt=True)))
    if not is_grpc(request.headers):
        return Response(status, common)
    said: Headers = (("grpc-message", quote(message, safe=_PRINTABLE)),) if message else ()
    return Response(200, (("content-type", GRPC), ("grpc-status", str(code)), *said, *common))
