"""A private Prometheus: the real one, on loopback, with a store of its own, thrown away afterwards."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from steward.jsonvalue import JsonObject, dig, rows, text, texts
from steward.testing.monitoring.daemon import Daemon
from steward.testing.monitoring.tools import MonitoringTools

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StaticJob:
    """Something to scrape at fixed addresses."""

    name: str
    targets: tuple[str, ...]
    """Host and port of each."""
    labels: tuple[tuple[str, str], ...] = ()
    path: str = "/metrics"

    def render(self) -> JsonObject:
        """The job as a member of `scrape_configs`."""
        static: JsonObject = {"targets": list(self.targets), "labels": dict(self.labels)}
        return {"job_name": self.name, "metrics_path": self.path, "static_configs": [static]}


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """What a private Prometheus scrapes, evaluates and tells."""

    jobs: tuple[StaticJob, ...] = ()
    rules: Path | None = None
    """A folder; its `*.yaml` and `*.yml` are rule files."""
    alertmanagers: tuple[str, ...] = ()
    """URLs, such as that of a private Alertmanager."""
    document: str = ""
    """A whole configuration of one's own, in YAML, instead of the one that the fields above make."""
    scrape_interval: timedelta = _SECOND
    evaluation_interval: timedelta = _SECOND
    external_labels: tuple[tuple[str, str], ...] = ()
    retention: timedelta = timedelta(hours=6)
    resend_delay: timedelta = 2 * _SECOND
    """An alert that fires before Prometheus has found its Alertmanagers, in the first five seconds, waits this long."""
    flags: tuple[str, ...] = ()
    """Further flags of the command line."""

    def render(self) -> str:
        """The configuration file. JSON is YAML."""
        if self.document:
            return self.document
        interval: JsonObject = {
            "scrape_interval": _duration(self.scrape_interval),
            "scrape_timeout": _duration(self.scrape_interval),
            "evaluation_interval": _duration(self.evaluation_interval),
            "external_labels": dict(self.external_labels),
        }
        files = [str(self.rules.resolve() / pattern) for pattern in ("*.yaml", "*.yml")] if self.rules else []
        configuration: JsonObject = {
            "global": interval,
            "scrape_configs": [job.render() for job in self.jobs],
            "rule_files": list(files),
            "alerting": {"alertmanagers": [_alertmanager(url) for url in self.alertmanagers]},
        }
        return json.dumps(configuration, indent=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query, with its value."""

    labels: dict[str, str] = field(hash=False)
    value: float


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as Prometheus holds it."""

    labels: dict[str, str] = field(hash=False)
    annotations: dict[str, str] = field(hash=False)
    state: str
    """`pending` or `firing`."""

    @property
    def name(self) -> str:
        """That of its rule."""
        return self.labels.get("alertname", "")


class Prometheus(Daemon):
    """One private Prometheus. Entering the context starts it, leaving ends it and deletes its store."""

    def __init__(self, tools: MonitoringTools, options: PrometheusOptions | None = None) -> None:
        super().__init__("prometheus")
        self._tools = tools
        self._options = options or PrometheusOptions()

    def configure(self, options: PrometheusOptions) -> None:
        """Other options: those of the file from the next reload or start on, those of the command line from a start."""
        self._options = options

    def write_configuration(self, document: str = "") -> None:
        """Write its configuration file without a reload; by default the one that its options make."""
        (self._folder / "prometheus.yaml").write_text(document or self._options.render())

    async def query(self, promql: str, at: datetime | None = None) -> tuple[Sample, ...]:
        """The series of an instant vector, now or at a time."""
        asked = {"query": promql} if at is None else {"query": promql, "time": at.isoformat()}
        answer = await self.get("/api/v1/query", asked)
        return tuple(
            Sample(texts(row, "metric"), float(str(dig(row, "value", 1)))) for row in rows(answer, "data", "result")
        )

    async def alerts(self) -> tuple[Alert, ...]:
        """What is pending or firing."""
        answer = await self.get("/api/v1/alerts")
        return tuple(
            Alert(texts(row, "labels"), texts(row, "annotations"), text(row, "state"))
            for row in rows(answer, "data", "alerts")
        )

    async def rules(self) -> tuple[str, ...]:
        """The names of the rules that are loaded, in the order of their groups."""
        answer = await self.get("/api/v1/rules")
        return tuple(text(rule, "name") for group in rows(answer, "data", "groups") for rule in rows(group, "rules"))

    def _argv(self) -> Sequence[str]:
        options = self._options
        return [
            str(self._tools.prometheus),
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--web.listen-address={self.address}",
            "--web.enable-lifecycle",
            f"--storage.tsdb.path={self._folder / 'store'}",
            f"--storage.tsdb.retention.time={_duration(options.retention)}",
            f"--rules.alert.resend-delay={_duration(options.resend_delay)}",
            *options.flags,
        ]

    def _write_configuration(self) -> None:
        self.write_configuration()


def _alertmanager(url: str) -> JsonObject:
    scheme, _, address = url.rpartition("://")
    static: JsonObject = {"targets": [address.rstrip("/")]}
    return {"scheme": scheme or "http", "static_configs": [static]}


def _duration(value: timedelta) -> str:
    return f"{value // timedelta(milliseconds=1)}ms"
