"""What every part of the outbound half needs, together."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random

from steward.clock import Clock
from steward.testing.dataplane.config import ProxySettings, Timings
from steward.testing.dataplane.faults import Fault, Faults
from steward.testing.dataplane.proxy.ports import Connect, Credentials, Metrics
from steward.testing.dataplane.proxy.tracing import Tracing

_HANDSHAKE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class OutboundContext:
    """One proxy's surroundings. `chance` is its only source of randomness."""

    settings: ProxySettings
    identity: Credentials
    connect: Connect
    metrics: Metrics
    clock: Clock
    timings: Timings
    faults: Faults
    chance: Random
    tracing: Tracing | None = None

    def broken(self, fault: Fault) -> bool:
        """Whether a fault is on in this pod."""
        return self.faults.on(fault, self.settings)

    @property
    def patience(self) -> float:
        """Seconds that a connection may take to come about. Cryptography is not scaled down with the other waits."""
        return max(self.timings.failfast, _HANDSHAKE).total_seconds()

    def backoff(self, attempt: int) -> timedelta:
        """How long to wait before another connection is tried: a thirtieth of failfast, doubled each time."""
        return self.timings.failfast / 30 * (1 << min(attempt, 5))
