"""Faults on demand: what an API server under stress, or the network before it, does to its clients."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from steward.jsonvalue import Json


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Json = None
    content_type: str = ""
    agent: str = ""
    user: str = ""

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self.method not in ("GET", "HEAD")

    @property
    def watches(self) -> bool:
        """Whether the answer has no end."""
        return self.query.get("watch", "") in ("1", "true", "True")


@dataclass(frozen=True, slots=True)
class Delay:
    """Answer, but only after this long."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error. `plain` sends the message as text, as the real throttle does."""

    code: int
    reason: str = ""
    message: str = "injected"
    retry_after: int | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection: before the request is carried out, or after it (done, but the answer is lost)."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer, and do nothing (or, with `after`, only after the request was carried out)."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Accept a watch and never send a byte on it."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer 200 with something that is not JSON, as a proxy in between may."""

    body: bytes = b"<html>welcome</html>"


Fault: TypeAlias = Delay | Refuse | Reset | Hang | HalfOpen | Garbage

THROTTLED = Refuse(429, "TooManyRequests", "Too many requests, please try again later.", retry_after=1, plain=True)
EXPIRED = Refuse(410, "Expired", "too old resource version: 1 (2)")
BROKEN = Refuse(500, "InternalError", "Internal error occurred: etcdserver: request timed out")


@dataclass(slots=True)
class Injected:
    """One fault with the requests it is meant for; `hits` counts those that met it."""

    fault: Fault
    method: str = ""
    path: str = ""
    agent: str = ""
    watch: bool | None = None
    times: int | None = 1
    skip: int = 0
    hits: int = 0

    def meets(self, asked: Asked) -> bool:
        """Whether this request meets the fault, counting down."""
        if self.times is not None and self.hits >= self.times:
            return False
        if not self._is_meant(asked):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True

    def _is_meant(self, asked: Asked) -> bool:
        if self.method and asked.method not in self.method.split(","):
            return False
        if self.watch is not None and asked.watches is not self.watch:
            return False
        if self.agent and self.agent != asked.agent:
            return False
        return not self.path or bool(re.search(self.path, asked.path))


@dataclass(slots=True)
class Faults:
    """What is going to go wrong."""

    injected: list[Injected] = field(default_factory=list)

    def add(self, fault: Fault, **when: "str | int | bool | None") -> Injected:
        """Inject `fault` for the next matching request: `method`, `path` (a pattern), `agent`, `watch`, `times`,
        `skip`."""
        one = Injected(fault, **when)  # type: ignore[arg-type]  # the dataclass checks the names
        self.injected.append(one)
        return one

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.injected.clear()

    def met_by(self, asked: Asked) -> Iterator[Fault]:
        """Every fault this request meets."""
        for one in tuple(self.injected):
            if one.meets(asked):
                yield one.fault


@dataclass(frozen=True, slots=True)
class WriteMoment:
    """Just before or just after a mutating request was carried out; `code` is its answer, 0 before."""

    stage: Literal["before", "after"]
    method: str
    path: str
    body: Json
    code: int = 0


WriteHook: TypeAlias = Callable[[WriteMoment], Awaitable[None] | None]
"""May raise ConnectionResetError: before, the write does not happen; after, its answer is lost."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write as it was answered."""

    method: str
    path: str
    query: dict[str, str]
    body: Json
    code: int
    agent: str
    user: str
    version: int
    """The store's version after it."""
