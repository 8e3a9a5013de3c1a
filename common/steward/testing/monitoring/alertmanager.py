"""A private Alertmanager: the real one, on loopback, off any cluster, with a store of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from steward.jsonvalue import JsonObject, dig, rows, text, texts
from steward.testing.monitoring.daemon import Daemon
from steward.testing.monitoring.debian import ASSETS
from steward.testing.monitoring.tools import Generation, MonitoringTools


@dataclass(frozen=True, slots=True)
class HeldAlert:
    """An alert as Alertmanager holds it."""

    labels: dict[str, str] = field(hash=False)
    annotations: dict[str, str] = field(hash=False)
    state: str
    """`unprocessed`, `active` or `suppressed`."""
    receivers: tuple[str, ...]
    silenced_by: tuple[str, ...]
    """The silences, by id."""
    inhibited_by: tuple[str, ...]
    """The alerts, by fingerprint."""


class Alertmanager(Daemon):
    """One private Alertmanager with the configuration that is given in YAML, or with a file of somebody else's."""

    def __init__(self, tools: MonitoringTools, configuration: str | Path, *, flags: Sequence[str] = ()) -> None:
        super().__init__("alertmanager")
        self._tools = tools
        self._configuration = configuration
        self._flags = tuple(flags)

    @property
    def configuration_file(self) -> Path:
        """What it is started with."""
        given = self._configuration
        return given if isinstance(given, Path) else self._folder / "alertmanager.yaml"

    def configure(self, configuration: str | Path) -> None:
        """Another configuration, from the next reload or start on."""
        self._configuration = configuration

    async def fire(self, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> None:
        """Post an alert as Prometheus does, which is the fast way to a notification."""
        await self._say({"labels": dict(labels), "annotations": dict(annotations or {})})

    async def resolve(self, labels: Mapping[str, str], at: datetime) -> None:
        """Post that the alert of these labels ended at a time, which must not lie in the future."""
        await self._say({"labels": dict(labels), "endsAt": at.isoformat()})

    async def alerts(self) -> tuple[HeldAlert, ...]:
        """What it holds, silenced and inhibited alerts included."""
        answer = await self.get("/api/v2/alerts")
        return tuple(_held(row) for row in rows({"alerts": answer}, "alerts"))

    async def _say(self, alert: JsonObject) -> None:
        await self.post("/api/v2/alerts", [alert])

    def _argv(self) -> Sequence[str]:
        return [
            str(self._tools.alertmanager),
            f"--config.file={self.configuration_file}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            f"--storage.path={self._folder / 'store'}",
            *self._flags,
        ]

    def _write_configuration(self) -> None:
        if isinstance(self._configuration, str):
            self.configuration_file.write_text(self._configuration)
        assets = self._folder / ASSETS
        if self._tools.generation is Generation.OLD and not assets.exists():
            assets.symlink_to(self._tools.directory / ASSETS)


def _held(row: JsonObject) -> HeldAlert:
    return HeldAlert(
        labels=texts(row, "labels"),
        annotations=texts(row, "annotations"),
        state=text(row, "status", "state"),
        receivers=tuple(text(receiver, "name") for receiver in rows(row, "receivers")),
        silenced_by=_ids(row, "silencedBy"),
        inhibited_by=_ids(row, "inhibitedBy"),
    )


def _ids(row: JsonObject, name: str) -> tuple[str, ...]:
    found = dig(row, "status", name)
    return tuple(str(each) for each in found) if isinstance(found, list) else ()
