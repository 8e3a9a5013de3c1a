"""The edges, as the service sees them. Every method is total: what went wrong is in the answer, not an exception.

The one exception to that is cancellation. An edge holds no policy and remembers nothing that a restart would miss.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from services.upgrader.core.observations import (
    Awaited,
    CheckSeen,
    ConformanceSeen,
    InjectionsSeen,
    KubernetesSeen,
    Unseen,
)
from services.upgrader.core.orders import Exercise, Order, Outcome, Restart, StepObservation, StepPreview
from steward.linkerd.certificates import CertificateInventory
from steward.linkerd.ownership import Ownership
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import CheckScope


class Installation(Protocol):
    """The control plane: Helm, the Linkerd CLI or rendered manifests, by `order.method`.

    Step types that reach it: Preflight (observe and preview only), ApplyCRDs, UpgradeControlPlane, Prune.
    """

    async def observe(self, order: Order) -> StepObservation | Unseen:
        """Look how far the step's goal is. Changes nothing. Unseen: it could not look; that says nothing."""
        ...

    async def act(self, order: Order) -> Outcome:
        """Do what the step asks for, once. Called only when `observe` said Absent or Interrupted."""
        ...

    async def preview(self, order: Order) -> StepPreview:
        """Say what `act` would do. Changes nothing."""
        ...


class Workloads(Protocol):
    """The workloads that get new proxies."""

    async def restart(self, restart: Restart) -> Outcome:
        """Set the marker by server-side apply and stamp the workload. Done(changed=False): it was set already."""
        ...


class Probes(Protocol):
    """What gates look at. VersionSkew is judged from the inventory and needs no edge."""

    async def linkerd_check(self, target: Version, scope: CheckScope, timeout: timedelta) -> CheckSeen | Unseen:
        """`linkerd check` by the CLI of `target`; Unseen(`NoCli`) with the remedy where none is at hand."""
        ...

    async def injections(self, namespaces: Sequence[str]) -> InjectionsSeen | Unseen:
        """Create one pod in each namespace as a dry run and look at the answer."""
        ...

    async def certificates(self) -> CertificateInventory | Unseen:
        """Trust bundle, issuer, webhook certificates and caBundles."""
        ...

    async def kubernetes(self, target: Version) -> KubernetesSeen | Unseen:
        """The server's version, and the charts' bound on it."""
        ...

    async def ownership(self) -> Ownership | Unseen:
        """Every sign of who owns the installation."""
        ...

    async def conformance(self, exercise: Exercise) -> ConformanceSeen | Awaited | Unseen:
        """Ask for the ConformanceRun of that name where it does not exist, and say how it stands."""
        ...


class Edges(Protocol):
    """All of them."""

    @property
    def installation(self) -> Installation: ...

    @property
    def workloads(self) -> Workloads: ...

    @property
    def probes(self) -> Probes: ...
