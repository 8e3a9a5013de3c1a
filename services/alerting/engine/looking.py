"""What Prometheus and Alertmanager are and have, looked at again and again, and remembered while they are silent."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.alerting.core.loaded import LoadedRoutes, LoadedRules, routes_loaded, rules_loaded
from services.alerting.core.operator_documents import MARK_RECORD
from services.alerting.edges.scraping import ScrapesSeen, look_at_scrapes
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.scrape_detection import NOT_SCRAPED
from steward.clock import Clock
from steward.jsonvalue import JsonObject, rows, text
from steward.linkerd.version import Version
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import MonitoringError
from steward.monitoring.prometheus import Prometheus

_UNSEEN = "{} has not answered yet, and what it is decides what is written for it"


@dataclass(frozen=True, slots=True)
class Sighting:
    """The monitoring at one moment. `problem`: why something of it is not known."""

    monitoring: Monitoring
    metric_names: frozenset[str] | None = None
    """None: not known."""
    scrapes: ScrapesSeen = field(default_factory=ScrapesSeen)
    problems: tuple[str, ...] = ()
    prometheus_unseen: str = ""
    """Why nothing is known of it yet; empty once it has answered, or where there is none."""
    alertmanager_unseen: str = ""
    firing: Mapping[str, int] = field(default_factory=dict)
    """How many alerts fire, by the file of their rules."""
    rules: LoadedRules = field(default_factory=LoadedRules)
    """Of the operator's objects that we made."""
    routes: LoadedRoutes = field(default_factory=LoadedRoutes)
    """Of the operator's objects that we made."""

    @property
    def sight(self) -> "Sighting":
        """All that rules, routes and statuses follow from."""
        return replace(self, scrapes=ScrapesSeen())


class Looking:
    """Looks, and remembers what it last saw."""

    def __init__(
        self,
        prometheus: Prometheus | None,
        alertmanager: Alertmanager | None,
        linkerd: Callable[[], Version | None],
        *,
        forced: ScrapeKind | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._linkerd = linkerd
        self._forced = forced
        self._log = log
        self._names: frozenset[str] = frozenset()
        self.seen = Sighting(
            Monitoring(ScrapeProfile(forced or ScrapeKind.CUSTOM)),
            prometheus_unseen=_UNSEEN.format("Prometheus") if prometheus else "",
            alertmanager_unseen=_UNSEEN.format("Alertmanager") if alertmanager else "",
        )

    async def look(self) -> Sighting:
        """Look once at everything that can be asked."""
        problems: list[str] = []
        monitoring = replace(self.seen.monitoring, linkerd=self._linkerd())
        seen = replace(self.seen, monitoring=monitoring)
        for ask, unheard in (
            (self._ask_prometheus, _prometheus_unheard),
            (self._ask_alertmanager, _alertmanager_unheard),
        ):
            try:
                seen = await ask(seen)
            except MonitoringError as error:
                problems.append(str(error))
                seen = unheard(seen, str(error))
        if problems and problems != list(self.seen.problems):
            self._log.warning("monitoring is not what it should be", problems=problems)
        self.seen = replace(seen, problems=tuple(problems))
        return self.seen

    async def present(self, names: frozenset[str]) -> frozenset[str] | None:
        """Those of these metrics that have series now; None: nobody can tell. Each look asks for them again."""
        if self._prometheus is None:
            return None
        if not names <= self._names:
            self._names = names
            try:
                found = await self._prometheus.metrics_now(names)
            except MonitoringError:
                found = None
            self.seen = replace(self.seen, metric_names=found)
        self._names = names
        return self.seen.metric_names

    async def look_for_ever(self, clock: Clock, every: timedelta, then: Callable[[], None]) -> None:
        """Until cancelled; `then` is called where rules or routes would be rendered otherwise, or sight changed."""
        while True:
            before = self.seen
            now = await self.look()
            if now.sight != before.sight:
                then()
            await clock.sleep(every)

    async def _ask_prometheus(self, seen: Sighting) -> Sighting:
        prometheus = self._prometheus
        if prometheus is None:
            return seen
        about = await prometheus.about()
        scrapes = await look_at_scrapes(prometheus, wished=self._forced)
        names = await prometheus.metrics_now(self._names)
        groups = await prometheus.alerting_groups(), await prometheus.recordings(MARK_RECORD)
        # In a thread: thousands of rules take a while to read.
        firing, rules = await asyncio.to_thread(_read, *groups)
        monitoring = replace(
            seen.monitoring,
            scrape=_profile(scrapes, seen),
            retention=about.retention,
            evaluation=about.evaluation or seen.monitoring.evaluation,
            prometheus=about.version,
        )
        return replace(
            seen,
            prometheus_unseen="",
            monitoring=monitoring,
            metric_names=names,
            scrapes=scrapes,
            firing=firing,
            rules=rules,
        )

    async def _ask_alertmanager(self, seen: Sighting) -> Sighting:
        if self._alertmanager is None:
            return seen
        version, configuration = await self._alertmanager.status()
        monitoring = replace(seen.monitoring, alertmanager=version)
        return replace(seen, monitoring=monitoring, alertmanager_unseen="", routes=routes_loaded(configuration))


def _prometheus_unheard(seen: Sighting, problem: str) -> Sighting:
    """What it had when it last answered says nothing of now."""
    unseen = f"{_UNSEEN.format('Prometheus')}: {problem}" if seen.prometheus_unseen else ""
    return replace(seen, metric_names=None, prometheus_unseen=unseen)


def _alertmanager_unheard(seen: Sighting, problem: str) -> Sighting:
    unseen = f"{_UNSEEN.format('Alertmanager')}: {problem}" if seen.alertmanager_unseen else ""
    return replace(seen, alertmanager_unseen=unseen)


def _profile(scrapes: ScrapesSeen, seen: Sighting) -> ScrapeProfile:
    """A Prometheus that has just started has no targets yet; rules are not changed for what one look alone says."""
    detected, before = scrapes.detected, seen.scrapes.detected
    if detected is None:
        return seen.monitoring.scrape
    if before is not None and before.reason != NOT_SCRAPED and detected.reason == NOT_SCRAPED:
        return seen.monitoring.scrape
    return detected.profile


def _read(alerting: list[JsonObject], marked: list[JsonObject]) -> tuple[Mapping[str, int], LoadedRules]:
    return _firing(alerting), rules_loaded(marked)


def _firing(groups: list[JsonObject]) -> Mapping[str, int]:
    """How many alerts of the rules of each file fire."""
    found: Counter[str] = Counter()
    for group in groups:
        file = text(group, "file").rpartition("/")[2]
        states = (text(alert, "state") for rule in rows(group, "rules") for alert in rows(rule, "alerts"))
        found[file] += sum(state == "firing" for state in states)
    return dict(found)
