"""What Prometheus says of its scrapes: which profile it has, which proxies it sees, and which refuse it."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from services.alerting.core.exported.scraped import Scrapes, alive_query, scrapes_in_series, scrapes_of
from services.alerting.core.exported.unread import Fact, Unread
from steward.alerting.monitoring import ScrapeKind
from steward.alerting.scrape_detection import Detected, detect
from steward.alerting.targets import Target, targets_in
from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject


class Prometheus(Protocol):
    """What is asked of a Prometheus; a failure is a StewardError."""

    async def targets(self) -> Json:
        """The answer of `/api/v1/targets?state=active`."""
        ...

    async def instant(self, query: str) -> list[JsonObject]:
        """The members of the vector that a query gives now."""
        ...


@dataclass(frozen=True, slots=True)
class ScrapesSeen:
    """What one look brought; None is what could not be told, and `unread` says why."""

    detected: Detected | None = None
    scrapes: Scrapes | None = None
    unread: tuple[Unread, ...] = ()


async def look_at_scrapes(prometheus: Prometheus, *, wished: ScrapeKind | None = None) -> ScrapesSeen:
    """One look; `wished` is the kind of scrape configuration that somebody says it is."""
    detected = None
    try:
        answer = await prometheus.targets()
        # In a thread: the targets of ten thousand proxies take a while to read, in which others want to be answered.
        targets = await asyncio.to_thread(targets_in, answer)
        detected = detect(targets, wished=wished)
        return ScrapesSeen(detected, await _scrapes(prometheus, targets, detected))
    except StewardError as error:
        return ScrapesSeen(detected, None, (Unread(Fact.SCRAPES, str(error)),))


async def _scrapes(prometheus: Prometheus, targets: tuple[Target, ...], detected: Detected) -> Scrapes:
    profile = detected.profile
    if profile.kind is not ScrapeKind.FEDERATION:
        return scrapes_of(targets, profile.proxies)
    return scrapes_in_series(await prometheus.instant(alive_query(profile.proxies)))
