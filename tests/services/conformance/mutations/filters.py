"""How filters of routes are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("route.request-headers", proxy.FILTERS_IGNORED, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.response-headers", proxy.RESPONSE_FILTERS_IGNORED, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.redirect", proxy.REDIRECT_IGNORED, "DATAPATH", Rung.TRAFFIC),
)
