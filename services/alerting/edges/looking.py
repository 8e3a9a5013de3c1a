"""One look at many things, of which some may be refused: what is refused is noted, and the look goes on.

What a passing failure hides is taken from the look before, for a while: an API server that restarts is no change of
what it holds, and an alert that waits for an hour should not begin to wait anew.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from services.alerting.core.exported.unread import Fact, Unread
from steward.clock import Clock
from steward.kube.errors import Forbidden, KubeError, ServerUnavailable, TooManyRequests
from steward.kube.resources import Resource

T = TypeVar("T")

TOO_OLD = timedelta(minutes=30)
"""What was seen longer ago is no picture of the cluster any more."""
_PASSING = (ServerUnavailable, TooManyRequests)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the API server, in the words of RBAC."""

    fact: Fact
    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        if not self.name:
            return f"{self.verb} {self.resource}" + (f" in {self.namespace}" if self.namespace else "")
        return f"{self.verb} {self.resource} " + (f"{self.namespace}/{self.name}" if self.namespace else self.name)


class Memory(Generic[T]):
    """The last answers to questions of one kind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Question, tuple[T, float]] = {}

    def keep(self, question: Question, value: T) -> None:
        """The answer of this moment."""
        self._kept[question] = value, self._clock.monotonic()

    def instead(self, question: Question, error: KubeError) -> T | None:
        """The last answer, where it is still good for one that failed so; a refusal is an answer of its own."""
        value, at = self._kept.get(question, (None, 0.0))
        young = self._clock.monotonic() - at <= TOO_OLD.total_seconds()
        return value if isinstance(error, _PASSING) and young else None


@dataclass(slots=True)
class Look:
    """One look, and what it could not see."""

    unread: list[Unread] = field(default_factory=list)

    async def take(self, memory: Memory[T], question: Question, answer: Awaitable[T]) -> T | None:
        """The answer, or the one before; None where nobody can tell."""
        try:
            value = await answer
        except KubeError as error:
            self.unread.append(unread(question, error))
            return memory.instead(question, error)
        memory.keep(question, value)
        return value


def unread(question: Question, error: KubeError) -> Unread:
    """What a failure means for whoever wanted the answer."""
    return Unread(question.fact, str(error), str(question) if isinstance(error, Forbidden) else "")
