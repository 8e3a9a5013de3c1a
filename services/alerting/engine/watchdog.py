"""Notices on our side that alerts do not get through: the one that always fires does not come back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.alerting.engine.hearing import Hearing
from services.alerting.metrics import WATCHDOG_SILENT
from steward.alerting.own_alerts import ALERTING_SILENT, Posted
from steward.alerting.standing import Post
from steward.alerting.webhook import Status, TellingAlert, fingerprint
from steward.bus.errors import BusClosed, BusError
from steward.errors import StewardError
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import MonitoringError
from steward.service.chassis import Chassis


@dataclass(frozen=True, slots=True)
class Expecting:
    """What there is to know before silence is bad. Both raise `StewardError` where nobody can tell now."""

    due: Callable[[], Awaitable[bool]]
    """Whether a rule is in force by which the Watchdog should fire, and come to us."""
    elsewhere: Callable[[], Awaitable[datetime | None]]
    """When it last came to another replica."""


class Watchdog:
    """Waits for the Watchdog."""

    def __init__(
        self,
        chassis: Chassis,
        hearing: Hearing,
        alertmanager: Alertmanager,
        namespace: str,
        expecting: Expecting,
    ) -> None:
        self._clock = chassis.clock
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._hearing = hearing
        self._alertmanager = alertmanager
        self._expecting = expecting
        self._due = False
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
        heard = await self._heard(now, patience)
        silent = heard is not None and now - heard > patience
        self._instruments.set(WATCHDOG_SILENT, float(silent))
        if heard is not None and silent:
            if self._silent_since is None:
                self._silent_since = now
                self._log.error("alerts do not get through: the Watchdog does not come back", last=heard.isoformat())
            await self._tell(self._silent_since, None, now + ends_after)
        elif self._silent_since is not None:
            since, self._silent_since = self._silent_since, None
            self._log.info("the Watchdog comes back, or nobody waits for it any more")
            await self._tell(since, now, now)

    async def _heard(self, now: datetime, patience: timedelta) -> datetime | None:
        """When it was last heard, or its silence began to count; None while nobody waits for it."""
        if not await self._is_due():
            self._waiting_since = None
            return None
        self._waiting_since = self._waiting_since or now
        heard = max(self._waiting_since, self._hearing.watchdog_seen or self._waiting_since)
        if now - heard <= patience:
            return heard
        try:
            return max(heard, await self._expecting.elsewhere() or heard)
        except StewardError as error:
            # Whether it came to another replica nobody knows now; it is asked again at the next look.
            self._log.warning("nobody knows whether the Watchdog came to another replica", error=str(error))
            return None if self._silent_since is None else heard

    async def _is_due(self) -> bool:
        try:
            self._due = await self._expecting.due()
        except StewardError as error:
            self._log.warning("nobody knows whether the Watchdog is due; as before", due=self._due, error=str(error))
        return self._due

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
