"""Switches that break one behaviour of the simulated data plane, everywhere or only somewhere.

What can be broken is declared beside the code that obeys it (`proxy/outbound_faults.py` and its siblings), each a
`Fault` with a stable name and a sentence; `Faults` knows which of them are on, and where.

    faults.switch_on(NO_RETRIES, Scope(namespace="shop"))
    if faults.on(NO_RETRIES, settings): ...
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fault:
    """One behaviour that can be broken by itself."""

    name: str
    meaning: str


class Place(Protocol):
    """Where a proxy or a pod is; `config.ProxySettings` is one."""

    @property
    def pod(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def node(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Members that are given must fit; none given is everywhere. A pod is named exactly or by the start of its name."""

    pod: str = ""
    namespace: str = ""
    node: str = ""

    def covers(self, place: Place) -> bool:
        """Whether the place lies within."""
        pod = not self.pod or place.pod == self.pod or place.pod.startswith(self.pod + "-")
        namespace = not self.namespace or place.namespace == self.namespace
        return pod and namespace and (not self.node or place.node == self.node)


EVERYWHERE = Scope()
_A_WHILE = timedelta(milliseconds=400)


class Faults:
    """Which faults are on. Shared by all parts of one data plane; nothing is broken at first."""

    def __init__(self) -> None:
        self._on: dict[Fault, dict[Scope, timedelta]] = {}
        self.listeners: list[Callable[[], None]] = []
        """Told of every switch."""

    def switch_on(self, fault: Fault, scope: Scope = EVERYWHERE, *, delay: timedelta = _A_WHILE) -> None:
        """Break it within the scope. `delay` is for faults that make something late."""
        self._on.setdefault(fault, {})[scope] = delay
        self._tell()

    def switch_off(self, fault: Fault, scope: Scope | None = None) -> None:
        """Mend it in one scope, or wherever it is broken."""
        if scope is None:
            self._on.pop(fault, None)
        else:
            self._on.get(fault, {}).pop(scope, None)
        self._tell()

    def clear(self) -> None:
        """Mend everything."""
        self._on.clear()
        self._tell()

    def on(self, fault: Fault, place: Place) -> bool:
        """Whether the fault is on at this place."""
        # Asked for every figure of every request, and mostly nothing is broken at all.
        scopes = self._on.get(fault) if self._on else None
        return scopes is not None and any(scope.covers(place) for scope in scopes)

    def anywhere(self, fault: Fault) -> bool:
        """Whether the fault is on at any place at all."""
        return bool(self._on.get(fault))

    def delay(self, fault: Fault, place: Place) -> timedelta:
        """How late the fault makes things here; nothing where it is off."""
        scopes = self._on.get(fault, {})
        return max((delay for scope, delay in scopes.items() if scope.covers(place)), default=timedelta(0))

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()
