"""What a look at a source brought: something readable with some problems in it, or the reason for nothing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Source(StrEnum):
    """Where knowledge of releases comes from."""

    VERSION_CHECK = "version-check"
    RELEASE_NOTES = "release-notes"
    HELM_INDEX = "helm-index"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be used; the rest could."""

    about: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """A look that brought nothing. `reached`: the source answered, but with something that cannot be read."""

    reason: str
    message: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A look that brought something."""

    value: T
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """The last look at a source, and the last one that brought something."""

    attempted_at: datetime
    outcome: Read[T] | Nothing
    last: Read[T] | None
    succeeded_at: datetime | None

    @classmethod
    def after(cls, previous: "Look[T] | None", outcome: Read[T] | Nothing, at: datetime) -> "Look[T]":
        """The look that follows `previous`: a failure does not forget what was read before."""
        if isinstance(outcome, Read):
            return cls(at, outcome, outcome, at)
        if previous is None:
            return cls(at, outcome, None, None)
        return cls(at, outcome, previous.last, previous.succeeded_at)


def unreadable(body: bytes, what: str) -> Nothing | None:
    """Why an answer that should be `what` is certainly something else; None where it may be right."""
    if not body.strip():
        return Nothing("EmptyAnswer", f"{what} is empty", reached=True)
    if body.lstrip()[:1] == b"<":
        return Nothing("HtmlAnswer", f"{what} came as a web page: is a proxy or a login page in between?", reached=True)
    return None
