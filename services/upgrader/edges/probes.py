"""What gates look at: Linkerd's own check, the injector, certificates, the API server's version, the owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from services.upgrader.core.observations import (
    Awaited,
    CheckSeen,
    ConformanceSeen,
    InjectionsSeen,
    KubernetesSeen,
    Unseen,
)
from services.upgrader.core.orders import Exercise
from services.upgrader.edges.catalog import Catalog
from services.upgrader.edges.check_report import UnreadableReport
from services.upgrader.edges.exercise import ExerciseEdge
from services.upgrader.edges.helm import CONTROL_PLANE_CHART
from services.upgrader.edges.injector import Injector
from services.upgrader.edges.installation import unseen
from services.upgrader.edges.process import CommandTimedOut
from services.upgrader.edges.toolbox import Toolbox
from services.upgrader.edges.tooling import NoTool
from steward.errors import StewardError
from steward.kube.client import Kube
from steward.kube.errors import NotFound
from steward.linkerd.certificates import CertificateInventory
from steward.linkerd.mesh_config import UnreadableConfig
from steward.linkerd.ownership import Ownership
from steward.linkerd.version import Version
from steward.mesh.certificates import gather_certificates
from steward.mesh.gather import gather_ownership
from steward.resources.upgrade_plan import CheckScope

E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True)
class ProbeEdge:
    """Looks, and never judges."""

    kube: Kube
    toolbox: Toolbox
    catalog: Catalog
    namespace: str
    exercises: ExerciseEdge

    async def linkerd_check(self, target: Version, scope: CheckScope, timeout: timedelta) -> CheckSeen | Unseen:
        """`linkerd check` by the CLI of `target`."""
        try:
            cli = await self.toolbox.cli(target, await self.catalog.entry(target))
            if isinstance(cli, NoTool):
                return Unseen("NoCli", cli.message, transient=cli.transient)
            return CheckSeen(scope, str(target), await cli.check(scope, timeout))
        except CommandTimedOut as error:
            return Unseen("TimedOut", f"{error}; look at the API server and the control plane's pods", transient=True)
        except UnreadableReport as error:
            return Unseen("Unreadable", f"the report of `linkerd check` cannot be read: {error}; run it by hand")
        except (StewardError, OSError) as error:
            return unseen(error)

    async def injections(self, namespaces: Sequence[str]) -> InjectionsSeen | Unseen:
        """Create one pod in each namespace as a dry run and look at the answer."""
        seen: InjectionsSeen | Unseen
        try:
            seen = await Injector(self.kube, self.namespace).probe(namespaces)
        except* (UnreadableConfig, NotFound) as group:
            seen = Unseen("NoConfig", f"{_first(group)}; is Linkerd installed?")
        except* StewardError as group:
            seen = unseen(_first(group))
        return seen

    async def certificates(self) -> CertificateInventory | Unseen:
        """Trust bundle, issuer, webhook certificates and caBundles."""
        try:
            return await gather_certificates(self.kube, self.namespace)
        except StewardError as error:
            return unseen(error)

    async def kubernetes(self, target: Version) -> KubernetesSeen | Unseen:
        """The server's version, and the charts' bound on it."""
        try:
            server = await self.kube.server_version()
            entry = await self.catalog.entry(target)
            chart = await self.toolbox.tooling.chart(target, CONTROL_PLANE_CHART, entry)
        except (StewardError, OSError) as error:
            return unseen(error)
        return KubernetesSeen(server, "" if isinstance(chart, NoTool) else chart.kube_version)

    async def ownership(self) -> Ownership | Unseen:
        """Every sign of who owns the installation."""
        try:
            return await gather_ownership(self.kube, self.namespace)
        except StewardError as error:
            return unseen(error)

    async def conformance(self, exercise: Exercise) -> ConformanceSeen | Awaited | Unseen:
        """Ask for the ConformanceRun of that name where it does not exist, and say how it stands."""
        return await self.exercises.ask(exercise)


def _first(group: BaseExceptionGroup[E]) -> E:
    """One of several things that went wrong at once: each would be said the same way."""
    for each in group.exceptions:
        return _first(each) if isinstance(each, BaseExceptionGroup) else each
    raise group
