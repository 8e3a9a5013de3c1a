"""What an edge saw for a gate. Facts only: whether that is good enough is decided in `gates`.

Every observation may instead be `Unseen`: the edge could not look. An unknown is not a pass, and not a failure.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from steward.linkerd.version import Version
from steward.resources.upgrade_plan import CheckScope, InstallMethod


@dataclass(frozen=True, slots=True)
class Unseen:
    """Nothing could be seen. `transient`: looking again may help (an Error); else the gate is Inconclusive."""

    reason: str
    """CamelCase, for example `NoCli`, `TimedOut`, `Unreadable`, `ApiServerUnavailable`."""
    message: str
    """A sentence that ends with the remedy."""
    transient: bool = False


class CheckResult(StrEnum):
    """The words of `linkerd check -o json`."""

    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `linkerd check`."""

    category: str
    description: str
    result: CheckResult
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class CheckDocument:
    """One JSON document of the stream: the first is Linkerd's own, the others are extensions'."""

    success: bool
    categories: tuple[str, ...]
    """In the order in which they came; those without checks too."""
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """Every document of one call of `linkerd check`."""

    scope: CheckScope
    cli: str
    """Version of the CLI that was asked."""
    documents: tuple[CheckDocument, ...]


@dataclass(frozen=True, slots=True)
class Injection:
    """One pod created as a dry run."""

    namespace: str
    admitted: bool
    """False: the API server refused the pod, `message` says why."""
    proxy: bool
    """Whether the answer has the container `linkerd-proxy`, native or not."""
    version: str = ""
    """Version in the proxy's image tag, empty where it cannot be told."""
    trust: str = ""
    """Value of `linkerd.io/trust-root-sha256`, empty where there is none."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class InjectionsSeen:
    """What the injector does to pods at present."""

    probes: tuple[Injection, ...]
    """Empty where no namespace asks for injection."""
    expected_version: str
    """The proxy version that linkerd-config asks for."""
    expected_trust: str
    """SHA-256 of the trust bundle, empty where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate as far as a decision needs it."""

    name: str
    """Where it is: `ConfigMap linkerd/linkerd-identity-trust-roots`, `Secret linkerd/linkerd-identity-issuer`, …"""
    subject: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class WebhookCertificate:
    """What a webhook's server has, and whether the API server would believe it."""

    webhook: str
    """`<configuration>/<webhook>`."""
    serving: Certificate | None
    """None where the Secret could not be read or has none; `message` says why."""
    trusted: bool | None
    """Whether the caBundle verifies `serving` for the service's name; None where it cannot be told."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class CertificatesSeen:
    """The certificates that the mesh stands on."""

    anchors: tuple[Certificate, ...]
    """Every certificate of the trust bundle, left-over ones included."""
    issuer: Certificate | None
    issuer_anchors: tuple[str, ...]
    """Fingerprints of the anchors whose key verifies the issuer, whatever their dates."""
    webhooks: tuple[WebhookCertificate, ...]
    problems: tuple[str, ...] = ()
    """What could not be read, a sentence each."""


@dataclass(frozen=True, slots=True)
class KubernetesSeen:
    """The API server's version, and what the target's charts demand of it."""

    server: str
    """As the server says it: `v1.36.3`."""
    chart_range: str = ""
    """`kubeVersion` of the target's charts, for example `>=1.31.0-0`; empty where no charts are at hand."""


@dataclass(frozen=True, slots=True)
class OwnershipMark:
    """One sign of who owns the installation."""

    method: InstallMethod
    object: str
    """`Kind namespace/name`."""
    sign: str
    """What was found on it: `annotation meta.helm.sh/release-name=linkerd-control-plane`."""


@dataclass(frozen=True, slots=True)
class OwnershipSeen:
    """Every sign that was found."""

    marks: tuple[OwnershipMark, ...]


@dataclass(frozen=True, slots=True)
class VersionsSeen:
    """Which versions run. Versions that cannot be told are counted, not guessed."""

    control_plane: tuple[Version, ...]
    """Of the running pods of the control plane, each once; more than one while it rolls."""
    configured: Version | None
    """What linkerd-config names."""
    proxies: tuple[tuple[Version, int], ...]
    """Proxy version → pods outside the control plane's namespace."""
    unknown_proxies: int = 0


Observation: TypeAlias = (
    CheckSeen | InjectionsSeen | CertificatesSeen | KubernetesSeen | OwnershipSeen | VersionsSeen | Unseen
)
