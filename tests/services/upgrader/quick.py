"""An installation whose upgrade takes milliseconds: the simulated mesh renders it, without a subprocess.

Everything that it must know afterwards is in the cluster, as with the real ones, so that a test may kill the service
anywhere and start it again.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from services.upgrader.core.gates.linkerd_check import EXPECTED
from services.upgrader.core.observations import Check, CheckDocument, CheckResult, CheckSeen, Unseen
from services.upgrader.core.orders import Done, Order, Outcome, Stage, StepObservation, StepPreview
from services.upgrader.edges.assembled import AssembledEdges
from services.upgrader.edges.probes import ProbeEdge
from services.upgrader.edges.workloads import WorkloadEdge
from steward.jsonvalue import JsonObject, texts
from steward.kube.client import Kube
from steward.kube.resources import CONFIG_MAPS
from steward.linkerd.version import Version
from steward.mesh.gather import gather
from steward.resources.upgrade_plan import CheckScope, StepType
from steward.testing.linkerd.mesh import SimulatedMesh

STAMPS = "quick-stamps"


@dataclass
class QuickInstallation:
    """The control plane, upgraded in one go."""

    kube: Kube
    mesh: SimulatedMesh

    async def observe(self, order: Order) -> StepObservation:
        """Look how far a step is."""
        found = await self.kube.find(CONFIG_MAPS, STAMPS, "linkerd")
        stamp = texts(found, "data").get(order.step, "") if found else ""
        if order.step_type is StepType.PREFLIGHT:
            return StepObservation(Stage.REACHED, "Ready", "everything is at hand")
        if order.step_type is not StepType.UPGRADE_CONTROL_PLANE:
            return _plain(stamp, order)
        inventory = await gather(self.kube)
        running = inventory.control_plane.version if inventory.control_plane else None
        if running == order.target:
            return StepObservation(Stage.REACHED, "Reached", f"the control plane runs {running}", stamp)
        configured = inventory.control_plane.configured if inventory.control_plane else ""
        if configured == str(order.target):
            return StepObservation(Stage.SETTLING, "RollingOut", "the control plane is rolling out", stamp)
        return StepObservation(Stage.ABSENT, "Absent", f"the control plane runs {configured}", stamp)

    async def act(self, order: Order) -> Outcome:
        """Upgrade, and stamp."""
        if order.step_type is StepType.UPGRADE_CONTROL_PLANE:
            await self.mesh.upgrade(str(order.target), wait=False)
        body: JsonObject = {
            "metadata": {"name": STAMPS, "namespace": "linkerd"},
            "data": {order.step: order.operation_id},
        }
        await self.kube.apply(CONFIG_MAPS, body, manager=f"quick-{order.step}", force=True)
        return Done(f"{order.step} was carried out")

    async def preview(self, order: Order) -> StepPreview:
        """Say what would be done."""
        return StepPreview(f"would bring {order.step} to {order.target}")


def _plain(stamp: str, order: Order) -> StepObservation:
    if stamp in (order.operation_id, *order.previous_operations):
        return StepObservation(Stage.REACHED, "Reached", f"{order.step} is as it should be", stamp)
    return StepObservation(Stage.ABSENT, "Absent", f"{order.step} is not done", stamp)


@dataclass
class QuickProbes:
    """The real probes, but for `linkerd check`, which would start a process each time."""

    real: ProbeEdge
    errors: dict[CheckScope, str] = field(default_factory=dict)

    async def linkerd_check(self, target: Version, scope: CheckScope, timeout: timedelta) -> CheckSeen | Unseen:
        """Healthy, unless a test says otherwise."""
        del timeout
        error = self.errors.get(scope, "")
        checks = [Check(category, "is well", CheckResult.SUCCESS) for category in EXPECTED[scope]]
        if error:
            checks.append(Check(EXPECTED[scope][-1], "is better than well", CheckResult.ERROR, error))
        return CheckSeen(scope, str(target), (CheckDocument(not error, EXPECTED[scope], tuple(checks)),))

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


@dataclass
class QuickEdges:
    """The edges of upgrader, with a quick installation."""

    installation: QuickInstallation
    probes: QuickProbes
    workloads: WorkloadEdge


def quicken(edges: AssembledEdges, mesh: SimulatedMesh) -> QuickEdges:
    """`edges` without their subprocesses."""
    kube = edges.probes.kube
    return QuickEdges(QuickInstallation(kube, mesh), QuickProbes(edges.probes), edges.workloads)
