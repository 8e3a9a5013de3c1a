"""What was detected of the monitoring that carries the rules: how it scrapes the mesh, how long it remembers."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from steward.alerting.promql import Matcher
from steward.linkerd.version import Version

NUMBER = tuple[int, ...]
"""A version's numbers, such as (3, 12, 0); empty where it is not known."""


class ScrapeKind(StrEnum):
    """Who wrote the scrape configuration."""

    STEWARD = "Steward"
    """The one that is shipped with Steward."""
    VIZ = "Viz"
    """linkerd-viz's own Prometheus: jobs `linkerd-proxy` and `linkerd-controller`."""
    POD_MONITOR = "PodMonitor"
    """The PodMonitors of the control plane's chart: jobs `<namespace>/linkerd-proxy` and so on."""
    FEDERATION = "Federation"
    """Another Prometheus that viz's is federated into; jobs as it calls them."""
    CUSTOM = "Custom"
    """Anything else; the matchers are told in the settings."""


_PROXIES = Matcher("job", "=~", "(.*/)?linkerd-proxy")
_CONTROLLERS = Matcher("job", "=~", "(.*/)?linkerd-controller")
_MULTICLUSTER = Matcher("job", "=~", "(.*/)?linkerd-(multicluster-)?controller")
_API_SERVER = Matcher("job", "=~", "apiserver|kubernetes-apiservers|kube-apiserver")
_EXPORTER = Matcher("job", "=~", "(.*/)?linkerd-steward(-.*)?")


@dataclass(frozen=True, slots=True)
class ScrapeProfile:
    """How series of the mesh are told apart in this Prometheus."""

    kind: ScrapeKind
    proxies: Matcher = _PROXIES
    """Series of the proxies."""
    controllers: Matcher = _CONTROLLERS
    """Series of the control plane's own containers; the label `component` names the container."""
    multicluster: Matcher = _MULTICLUSTER
    """Series of the service mirrors, which the multicluster extension brings."""
    api_server: Matcher = _API_SERVER
    """Series of the Kubernetes API server."""
    exporter: Matcher = _EXPORTER
    """Series of Steward's own exporter."""
    own_namespace: str = "namespace"
    """Label that holds the namespace which a controller's metric is about: `exported_namespace` under a PodMonitor."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The target of all rules and routes, as far as it is known."""

    scrape: ScrapeProfile
    linkerd: Version | None = None
    """The version of the control plane; None: unknown, and then nothing is left out for its sake."""
    retention: timedelta | None = None
    """How far back queries can look; None: unknown, taken for a day."""
    evaluation: timedelta = timedelta(seconds=30)
    """Between two evaluations of a rule."""
    linkerd_namespace: str = "linkerd"
    """Where the control plane runs; the namespace of alerts that are about nothing smaller."""
    prometheus: NUMBER = ()
    alertmanager: NUMBER = ()
