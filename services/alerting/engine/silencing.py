"""Upgrades in progress → silences, for as long as they go on."""

from collections.abc import Callable
from datetime import timedelta

from steward.alerting.silences import Explained, RunInProgress, acts, read
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import MonitoringError
from steward.service.chassis import Chassis

Upgrades = Callable[[], tuple[RunInProgress, ...] | None]
"""The runs that act; None while nobody knows."""


class Silencing:
    """Keeps Alertmanager's silences as the upgrades in progress want them."""

    def __init__(
        self, chassis: Chassis, alertmanager: Alertmanager, upgrades: Upgrades, alerts: tuple[str, ...]
    ) -> None:
        self._clock = chassis.clock
        self._log = chassis.log
        self._alertmanager = alertmanager
        self._upgrades = upgrades
        self._explained = Explained(alerts)
        self._still: frozenset[str] = frozenset()

    async def keep(self, every: timedelta, patience: timedelta) -> None:
        """Until cancelled. `patience`: how long a run mutes anything without moving."""
        while True:
            runs = self._upgrades()
            # Not knowing of any run is no reason to end what one asked for: a silence that nobody prolongs ends anyway.
            if runs is not None:
                await self._keep(self._moving(runs, patience))
            await self._clock.sleep(every)

    async def _keep(self, runs: tuple[RunInProgress, ...]) -> None:
        try:
            known = [each for raw in await self._alertmanager.silences() if (each := read(raw)) is not None]
            for put in acts(runs, self._explained, known, self._clock.now()):
                await self._alertmanager.silence(put.silence.to_json())
                self._log.info("silence", why=put.reason.value, comment=put.silence.comment)
        except MonitoringError as error:
            self._log.warning("silences wait for Alertmanager", error=str(error))

    def _moving(self, runs: tuple[RunInProgress, ...], patience: timedelta) -> tuple[RunInProgress, ...]:
        now = self._clock.now()
        still = [each for each in runs if each.stands_still(now, patience)]
        for run in still:
            if run.uid not in self._still:
                self._log.warning(
                    "an upgrade says that it acts and does not move: it mutes nothing until it does; look whether the "
                    "upgrader runs",
                    run=run.name,
                    moved=(run.moved or run.since).isoformat(),
                    patience=str(patience),
                )
        self._still = frozenset(each.uid for each in still)
        return tuple(each for each in runs if each not in still)
