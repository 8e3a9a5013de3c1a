"""One look at a Prometheus: its profile, its proxies, and a sentence where it does not answer."""

from dataclasses import dataclass, field

from services.alerting.core.exported.scraped import Place
from services.alerting.core.exported.unread import Fact
from services.alerting.edges.scraping import look_at_scrapes
from steward.alerting.monitoring import ScrapeKind
from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject
from tests.services.alerting.core.prometheus import recorded


@dataclass
class Answering:
    """A Prometheus that answers what it was told to."""

    name: str = ""
    vector: list[JsonObject] | None = None
    asked: list[str] = field(default_factory=list)

    async def targets(self) -> Json:
        if not self.name:
            raise StewardError("Prometheus at http://127.0.0.1:9090 cannot be reached: refused")
        return recorded(self.name)

    async def instant(self, query: str) -> list[JsonObject]:
        self.asked.append(query)
        if self.vector is None:
            raise StewardError("Prometheus answers GET /api/v1/query with 422: too many samples")
        return self.vector


async def test_a_prometheus_that_scrapes_the_mesh_is_not_asked_for_series() -> None:
    prometheus = Answering("viz")
    found = await look_at_scrapes(prometheus)
    assert found.detected is not None
    assert found.detected.profile.kind is ScrapeKind.VIZ
    assert found.scrapes is not None
    assert [each.pod for each in found.scrapes.refused] == ["web-5d-2"]
    assert (prometheus.asked, found.unread) == ([], ())


async def test_of_one_that_federates_the_series_say_which_proxies_it_sees() -> None:
    prometheus = Answering("federation", [{"metric": {"namespace": "shop", "pod": "web-5d-1"}, "value": [0, "1"]}])
    found = await look_at_scrapes(prometheus)
    assert found.scrapes is not None
    assert found.scrapes.up == (Place("shop", "web-5d-1"),)
    assert "process_start_time_seconds" in prometheus.asked[0]


async def test_one_that_cannot_be_reached_says_nothing_and_why() -> None:
    found = await look_at_scrapes(Answering())
    assert (found.detected, found.scrapes) == (None, None)
    (unread,) = found.unread
    assert unread.fact is Fact.SCRAPES
    assert "cannot be reached" in unread.message


async def test_a_question_that_fails_keeps_what_was_detected() -> None:
    found = await look_at_scrapes(Answering("federation"))
    assert found.detected is not None
    assert found.scrapes is None
    assert "too many samples" in found.unread[0].message
