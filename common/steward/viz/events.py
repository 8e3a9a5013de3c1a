"""What tap tells, as plain values: a request, its response, and the response's end, each by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from steward.errors import StewardError


class Told(StrEnum):
    """Which moment of an exchange an event is about."""

    REQUEST = "Request"
    RESPONSE = "Response"
    END = "End"


@dataclass(frozen=True, slots=True)
class Peer:
    """One side of an exchange. The label `tls` is `true`, or says why there was none."""

    ip: str = ""
    port: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TapEvent:
    """One moment of one exchange. Of one proxy, events of the same exchange have the same `stream`."""

    told: Told
    stream: tuple[int, int]
    inbound: bool
    source: Peer
    destination: Peer
    authority: str = ""
    path: str = ""
    """Without the query."""
    status: int | None = None


class TapRefused(StewardError):
    """There is nothing to listen to, and why: in the words of the API server, or of tap itself.

    `status` is that of HTTP; 0 where nobody answered, and 200 where tap answered that it cannot.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
