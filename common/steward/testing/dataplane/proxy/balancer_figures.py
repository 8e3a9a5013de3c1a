"""The families of one balancer, under its labels."""

from collections.abc import Mapping

from steward.testing.dataplane.proxy.outbound_context import OutboundContext


class BalancerFigures:
    """`prefix` is `outbound_http_balancer` or the like. All series exist from the first moment."""

    def __init__(self, context: OutboundContext, prefix: str, labels: Mapping[str, str]) -> None:
        self._metrics = context.metrics
        self._clock = context.clock
        self._prefix = prefix
        self._labels = dict(labels)
        self._gauge("queue_gate_timeout_seconds", context.timings.failfast.total_seconds())
        for gate in ("open", "shut"):
            self._count(f"queue_gate_{gate}_total", 0)
            self._gauge(f"queue_gate_{gate}_time_seconds", 0)
        self._count("queue_requests_total", 0)
        self._gauge("queue_length", 0)
        for op in ("Add", "Remove", "Reset", "Clear"):
            self._count("p2c_updates_total", 0, op=op)
        self.opened()
        self.endpoints(ready=0, pending=0)

    def opened(self) -> None:
        """There is an endpoint to be had."""
        self._gate("open")

    def shut(self) -> None:
        """Failing fast from here on."""
        self._gate("shut")

    def endpoints(self, *, ready: int, pending: int) -> None:
        """How many there are of either kind."""
        self._gauge("endpoints", ready, endpoint_state="ready")
        self._gauge("endpoints", pending, endpoint_state="pending")
        self._gauge("p2c_endpoints", ready + pending)

    def updated(self, op: str) -> None:
        """Discovery said something."""
        self._count("p2c_updates_total", 1, op=op)

    def queued(self, length: int) -> None:
        """A request arrived."""
        self._count("queue_requests_total", 1)
        self._gauge("queue_length", length)

    def dispatched(self, length: int, waited: float) -> None:
        """A request left the queue, for an endpoint or not."""
        self._gauge("queue_length", length)
        self._metrics.observe(f"{self._prefix}_queue_latency_seconds", waited, **self._labels)

    def _gate(self, which: str) -> None:
        self._count(f"queue_gate_{which}_total", 1)
        self._gauge(f"queue_gate_{which}_time_seconds", self._clock.now().timestamp())

    def _count(self, name: str, amount: float, **more: str) -> None:
        self._metrics.count(f"{self._prefix}_{name}", amount, **self._labels, **more)

    def _gauge(self, name: str, value: float, **more: str) -> None:
        self._metrics.gauge(f"{self._prefix}_{name}", value, **self._labels, **more)
