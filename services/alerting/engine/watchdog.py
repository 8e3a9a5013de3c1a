"""Notices on our side that alerts do not get through: the one that always fires does not come back."""

from collections.abc import Callable
from datetime import datetime, timedelta

from services.alerting.engine.hearing import Hearing
from services.alerting.metrics import WATCHDOG_SILENT
from steward.alerting.own_alerts import ALERTING_SILENT, Posted
from steward.alerting.standing import Post
from steward.alerting.webhook import Status, TellingAlert, fingerprint
from steward.bus.errors import BusClosed, BusError
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import MonitoringError
from steward.service.chassis import Chassis


class Watchdog:
    """Waits for the Watchdog. `expected` says whether a rule is in force by which it should fire."""

    def __init__(
        self,
        chassis: Chassis,
        hearing: Hearing,
        alertmanager: Alertmanager,
        namespace: str,
        expected: Callable[[], bool],
    ) -> None:
        self._clock = chassis.clock
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._hearing = hearing
        self._alertmanager = alertmanager
        self._expected = expected
        self._alert: Posted = ALERTING_SILENT.about(
            namespace,
            "alerts do not get through",
            "The alert that always fires does not come back through Alertmanager: nobody would be told of any other.",
        )
        self._waiting_since: datetime | None = None
        self._silent_since: datetime | None = None

    async def watch(self, patience: timedelta, every: timedelta, ends_after: timedelta) -> None:
        """Until cancelled."""
        while True:
            await self._look(patience, ends_after)
            await self._clock.sleep(every)

    async def _look(self, patience: timedelta, ends_after: timedelta) -> None:
        now = self._clock.now()
        if not self._expected():
            self._waiting_since = None
            return
        self._waiting_since = self._waiting_since or now
        seen = self._hearing.watchdog_seen
        heard = self._waiting_since if seen is None else max(self._waiting_since, seen)
        silent = now - heard > patience
        self._instruments.set(WATCHDOG_SILENT, float(silent))
        if silent:
            if self._silent_since is None:
                self._silent_since = now
                self._log.error("alerts do not get through: the Watchdog does not come back", last=heard.isoformat())
            await self._tell(self._silent_since, None, now + ends_after)
        elif self._silent_since is not None:
            since, self._silent_since = self._silent_since, None
            self._log.info("the Watchdog comes back")
            await self._tell(since, now, now)

    async def _tell(self, since: datetime, until: datetime | None, lives_until: datetime) -> None:
        """Alertmanager may work, and only Prometheus not; the bus may work where neither does."""
        try:
            await self._alertmanager.post([Post(self._alert, since, lives_until).to_json()])
        except MonitoringError as error:
            self._log.warning("Alertmanager could not be told either", error=str(error))
        labels = self._alert.labels
        status = Status.FIRING if until is None else Status.RESOLVED
        said = TellingAlert(fingerprint(labels), status, labels, self._alert.annotations, since, until)
        try:
            await self._hearing.say_ourselves(said)
        except BusClosed:
            raise
        except BusError as error:
            self._log.warning("events wait for NATS", error=str(error))
