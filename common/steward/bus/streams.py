"""Streams, buckets and consumers as data: what the server must have for the bus to work."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from steward.errors import ConfigurationError
from steward.events.base import Event
from steward.events.subjects import ROOT, subject_filter
from steward.jsonvalue import Json, JsonObject

DEAD_LETTER_ROOT = "steward.dead-letters"
RESULTS_ROOT = "steward.results"
CONSUMER_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")


def nanoseconds(duration: timedelta | None) -> int:
    """`duration` as JetStream counts; None is 0, which means without limit."""
    return 0 if duration is None else round(duration.total_seconds() * 1_000_000) * 1_000


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream. A limit that is None is no limit."""

    name: str
    subjects: tuple[str, ...]
    description: str = ""
    max_age: timedelta | None = None
    max_bytes: int | None = None
    max_messages_per_subject: int | None = None
    duplicate_window: timedelta = timedelta(minutes=2)
    replicas: int | None = None

    def config(self, replicas: int) -> JsonObject:
        """The stream as the JetStream API writes it; `replicas` is for a spec that names no number of its own."""
        return {
            "name": self.name,
            "description": self.description,
            "subjects": list(self.subjects),
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "max_age": nanoseconds(self.max_age),
            "max_bytes": self.max_bytes or -1,
            "max_msgs_per_subject": self.max_messages_per_subject or -1,
            "duplicate_window": nanoseconds(self.duplicate_window),
            "num_replicas": self.replicas or replicas,
            "allow_direct": True,
        }


@dataclass(frozen=True, slots=True)
class KeyValueSpec:
    """A key-value bucket: a stream in which each key keeps its last value."""

    bucket: str
    description: str = ""
    replicas: int | None = None

    @property
    def name(self) -> str:
        """Name of the stream beneath."""
        return f"KV_{self.bucket}"

    def config(self, replicas: int) -> JsonObject:
        """The bucket as the JetStream API writes it."""
        return {
            "name": self.name,
            "description": self.description,
            "subjects": [f"$KV.{self.bucket}.>"],
            "retention": "limits",
            "storage": "file",
            # A full bucket must refuse, never forget an older key.
            "discard": "new",
            "max_age": 0,
            "max_bytes": -1,
            "max_msgs_per_subject": 1,
            "num_replicas": self.replicas or replicas,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_msg_ttl": True,
        }


@dataclass(frozen=True, slots=True)
class ObjectStoreSpec:
    """An object store: reports and logs, in chunks."""

    bucket: str
    description: str = ""
    max_age: timedelta | None = None
    replicas: int | None = None

    @property
    def name(self) -> str:
        """Name of the stream beneath."""
        return f"OBJ_{self.bucket}"

    def config(self, replicas: int) -> JsonObject:
        """The store as the JetStream API writes it."""
        return {
            "name": self.name,
            "description": self.description,
            "subjects": [f"$O.{self.bucket}.C.>", f"$O.{self.bucket}.M.>"],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_age": nanoseconds(self.max_age),
            "max_bytes": -1,
            "num_replicas": self.replicas or replicas,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
        }


class Start(StrEnum):
    """Where a consumer that did not exist before begins."""

    NEW = "new"
    ALL = "all"
    LATEST = "last_per_subject"
    """The last of each subject, then what comes: how things stand, rather than how they came to."""


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable consumer: the place in a stream that a name has reached, shared by all who use the name.

    `max_deliver` counts every delivery, also after a `Retry`; the event that fails its last one goes to the dead
    letters. The server itself is never told to stop, because it would stop in silence.
    """

    name: str
    filters: tuple[str, ...]
    stream: str = "STEWARD_EVENTS"
    description: str = ""
    start: Start = Start.NEW
    ack_wait: timedelta = timedelta(seconds=30)
    max_deliver: int = 16
    max_ack_pending: int = 1000

    def __post_init__(self) -> None:
        if not CONSUMER_NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be a consumer's name: use letters, digits, '_' and '-', at most 128"
            )
        if not self.filters:
            raise ConfigurationError(f"consumer {self.name!r} listens to nothing: give at least one subject")
        if self.ack_wait < timedelta(seconds=1) or self.max_deliver < 1 or self.max_ack_pending < 1:
            raise ConfigurationError(
                f"consumer {self.name!r}: ack_wait is at least 1 s, max_deliver and max_ack_pending at least 1"
            )

    def config(self, replicas: int) -> JsonObject:  # noqa: ARG002 - a consumer has the replicas of its stream
        """The consumer as the JetStream API writes it."""
        filters: list[Json] = list(self.filters)
        return {
            "name": self.name,
            "durable_name": self.name,
            "description": self.description,
            "filter_subjects": filters,
            "deliver_policy": self.start.value,
            "ack_policy": "explicit",
            "ack_wait": nanoseconds(self.ack_wait),
            "max_deliver": -1,
            "max_ack_pending": self.max_ack_pending,
        }


StoreSpec = StreamSpec | KeyValueSpec | ObjectStoreSpec


def filters_for(events: Sequence[type[Event]], *, cluster: str = "*") -> tuple[str, ...]:
    """The subjects of `events` of `cluster`, whatever their key."""
    return tuple(subject_filter(event.name, cluster=cluster) for event in events)


EVENTS = StreamSpec(
    name="STEWARD_EVENTS",
    subjects=(f"{ROOT}.>",),
    description="What happened to the meshes, for anybody to react to.",
    max_age=timedelta(days=30),
    # An event published again after a long outage must still be recognised.
    duplicate_window=timedelta(hours=2),
)
RESULTS = StreamSpec(
    name="STEWARD_RESULTS",
    subjects=(f"{RESULTS_ROOT}.>",),
    description="Fine-grained measurements.",
    max_age=timedelta(days=14),
)
DEAD_LETTERS = StreamSpec(
    name="STEWARD_DEAD_LETTERS",
    subjects=(f"{DEAD_LETTER_ROOT}.>",),
    description="Events that a handler rejected or could not manage, with the reason.",
    max_age=timedelta(days=90),
    duplicate_window=timedelta(hours=2),
)
LOCKS = KeyValueSpec(bucket="steward-locks", description="Who leads, one key a lock.")
EVIDENCE = ObjectStoreSpec(
    bucket="steward-evidence", description="Reports and logs that events refer to.", max_age=timedelta(days=90)
)
STORES: tuple[StoreSpec, ...] = (EVENTS, RESULTS, DEAD_LETTERS, LOCKS, EVIDENCE)
