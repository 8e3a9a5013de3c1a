"""Which proxies this Prometheus scrapes, and which of them refuse it.

Where it scrapes them itself its targets say so; where series come from another Prometheus, only the series do.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.alerting.core.exported.samples import Samples, counted
from steward.alerting.promql import Matcher, selector
from steward.alerting.targets import Health, Target, fits
from steward.jsonvalue import JsonObject, text
from steward.linkerd.pods import PodFacts

ALIVE = "process_start_time_seconds"
"""A metric that every proxy has, whatever it carries."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy is, as far as a target or a series tells it."""

    namespace: str = ""
    pod: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Scrapes:
    """The proxies by how their scrapes fare."""

    up: tuple[Place, ...] = ()
    refused: tuple[Place, ...] = ()
    down: tuple[Place, ...] = ()
    """Down for another reason, or not scraped yet."""


def scrapes_of(targets: Iterable[Target], proxies: Matcher) -> Scrapes:
    """The scrapes of the targets that are proxies. Raise UnreadablePattern as `fits` does."""
    up: list[Place] = []
    refused: list[Place] = []
    down: list[Place] = []
    for target in targets:
        if not fits(proxies, target.labels):
            continue
        place = Place(target.namespace, target.pod, target.host)
        match target.health:
            case Health.UP:
                up.append(place)
            case Health.REFUSED:
                refused.append(place)
            case _:
                down.append(place)
    return Scrapes(tuple(up), tuple(refused), tuple(down))


def alive_query(proxies: Matcher) -> str:
    """Which proxies have series: one member of the vector for each pod."""
    return f"count by (namespace, pod, exported_namespace, exported_pod, instance) ({selector(ALIVE, proxies)})"


def scrapes_in_series(vector: Iterable[JsonObject]) -> Scrapes:
    """The same from the answer to `alive_query`. Who refuses another Prometheus cannot be told from here."""
    return Scrapes(up=tuple(_place(each) for each in vector))


def refused_scrapes(scrapes: Scrapes, meshed: Iterable[PodFacts]) -> Samples:
    """{namespace}: proxies that answer 401 or 403; 0 where none does.

    A target that does not tell its namespace is looked up by its address; one that is nobody's has the empty one.
    """
    pods = tuple(meshed)
    by_address = {pod.address: pod.namespace for pod in pods if pod.address}
    refused = (each.namespace or by_address.get(each.address, "") for each in scrapes.refused)
    return counted(refused, (pod.namespace for pod in pods))


def unscraped_proxies(scrapes: Scrapes, meshed: Iterable[PodFacts]) -> Samples:
    """{namespace}: meshed pods whose proxy is not scraped successfully; 0 where all are."""
    pods = tuple(meshed)
    names = {(each.namespace, each.pod) for each in scrapes.up if each.pod}
    # A target that names its pod is that pod's: its address may have been another pod's a moment ago.
    addresses = {each.address for each in scrapes.up if each.address and not each.pod}
    missing = (pod.namespace for pod in pods if (pod.namespace, pod.name) not in names and pod.address not in addresses)
    return counted(missing, (pod.namespace for pod in pods))


def _place(member: JsonObject) -> Place:
    labels = member.get("metric")
    # Labels that were displaced are the proxy's own: what displaced them is the Prometheus that was asked.
    host, _, _ = text(labels, "instance").rpartition(":")
    return Place(
        namespace=text(labels, "exported_namespace") or text(labels, "namespace"),
        pod=text(labels, "exported_pod") or text(labels, "pod"),
        address=host.strip("[]"),
    )
