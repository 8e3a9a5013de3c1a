"""Alertmanager by its v2 API: what it is, the alerts and silences it has, and that it should load its file."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from steward.alerting.monitoring import NUMBER
from steward.jsonvalue import Json, JsonObject, text
from steward.monitoring.json_api import JsonApi
from steward.monitoring.prometheus import numbers

_RELOAD = timedelta(seconds=30)


class Alertmanager:
    """One Alertmanager."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api

    async def status(self) -> tuple[NUMBER, str]:
        """Its version, and the configuration that is in force, with secrets as `<secret>`."""
        found = await self._api.get("/api/v2/status")
        version = self._api.must_be_said("its version", text(found, "versionInfo", "version"))
        return numbers(version), text(found, "config", "original")

    async def version(self) -> NUMBER:
        """Of its own."""
        return (await self.status())[0]

    async def started(self) -> datetime | None:
        """Since when it runs; None where it does not say."""
        try:
            found = datetime.fromisoformat(text(await self._api.get("/api/v2/status"), "uptime"))
        except ValueError:
            return None
        return found if found.tzinfo is not None else None

    async def configuration(self) -> str:
        """What is in force, with secrets as `<secret>`."""
        return (await self.status())[1]

    async def reload(self) -> None:
        """Load the file anew. Raise `Refused` in its own words where it keeps the one it has."""
        await self._api.post("/-/reload", patience=_RELOAD)

    async def alerts(self, matchers: Sequence[str] = ()) -> list[JsonObject]:
        """Active, silenced and inhibited ones."""
        return _objects(await self._api.get("/api/v2/alerts", {"filter": list(matchers)}))

    async def post(self, alerts: Sequence[JsonObject]) -> None:
        """Tell it of alerts; the same labels are the same alert, whose `endsAt` it takes over."""
        members: list[Json] = list(alerts)
        await self._api.post("/api/v2/alerts", members)

    async def silences(self) -> list[JsonObject]:
        """All that it still remembers."""
        return _objects(await self._api.get("/api/v2/silences"))

    async def silence(self, silence: JsonObject) -> str:
        """Make a silence, or change the one whose `id` it has; returns the id it has then."""
        return text(await self._api.post("/api/v2/silences", silence), "silenceID")

    async def expire(self, silence_id: str) -> None:
        """End a silence."""
        await self._api.delete(f"/api/v2/silence/{silence_id}")


def _objects(answer: Json) -> list[JsonObject]:
    return [each for each in answer if isinstance(each, dict)] if isinstance(answer, list) else []
