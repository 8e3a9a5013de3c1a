"""One delivery of one event: as the handler sees it, and as this process holds it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nats.aio.msg import Msg

from steward.bus.errors import BusError
from steward.events.base import Envelope, Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WITHOUT_DOMAIN = 9
_WITH_DOMAIN = 11
_TOKENS_OF_OURS = 5


class Place(NamedTuple):
    """What JetStream writes into the subject that an answer goes to."""

    attempt: int
    sequence: int
    order: int
    stored_ns: int
    pending: int

    @property
    def stored_at(self) -> datetime:
        """When the stream took the message."""
        return _EPOCH + timedelta(microseconds=self.stored_ns // 1000)


def place_of(reply: str) -> Place:
    """The place in `$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<attempt>.<sequence>.<order>.<time>.<pending>`."""
    tokens = reply.split(".")
    if len(tokens) == _WITHOUT_DOMAIN:
        return Place(int(tokens[4]), int(tokens[5]), int(tokens[6]), int(tokens[7]), int(tokens[8]))
    if len(tokens) < _WITH_DOMAIN:
        raise BusError(f"JetStream sent an answer subject of an unknown form: {reply!r}")
    return Place(int(tokens[6]), int(tokens[7]), int(tokens[8]), int(tokens[9]), int(tokens[10]))


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event and how it came here."""

    envelope: Envelope[Event]
    subject: str
    stream: str
    consumer: str
    place: Place

    @property
    def sequence(self) -> int:
        """Its place in the stream."""
        return self.place.sequence

    @property
    def attempt(self) -> int:
        """1 for the first delivery; a crash counts as much as a `Retry`."""
        return self.place.attempt

    @property
    def stored_at(self) -> datetime:
        """When the stream took it."""
        return self.place.stored_at


def name_and_key(subject: str) -> tuple[str, str]:
    """The event's name, and what orders it: cluster and key, so that all events of one run are in one lane."""
    tokens = subject.split(".", 4)
    if len(tokens) == _TOKENS_OF_OURS and tokens[0] == "steward":
        return tokens[3], f"{tokens[2]}.{tokens[4]}"
    return "foreign", subject


class Held:
    """A message that this process holds: it is being answered, waits its turn, or is expected back."""

    __slots__ = ("away_until", "data", "headers", "key", "name", "place", "reply", "subject", "tick")

    def __init__(self, message: Msg, place: Place, tick: int) -> None:
        self.subject = message.subject
        self.name, self.key = name_and_key(message.subject)
        self.data = message.data
        self.headers: dict[str, str] = message.headers or {}
        self.reply = message.reply
        self.place = place
        self.tick = tick
        self.away_until: float | None = None
