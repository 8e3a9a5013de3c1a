"""What the bus counts. The SDK itself measures nothing; a service overrides these and plugs in Prometheus."""


class BusMetrics:
    """Told of everything worth counting. `event` is an event's name, `consumer` a durable's: both are bounded."""

    def connected(self, *, up: bool) -> None:
        """The connection came up or went down."""

    def reconnected(self) -> None:
        """The connection came back."""

    def published(self, event: str, *, duplicate: bool) -> None:
        """An event is stored; `duplicate` when the stream had it already."""

    def publish_retried(self, event: str, reason: str) -> None:
        """A publish went unanswered or was turned away, and is tried again."""

    def delivered(self, consumer: str, event: str) -> None:
        """A handler is about to get an event."""

    def acked(self, consumer: str, event: str) -> None:
        """A handler is done with an event."""

    def retried(self, consumer: str, event: str) -> None:
        """An event will be delivered again: a handler asked for it, or failed."""

    def rejected(self, consumer: str, event: str) -> None:
        """A handler rejected an event for good."""

    def dead_lettered(self, consumer: str, event: str) -> None:
        """An event went to the dead letters, for whatever reason."""

    def skipped(self, consumer: str, event: str, reason: str) -> None:
        """An event was acknowledged without asking a handler: `unknown`, `replay` or `repeated`."""

    def handled(self, consumer: str, event: str, seconds: float) -> None:
        """How long a handler took, whatever it answered."""
