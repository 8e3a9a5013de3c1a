"""What is counted about one connection of the outbound side: opened, every byte, closed; and what zones it crosses."""

from steward.testing.dataplane.config import Endpoint
from steward.testing.dataplane.proxy.connection_figures import ConnectionFigures
from steward.testing.dataplane.proxy.outbound_context import OutboundContext


class TransportFigures(ConnectionFigures):
    """`endpoint` is given for connections to servers: only they cost something between zones."""

    def __init__(self, context: OutboundContext, labels: dict[str, str], endpoint: Endpoint | None = None) -> None:
        super().__init__(context.metrics, labels)
        self._locality = _locality(context.settings.zone, endpoint) if endpoint is not None else ""
        for op in ("Recv", "Send"):
            self._cost(op, 0)

    def was_read(self, amount: int) -> None:
        """From the peer."""
        super().was_read(amount)
        self._cost("Recv", amount)

    def was_written(self, amount: int) -> None:
        """To the peer."""
        super().was_written(amount)
        self._cost("Send", amount)

    def _cost(self, op: str, amount: int) -> None:
        if self._locality:
            self._metrics.count("outbound_tcp_transfer_cost_bytes_total", amount, op=op, zone_locality=self._locality)


def _locality(own: str, endpoint: Endpoint) -> str:
    if not own or not endpoint.zone:
        return "Unknown"
    return "Local" if own == endpoint.zone else "Remote"
