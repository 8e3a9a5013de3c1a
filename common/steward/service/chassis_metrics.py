"""What the chassis measures for every service: the bus, the API server, the event loop."""

from dataclasses import dataclass
from datetime import timedelta

from steward.bus.metrics import BusMetrics
from steward.service.instruments import Instruments, Metric, counter, gauge, histogram


@dataclass(frozen=True, slots=True)
class ChassisMetrics:
    """The metrics of one service's chassis; every name carries the service's name."""

    bus_connected: Metric
    bus_reconnects: Metric
    published: Metric
    publish_retries: Metric
    handled: Metric
    skipped: Metric
    handler_seconds: Metric
    requests: Metric
    request_retries: Metric
    loop_lag: Metric
    build: Metric

    @classmethod
    def of(cls, service: str) -> "ChassisMetrics":
        """The metrics of `service`, for example `version-watcher`."""
        prefix = f"steward_{service.replace('-', '_')}"
        return cls(
            bus_connected=gauge(f"{prefix}_bus_connected", "1 while the connection to NATS is up."),
            bus_reconnects=counter(f"{prefix}_bus_reconnects_total", "Times the connection to NATS came back."),
            published=counter(
                f"{prefix}_events_published_total",
                "Events stored; duplicate=true were stored before.",
                "event",
                "duplicate",
            ),
            publish_retries=counter(
                f"{prefix}_event_publish_retries_total", "Publishes that were tried again.", "event", "reason"
            ),
            handled=counter(
                f"{prefix}_events_handled_total",
                "Deliveries by what became of them: acked, retried, rejected or dead_lettered.",
                "consumer",
                "event",
                "answer",
            ),
            skipped=counter(
                f"{prefix}_events_skipped_total",
                "Events acknowledged without asking a handler.",
                "consumer",
                "event",
                "reason",
            ),
            handler_seconds=histogram(
                f"{prefix}_event_handler_seconds", "How long handlers took.", "consumer", "event"
            ),
            requests=histogram(
                f"{prefix}_kubernetes_request_seconds",
                "Requests to the API server; code 0 means that no answer came.",
                "method",
                "resource",
                "code",
            ),
            request_retries=counter(
                f"{prefix}_kubernetes_request_retries_total",
                "Requests to the API server that were sent again.",
                "method",
                "resource",
                "reason",
            ),
            loop_lag=gauge(f"{prefix}_event_loop_lag_seconds", "How late the event loop ran its last timer."),
            build=gauge(f"{prefix}_build_info", "1, labelled with the version of Steward.", "version"),
        )

    def all(self) -> tuple[Metric, ...]:
        """Every metric, in the order of the documentation."""
        return (
            self.bus_connected,
            self.bus_reconnects,
            self.published,
            self.publish_retries,
            self.handled,
            self.skipped,
            self.handler_seconds,
            self.requests,
            self.request_retries,
            self.loop_lag,
            self.build,
        )


@dataclass(frozen=True, slots=True)
class MeasuredBus(BusMetrics):
    """Counts what the bus tells (steward.bus.metrics.BusMetrics)."""

    instruments: Instruments
    metrics: ChassisMetrics

    def connected(self, *, up: bool) -> None:
        """The connection came up or went down."""
        self.instruments.set(self.metrics.bus_connected, 1 if up else 0)

    def reconnected(self) -> None:
        """The connection came back."""
        self.instruments.count(self.metrics.bus_reconnects)

    def published(self, event: str, *, duplicate: bool) -> None:
        """An event is stored."""
        self.instruments.count(self.metrics.published, event, "true" if duplicate else "false")

    def publish_retried(self, event: str, reason: str) -> None:
        """A publish is tried again."""
        self.instruments.count(self.metrics.publish_retries, event, reason)

    def delivered(self, consumer: str, event: str) -> None:
        """Counted by its answer instead: every delivery gets exactly one."""

    def acked(self, consumer: str, event: str) -> None:
        """A handler is done with an event."""
        self.instruments.count(self.metrics.handled, consumer, event, "acked")

    def retried(self, consumer: str, event: str) -> None:
        """An event will be delivered again."""
        self.instruments.count(self.metrics.handled, consumer, event, "retried")

    def rejected(self, consumer: str, event: str) -> None:
        """A handler rejected an event for good."""
        self.instruments.count(self.metrics.handled, consumer, event, "rejected")

    def dead_lettered(self, consumer: str, event: str) -> None:
        """An event went to the dead letters."""
        self.instruments.count(self.metrics.handled, consumer, event, "dead_lettered")

    def skipped(self, consumer: str, event: str, reason: str) -> None:
        """An event was acknowledged without asking a handler."""
        self.instruments.count(self.metrics.skipped, consumer, event, reason)

    def handled(self, consumer: str, event: str, seconds: float) -> None:
        """How long a handler took."""
        self.instruments.observe(self.metrics.handler_seconds, seconds, consumer, event)


@dataclass(frozen=True, slots=True)
class MeasuredKube:
    """Counts what the Kubernetes layer tells (steward.kube.metrics.RequestObserver)."""

    instruments: Instruments
    metrics: ChassisMetrics

    def on_answer(self, method: str, resource: str, code: int, took: timedelta) -> None:
        """An answer came; `code` is 0 where none did."""
        self.instruments.observe(self.metrics.requests, took.total_seconds(), method, resource, str(code))

    def on_retry(self, method: str, resource: str, reason: str) -> None:
        """The same request is about to be sent again."""
        self.instruments.count(self.metrics.request_retries, method, resource, reason)
