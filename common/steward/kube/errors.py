"""What the API server answers when it refuses, and what it means when it does not answer at all.

KubeError
├── NotFound            404
├── Conflict            409: the object moved on, or another field manager owns the field
├── AlreadyExists       409 on create
├── Gone                410: the version to go on from is no longer kept; list again
├── Forbidden           403
├── Unauthorized        401
├── Invalid             400, 413, 415, 422, and the 500 with which server-side apply refuses an unknown field
├── TooManyRequests     429: ask again after `retry_after`
│   └── EvictionRefused 429 of an eviction: a disruption budget protects the pod
└── ServerUnavailable   5xx, a broken connection, a time-out; `outcome_unknown`: a write may have happened
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import orjson

from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject, rows, table, text, whole

_LONGEST_MESSAGE = 2000
_UNKNOWN_FIELD_IN_APPLY = "field not declared in schema"


class KubeError(StewardError):
    """The API server refused or could not be reached; the message begins with what was asked of it."""

    earlier_attempt_unknown: bool = False
    """An earlier attempt of the same request got no answer and may have been carried out."""

    def __init__(
        self, act: str, message: str, *, code: int = 0, reason: str = "", status: JsonObject | None = None
    ) -> None:
        super().__init__(f"{act}: {message}")
        self.act = act
        self.message = message
        self.code = code
        self.reason = reason
        self.status: JsonObject = status or {}

    @property
    def causes(self) -> list[JsonObject]:
        """The single findings of the answer: `field`, `reason`, `message`."""
        return rows(self.status, "details", "causes")


class NotFound(KubeError):
    """The object, or the resource itself, does not exist."""


class Conflict(KubeError):
    """Somebody else changed the object, or owns a field that was applied."""

    @property
    def managers(self) -> list[str]:
        """The messages that name the other field managers of a refused apply."""
        return [text(cause, "message") for cause in self.causes if text(cause, "reason") == "FieldManagerConflict"]


class AlreadyExists(KubeError):
    """Create found an object of that name."""


class Gone(KubeError):
    """The resource version or continue token is too old: list again."""


class Forbidden(KubeError):
    """The identity in use has no right to do this."""


class Unauthorized(KubeError):
    """The API server does not know who is asking."""


class Invalid(KubeError):
    """The object or the request is not acceptable; repeating it changes nothing."""


class TooManyRequests(KubeError):
    """The API server is throttling."""

    retry_after: timedelta = timedelta(seconds=1)


class EvictionRefused(TooManyRequests):
    """A PodDisruptionBudget does not allow the pod to go."""


class ServerUnavailable(KubeError):
    """No usable answer. After a write with `outcome_unknown` look at the object before doing anything else."""

    outcome_unknown: bool = False
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over the wire."""

    code: int
    headers: Mapping[str, str]
    body: bytes


_BY_REASON: dict[str, type[KubeError]] = {
    "NotFound": NotFound,
    "AlreadyExists": AlreadyExists,
    "Conflict": Conflict,
    "Gone": Gone,
    "Expired": Gone,
    "Forbidden": Forbidden,
    "Unauthorized": Unauthorized,
    "Invalid": Invalid,
    "BadRequest": Invalid,
    "UnsupportedMediaType": Invalid,
    "RequestEntityTooLarge": Invalid,
    "TooManyRequests": TooManyRequests,
}
_BY_CODE: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}


def error_from(act: str, answer: Answer) -> KubeError:
    """The typed error of an answer outside 200..299; the body need not be a Status (a throttle's is plain text)."""
    status = _status_of(answer.body)
    message = text(status, "message") or _plain(answer.body) or f"HTTP {answer.code}"
    reason = text(status, "reason")
    kind = _kind_of(answer.code, reason, message)
    if kind is TooManyRequests and any(
        text(cause, "reason") == "DisruptionBudget" for cause in rows(status, "details", "causes")
    ):
        kind = EvictionRefused
    error = kind(act, message, code=answer.code, reason=reason, status=status)
    wait = retry_after(answer, status)
    if isinstance(error, TooManyRequests):
        error.retry_after = wait or timedelta(seconds=1)
    if isinstance(error, ServerUnavailable):
        error.retry_after = wait
    return error


def error_in_stream(act: str, status: Json) -> KubeError:
    """The error that an `ERROR` event carries inside a watch that was answered with 200."""
    code = whole(status, "code", default=500)
    reason = text(status, "reason")
    message = text(status, "message", default="watch failed")
    return _kind_of(code, reason, message)(act, message, code=code, reason=reason, status=table(status))


def retry_after(answer: Answer, status: JsonObject) -> timedelta | None:
    """How long the server asks to be left alone: the header, else the details of the Status."""
    header = answer.headers.get("Retry-After", "").strip()
    seconds = int(header) if header.isdigit() else whole(status, "details", "retryAfterSeconds")
    return timedelta(seconds=seconds) if seconds > 0 else None


def _kind_of(code: int, reason: str, message: str) -> type[KubeError]:
    if code == 500 and _UNKNOWN_FIELD_IN_APPLY in message:
        return Invalid
    known = _BY_REASON.get(reason) or _BY_CODE.get(code)
    if known:
        return known
    return ServerUnavailable if code >= 500 else KubeError


def _status_of(body: bytes) -> JsonObject:
    if not body.lstrip().startswith(b"{"):
        return {}
    try:
        parsed: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return table(parsed)


def _plain(body: bytes) -> str:
    return " ".join(body[:_LONGEST_MESSAGE].decode("utf-8", "replace").split())
