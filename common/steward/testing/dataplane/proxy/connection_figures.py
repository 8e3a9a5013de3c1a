"""What is counted about one connection: opened, closed, and every byte."""

from steward.testing.dataplane.proxy.ports import Metrics


class ConnectionFigures:
    """A `stream.Meter` that counts under fixed labels from the moment it exists until it is closed."""

    def __init__(self, metrics: Metrics, labels: dict[str, str]) -> None:
        self._metrics = metrics
        self._labels = labels
        self._open = True
        metrics.count("tcp_open_total", **labels)
        metrics.shift("tcp_open_connections", 1, **labels)
        for name in ("tcp_read_bytes_total", "tcp_write_bytes_total"):
            metrics.count(name, 0, **labels)

    def was_read(self, amount: int) -> None:
        """From the peer."""
        self._metrics.count("tcp_read_bytes_total", amount, **self._labels)

    def was_written(self, amount: int) -> None:
        """To the peer."""
        self._metrics.count("tcp_write_bytes_total", amount, **self._labels)

    def closed(self, errno: str = "") -> None:
        """It is over; only the first time counts."""
        if self._open:
            self._open = False
            self._metrics.shift("tcp_open_connections", -1, **self._labels)
            self._metrics.count("tcp_close_total", errno=errno, **self._labels)
