"""How injection is broken: an injector that overlooks pods, one that is deaf to annotations, one that is eager."""

from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.network_faults import INJECTOR_OVERLOOKS
from tests.services.conformance.mutations.mutation import Mutation


async def injector_is_deaf(plane: SimulatedDataPlane, _stage: Stage) -> None:
    """It renders every proxy alike, whatever annotations say."""
    plane.mesh.injector.deaf = True


async def injector_is_eager(plane: SimulatedDataPlane, _stage: Stage) -> None:
    """It injects pods that decline, too."""
    plane.mesh.injector.eager = True


_DEAF = ("inj.annotations", "inj.native-sidecar", "inj.opaque-merge", "inj.resources", "inj.skip-ports")

MUTATIONS = (
    Mutation("inj.levels", INJECTOR_OVERLOOKS, "NOT_INJECTED", Rung.CONTROL_PLANE),
    Mutation("inj.version", INJECTOR_OVERLOOKS, "NOT_INJECTED", Rung.CONTROL_PLANE),
    *(Mutation(feature, injector_is_deaf, "ANNOTATION_IGNORED", Rung.CONTROL_PLANE) for feature in _DEAF),
    *(Mutation(feature, injector_is_eager, control=True) for feature in ("inj.levels", "inj.version", *_DEAF)),
    Mutation("cp.webhook", injector_is_eager, control=True),
)
