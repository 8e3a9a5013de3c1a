"""What is counted about one connection of the outbound side: opened, every byte, closed; and what zones it crosses."""

from steward.testing.dataplane.config import Endpoint
from steward.testing.dataplane.proxy.outbound_context import OutboundContext


class TransportFigures:
    """A `stream.Meter`. `endpoint` is given for connections to servers: only they cost something between zones."""

    def __init__(self, context: OutboundContext, labels: dict[str, str], endpoint: Endpoint | None = None) -> None:
        self._metrics = context.metrics
        self._labels = labels
        self._locality = _locality(context.settings.zone, endpoint) if endpoint is not None else ""
        self._open = True
        self._metrics.count("tcp_open_total", **labels)
        self._metrics.shift("tcp_open_connections", 1, **labels)
        self.was_read(0)
        self.was_written(0)

    def was_read(self, amount: int) -> None:
        """From the peer."""
        self._metrics.count("tcp_read_bytes_total", amount, **self._labels)
        self._cost("Recv", amount)

    def was_written(self, amount: int) -> None:
        """To the peer."""
        self._metrics.count("tcp_write_bytes_total", amount, **self._labels)
        self._cost("Send", amount)

    def closed(self, errno: str = "") -> None:
        """It is over; only the first time counts."""
        if self._open:
            self._open = False
            self._metrics.shift("tcp_open_connections", -1, **self._labels)
            self._metrics.count("tcp_close_total", errno=errno, **self._labels)

    def _cost(self, op: str, amount: int) -> None:
        if self._locality:
            self._metrics.count("outbound_tcp_transfer_cost_bytes_total", amount, op=op, zone_locality=self._locality)


def _locality(own: str, endpoint: Endpoint) -> str:
    if not own or not endpoint.zone:
        return "Unknown"
    return "Local" if own == endpoint.zone else "Remote"
