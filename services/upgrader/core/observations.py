"""What an edge saw for a gate. Facts only: whether that is good enough is decided in `gates`.

Every observation may instead be `Unseen`: the edge could not look. An unknown is not a pass, and not a failure.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from steward.events.conformance import ConformanceOutcome, VerdictCounts
from steward.linkerd.certificates import CertificateInventory
from steward.linkerd.ownership import Ownership
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import CheckScope


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
class KubernetesSeen:
    """The API server's version, and what the target's charts demand of it."""

    server: str
    """As the server says it: `v1.36.3`."""
    chart_range: str = ""
    """`kubeVersion` of the target's charts, for example `>=1.31.0-0`; empty where no charts are at hand."""


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


@dataclass(frozen=True, slots=True)
class BrokenFeature:
    """A feature of the mesh that does not work."""

    feature: str
    message: str
    """What was seen, with the cause where one was found."""


@dataclass(frozen=True, slots=True)
class ConformanceSeen:
    """How a ConformanceRun ended."""

    run: str
    outcome: ConformanceOutcome
    message: str
    summary: VerdictCounts
    broken: tuple[BrokenFeature, ...]


@dataclass(frozen=True, slots=True)
class Awaited:
    """The answer is on its way; ask again."""

    message: str


Observation: TypeAlias = (
    tuple[CheckSeen, ...]
    | InjectionsSeen
    | CertificateInventory
    | KubernetesSeen
    | Ownership
    | VersionsSeen
    | ConformanceSeen
    | Unseen
)
"""The observation of a gate. Certificates and ownership are `steward.linkerd`'s own facts."""
