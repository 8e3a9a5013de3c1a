"""Prometheus by its HTTP API: what it is, what it has, whether it takes a query, and that it should load its files."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.monitoring import NUMBER
from steward.alerting.promql import Matcher
from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.monitoring.json_api import JsonApi, Refused

_RELOAD = timedelta(minutes=2)
"""Ten thousand rules take a Prometheus three seconds to load, and many times that where it has much else to do. Who
does not wait for it puts back the rules from before, which it then loads as slowly."""
_COUNTING = timedelta(seconds=30)
NO_SUCH_PATH = 404
_NUMBERS = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")
_SPAN = re.compile(r"^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")


@dataclass(frozen=True, slots=True)
class About:
    """What a Prometheus says of itself; None is that it does not say."""

    version: NUMBER
    retention: timedelta | None
    evaluation: timedelta | None
    reloads: bool
    """Whether it reloads when asked over HTTP."""


class Prometheus:
    """One Prometheus."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api

    async def about(self) -> About:
        """Version, retention, interval; a Thanos or Mimir in its place may not know all of these."""
        built = table(await self._api.get("/api/v1/status/buildinfo"), "data")
        flags = table(await self._optional("/api/v1/status/flags"), "data")
        running = table(await self._optional("/api/v1/status/runtimeinfo"), "data")
        config = text(await self._optional("/api/v1/status/config"), "data", "yaml")
        return About(
            version=numbers(self._api.must_be_said("its version", text(built, "version"))),
            retention=span(text(running, "storageRetention")),
            evaluation=_evaluation(config),
            reloads=text(flags, "web.enable-lifecycle") != "false",
        )

    async def reload(self) -> None:
        """Load the files anew. Raise `Refused` in its own words where it keeps the ones it has."""
        await self._api.post("/-/reload", patience=_RELOAD)

    async def objection(self, expr: str) -> str | None:
        """What its own parser has against a query; None: nothing, or it has no way to be asked (before 2.40)."""
        try:
            await self._api.post("/api/v1/format_query", form={"query": expr})
        except Refused as refused:
            if refused.status == NO_SUCH_PATH:
                return None
            if not refused.judges_query:
                raise
            return refused.said
        return None

    async def metrics_now(self, names: Iterable[str]) -> frozenset[str]:
        """Those of `names` that have a series at this moment.

        The names that Prometheus lists are those of all series that its memory still holds, for hours after they ended.
        """
        wanted = Matcher.any_of("__name__", sorted(set(names)))
        if not wanted.value:
            return frozenset()
        query = f"group by (__name__) ({{{wanted}}})"
        answer = await self._api.post("/api/v1/query", form={"query": query}, patience=_COUNTING)
        return frozenset(text(each, "metric", "__name__") for each in rows(answer, "data", "result"))

    async def targets(self) -> Json:
        """Its active targets, as it tells them."""
        return await self._api.get("/api/v1/targets", {"state": "active"})

    async def groups(self) -> list[JsonObject]:
        """The rule groups that it evaluates."""
        return rows(await self._api.get("/api/v1/rules"), "data", "groups")

    async def alerting_groups(self) -> list[JsonObject]:
        """The rule groups with their alerts alone: of ten thousand rules a few hundred are."""
        return rows(await self._api.get("/api/v1/rules", {"type": "alert"}), "data", "groups")

    async def recordings(self, name: str) -> list[JsonObject]:
        """The rule groups with what is recorded under this name alone; an old Prometheus tells all recordings."""
        return rows(await self._api.get("/api/v1/rules", {"type": "record", "rule_name[]": name}), "data", "groups")

    async def instant(self, query: str) -> list[JsonObject]:
        """The vector that a query gives now."""
        return rows(await self._api.get("/api/v1/query", {"query": query}), "data", "result")

    async def _optional(self, path: str) -> Json:
        try:
            return await self._api.get(path)
        except Refused:
            return None


def numbers(version: str) -> NUMBER:
    """`3.12.0+ds` as (3, 12, 0); empty where it is no version."""
    found = _NUMBERS.match(version)
    return tuple(int(each or 0) for each in found.groups()) if found else ()


def span(said: str) -> timedelta | None:
    """A duration as Prometheus writes it, `1d12h`; of `15d or 2GiB` the time. None where there is none, or it is 0."""
    found = _SPAN.match(said)
    parts = [int(each or 0) for each in found.groups()] if found else []
    if not any(parts):
        return None
    years, weeks, days, hours, minutes, seconds, milliseconds = parts
    days += 365 * years + 7 * weeks
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)


def _evaluation(config: str) -> timedelta | None:
    found = re.search(r"(?m)^\s+evaluation_interval: (\S+)$", config)
    return span(found[1]) if found else None


def value_of(sample: Mapping[str, Json]) -> float:
    """The value of one member of a vector."""
    return float(str(dig(sample, "value", 1) or "nan"))
