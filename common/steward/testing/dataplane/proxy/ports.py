"""What the outbound and inbound proxies ask of those who run them: figures, discovery, connections."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from steward.testing.dataplane.config import OutboundTarget
from steward.testing.dataplane.proxy.stream import Stream
from steward.testing.dataplane.proxy.tls import Identity


class Metrics(Protocol):
    """The registry of one proxy. Names are the exposed ones (`…_total`; a histogram without `_bucket`).

    Which families exist, of which kind, with which labels and buckets, is told by `families.FAMILIES`.
    """

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter; an amount of 0 makes the series appear."""
        ...

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Add an observation to a histogram, in the unit of its name."""
        ...

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        ...

    def shift(self, name: str, by: float, /, **labels: str) -> None:
        """Move a gauge up or down."""
        ...


class Discovery(Protocol):
    """A watch of what the control plane says about one address."""

    @property
    def current(self) -> OutboundTarget:
        """What is known, even when the control plane went away since. A new object whenever anything changed."""
        ...

    async def changed(self, seen: OutboundTarget) -> OutboundTarget:
        """Return `current` as soon as it is another object than `seen`; may wait for ever."""
        ...

    def close(self) -> None:
        """Nobody is interested any more."""
        ...


Discover = Callable[[str, int], Awaitable[Discovery | None]]
"""Hangs while the control plane is down. None: the address is not known to it, the connection goes there as it is."""

Locate = Callable[[str], str]
"""The ClusterIP of a Service by its full name; nothing where there is none."""

Connect = Callable[[str, int], Awaitable[Stream]]
"""A connection from this pod; raises `exchange.ConnectFailed`."""

Credentials = Callable[[], Identity | None]
"""The certificate in force; None before the first one was issued."""
