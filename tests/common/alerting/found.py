"""Monitoring as it may be found, and the versions of Linkerd that are tried."""

from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.promql import Matcher
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version

NEWEST = max(shipped().released)
VERSIONS = (*(each.edge for each in shipped().logical), NEWEST)
PROFILES = {
    ScrapeKind.STEWARD: ScrapeProfile(ScrapeKind.STEWARD),
    ScrapeKind.VIZ: ScrapeProfile(ScrapeKind.VIZ),
    ScrapeKind.POD_MONITOR: ScrapeProfile(ScrapeKind.POD_MONITOR, own_namespace="exported_namespace"),
    ScrapeKind.FEDERATION: ScrapeProfile(ScrapeKind.FEDERATION),
    ScrapeKind.CUSTOM: ScrapeProfile(
        ScrapeKind.CUSTOM,
        proxies=Matcher.equal("scrape", 'mesh "a"'),
        controllers=Matcher.any_of("scrape", ("control.plane", "viz")),
        multicluster=Matcher.equal("scrape", "links"),
        api_server=Matcher.differs("scrape", "other"),
        exporter=Matcher.equal("scrape", "steward"),
        own_namespace="about_namespace",
    ),
}


def monitoring(kind: ScrapeKind = ScrapeKind.STEWARD, version: Version | None = NEWEST) -> Monitoring:
    """One that scrapes like this, of a control plane of that version."""
    return Monitoring(PROFILES[kind], version)
