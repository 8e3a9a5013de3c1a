"""What every event is: a frozen payload of its own type inside a CloudEvents 1.0 envelope.

A payload says what happened and why, in the past tense, and carries enough that the reader need not call back. Within
one version a payload only ever gains optional members; anything else is a new version with a new type.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

TYPE_PREFIX = "io.linkerd.steward."
TYPE_PATTERN = re.compile(r"^io\.linkerd\.steward\.(?P<name>[a-z][a-z-]*)\.v(?P<version>[1-9][0-9]*)$")

Identifier = Annotated[str, Field(min_length=1, max_length=512)]


class Part(BaseModel):
    """A value inside a payload: frozen, camelCase on the wire, blind to members it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class Event(Part):
    """Base of every payload. `name` and `version` make the CloudEvents type and the NATS subject."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type, for example `io.linkerd.steward.new-version.v1`."""
        return f"{TYPE_PREFIX}{cls.name}.v{cls.version}"

    @property
    def key(self) -> tuple[str, ...]:
        """What the event is about, most general first: the tokens of its subject after the event's name."""
        raise TypeError(f"{type(self).__name__} does not say what it is about: define its key")


E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


class Envelope(BaseModel, Generic[E_co]):
    """One event on the wire: a CloudEvents 1.0 event in structured JSON mode.

    `id` is the stable name of the transition that happened: publishing the same transition twice gives the same id, and
    the stream keeps one. `correlationid` names the run, `causationid` the event that led to this one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Identifier
    source: Identifier
    type: Identifier
    subject: Identifier
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    cluster: Identifier
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    data: E_co


@dataclass(frozen=True, slots=True)
class Trail:
    """What ties an event to others: the run it belongs to, the event that led to it, the trace it is part of."""

    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


def enclose(data: E, *, id: str, cluster: str, service: str, time: datetime, trail: Trail | None = None) -> Envelope[E]:
    """Put `data` into its envelope, as `service` of `cluster` says it of `time`."""
    trail = trail or Trail()
    return Envelope[E](
        id=id,
        source=f"/linkerd-steward/{cluster}/{service}",
        type=data.type(),
        subject="/".join(data.key),
        time=time,
        dataschema=f"urn:linkerd-steward:event:{data.name}:v{data.version}",
        cluster=cluster,
        correlationid=trail.correlation_id,
        causationid=trail.causation_id,
        traceparent=trail.traceparent,
        data=data,
    )
