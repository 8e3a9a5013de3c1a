"""The scrape targets of a Prometheus, as its API tells them: `/api/v1/targets?state=active`.

Of each target only what tells apart who it is and how it fares is kept. An answer of any other shape has no targets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from steward.alerting.promql import Matcher
from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject, rows, table, text

_REFUSED = re.compile(r"\bHTTP status 40[13]\b")
_FEDERATE = "/federate"
_MESH = "linkerd"


class UnreadablePattern(StewardError):
    """A pattern of a scrape profile is none that can be tried here."""


class Health(StrEnum):
    """How the last scrape went."""

    UP = "Up"
    DOWN = "Down"
    REFUSED = "Refused"
    """It was answered 401 or 403: whoever scrapes is not authorized."""
    UNKNOWN = "Unknown"
    """Not scraped yet."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address that is scraped."""

    job: str
    pool: str
    """The section of the configuration it comes from; the operator's are `podMonitor/<namespace>/<name>/<number>`."""
    labels: Mapping[str, str]
    """Those of its series, after relabelling."""
    namespace: str
    """Of its pod or Service, as Kubernetes told it; else its label. Empty where neither does."""
    pod: str
    container: str
    component: str
    """Which part of Linkerd's control plane its pod is; empty for everybody else's."""
    application: str
    """`app.kubernetes.io/name` of its pod."""
    service: str
    host: str
    """The host in its address, without brackets."""
    federates: bool
    """Whether it is another Prometheus, asked for series of Linkerd's."""
    health: Health

    @property
    def is_up(self) -> bool:
        """Whether it was scraped."""
        return self.health is Health.UP


def targets_in(answer: Json) -> tuple[Target, ...]:
    """The active targets."""
    return tuple(_target(each) for each in rows(answer, "data", "activeTargets"))


def fits(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Whether labels fit a matcher. Raise UnreadablePattern where Python cannot read what Prometheus can."""
    value = labels.get(matcher.label, "")
    match matcher.operator:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return _pattern(matcher.value).fullmatch(value) is not None
        case _:
            return _pattern(matcher.value).fullmatch(value) is None


@lru_cache(maxsize=64)
def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UnreadablePattern(f"the pattern {pattern!r} of a scrape profile cannot be read here: {error}") from error


def _target(found: JsonObject) -> Target:
    labels, discovered = table(found, "labels"), table(found, "discoveredLabels")
    address = text(found, "scrapeUrl")
    return Target(
        job=text(labels, "job"),
        pool=text(found, "scrapePool"),
        labels={name: value for name, value in labels.items() if isinstance(value, str)},
        namespace=text(discovered, "__meta_kubernetes_namespace") or text(labels, "namespace"),
        pod=text(discovered, "__meta_kubernetes_pod_name") or text(labels, "pod"),
        container=text(discovered, "__meta_kubernetes_pod_container_name") or text(labels, "container"),
        component=text(discovered, "__meta_kubernetes_pod_label_linkerd_io_control_plane_component"),
        application=text(discovered, "__meta_kubernetes_pod_label_app_kubernetes_io_name"),
        service=text(discovered, "__meta_kubernetes_service_name"),
        host=_host(address),
        federates=_FEDERATE in address and _asks_for_the_mesh(address),
        health=_health(found),
    )


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _asks_for_the_mesh(address: str) -> bool:
    path, _, query = address.partition("?")
    return path.endswith(_FEDERATE) and _MESH in unquote(query)


def _health(found: JsonObject) -> Health:
    match text(found, "health"):
        case "up":
            return Health.UP
        case "down":
            return Health.REFUSED if _REFUSED.search(text(found, "lastError")) else Health.DOWN
        case _:
            return Health.UNKNOWN
