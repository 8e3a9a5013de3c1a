"""How ingress mode is broken."""

from services.conformance.core.probes.ingress import INGRESS
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import outbound_faults as outbound
from tests.services.conformance.mutations.mutation import Mutation

_ITS_POD = Scope(pod=INGRESS)


async def injector_knows_no_mode(plane: SimulatedDataPlane, _stage: Stage) -> None:
    """A pod that asks for ingress mode gets a proxy like any other."""
    plane.mesh.injector.modeless = True


MUTATIONS = (
    Mutation("ingress.header", injector_knows_no_mode, "NOT_IN_INGRESS_MODE", Rung.OBJECT),
    Mutation("ingress.header", network.INJECTOR_OVERLOOKS, "NOT_INJECTED", Rung.OBJECT, _ITS_POD),
    Mutation("ingress.header", outbound.OVERRIDE_IGNORED, "OVERRIDE_IGNORED", Rung.PROXY),
    Mutation("ingress.header", outbound.OVERRIDE_HEEDED, "OVERRIDE_HEEDED", Rung.PROXY),
    Mutation("ingress.header", outbound.PLAINTEXT_TO_MESHED, "INGRESS_PLAINTEXT", Rung.TRAFFIC, _ITS_POD),
    Mutation("ingress.header", network.ADDRESSES_CROSSED, control=True),
)
