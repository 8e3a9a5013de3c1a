"""What the inbound half of one proxy is given, bundled."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from steward.clock import Clock
from steward.testing.dataplane.config import InboundServer, ProxySettings, Timings
from steward.testing.dataplane.faults import Fault, Faults
from steward.testing.dataplane.proxy.application import Reach
from steward.testing.dataplane.proxy.metrics import ProxyMetrics
from steward.testing.dataplane.proxy.ports import Credentials
from steward.testing.dataplane.proxy.taps import Taps
from steward.testing.dataplane.proxy.tracing import Tracing

_KEPT = 2000
Policy = Callable[[int], InboundServer]
"""What is in force for a port at this moment."""


@dataclass(slots=True)
class ProxyLog:
    """What the proxy's container writes; what is too old is rotated away."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def write(self, line: str) -> None:
        """One line."""
        self.lines.append(line)

    def written(self) -> str:
        """All of it, as a log is read."""
        return "".join(f"{line}\n" for line in self.lines)


@dataclass(frozen=True, slots=True)
class InboundContext:
    """`reach` leads to the application inside of the pod."""

    settings: ProxySettings
    credentials: Credentials
    policy: Policy
    reach: Reach
    metrics: ProxyMetrics
    clock: Clock
    timings: Timings
    faults: Faults
    log: ProxyLog = field(default_factory=ProxyLog)
    tracing: Tracing | None = None
    taps: Taps | None = None

    def broken(self, fault: Fault) -> bool:
        """Whether this proxy has the fault."""
        return self.faults.on(fault, self.settings)
