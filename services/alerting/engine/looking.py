"""What Prometheus and Alertmanager are and have, looked at again and again, and remembered while they are silent."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.alerting.core.loaded import LoadedRoutes, LoadedRules, routes_loaded, rules_loaded
from services.alerting.edges.scraping import ScrapesSeen, look_at_scrapes
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.clock import Clock
from steward.jsonvalue import JsonObject, rows, text
from steward.linkerd.version import Version
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import MonitoringError
from steward.monitoring.prometheus import Prometheus


@dataclass(frozen=True, slots=True)
class Sighting:
    """The monitoring at one moment. `problem`: why something of it is not known."""

    monitoring: Monitoring
    metric_names: frozenset[str] | None = None
    """None: not known."""
    scrapes: ScrapesSeen = field(default_factory=ScrapesSeen)
    problems: tuple[str, ...] = ()
    firing: tuple[JsonObject, ...] = field(default=())
    """Groups as Prometheus tells them, with the alerts that fire."""
    rules: LoadedRules = field(default_factory=LoadedRules)
    """Of the operator's objects that we made."""
    routes: LoadedRoutes = field(default_factory=LoadedRoutes)
    """Of the operator's objects that we made."""

    def bears_on(self, other: "Sighting") -> bool:
        """Whether what is rendered, or what is told of it, can differ between the two."""
        mine = (self.monitoring, self.metric_names, self.problems, self.rules, self.routes)
        return mine != (other.monitoring, other.metric_names, other.problems, other.rules, other.routes)


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
        self.seen = Sighting(Monitoring(ScrapeProfile(forced or ScrapeKind.CUSTOM)))

    async def look(self) -> Sighting:
        """Look once at everything that can be asked."""
        problems: list[str] = []
        monitoring = replace(self.seen.monitoring, linkerd=self._linkerd())
        seen = replace(self.seen, monitoring=monitoring)
        for ask in (self._ask_prometheus, self._ask_alertmanager):
            try:
                seen = await ask(seen)
            except MonitoringError as error:
                problems.append(str(error))
        if problems and problems != list(self.seen.problems):
            self._log.warning("monitoring is not what it should be", problems=problems)
        self.seen = replace(seen, problems=tuple(problems))
        return self.seen

    async def look_for_ever(self, clock: Clock, every: timedelta, then: Callable[[], None]) -> None:
        """Until cancelled; `then` is called where rules or routes would be rendered otherwise, or sight changed."""
        while True:
            before = self.seen
            now = await self.look()
            if now.bears_on(before):
                then()
            await clock.sleep(every)

    async def _ask_prometheus(self, seen: Sighting) -> Sighting:
        prometheus = self._prometheus
        if prometheus is None:
            return seen
        about = await prometheus.about()
        scrapes = await look_at_scrapes(prometheus, wished=self._forced)
        names = await prometheus.metric_names()
        groups = await prometheus.groups()
        monitoring = replace(
            seen.monitoring,
            scrape=scrapes.detected.profile if scrapes.detected is not None else seen.monitoring.scrape,
            retention=about.retention,
            evaluation=about.evaluation or seen.monitoring.evaluation,
            prometheus=about.version,
        )
        return replace(
            seen,
            monitoring=monitoring,
            metric_names=names,
            scrapes=scrapes,
            firing=tuple(groups),
            rules=rules_loaded(groups),
        )

    async def _ask_alertmanager(self, seen: Sighting) -> Sighting:
        if self._alertmanager is None:
            return seen
        version, configuration = await self._alertmanager.status()
        monitoring = replace(seen.monitoring, alertmanager=version)
        return replace(seen, monitoring=monitoring, routes=routes_loaded(configuration))


def firing_in(groups: tuple[JsonObject, ...], files: frozenset[str]) -> int:
    """How many alerts of the rules of these files fire."""
    return sum(
        1
        for group in groups
        if text(group, "file").rpartition("/")[2] in files
        for rule in rows(group, "rules")
        for alert in rows(rule, "alerts")
        if text(alert, "state") == "firing"
    )
