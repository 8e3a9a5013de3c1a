"""How shares are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("route.weights", proxy.WEIGHTS_EVEN, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.weights", told.WEIGHTS_IGNORED, "WEIGHTS_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("route.weights", proxy.FIRST_BACKEND_ONLY, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.weight-zero", proxy.WEIGHTS_EVEN, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.change-under-load", proxy.ROUTES_STALE, "DATAPATH", Rung.TRAFFIC),
    Mutation("fault.inject", proxy.FIRST_BACKEND_ONLY, "DATAPATH", Rung.TRAFFIC),
    Mutation("fault.inject", network.QUERIES_LOST, control=True),
)
