"""How ServiceProfiles are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("sp.routes", told.PROFILES_IGNORED, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("sp.routes", proxy.PROFILE_IGNORED, "PROXY_STALE", Rung.PROXY),
    Mutation("sp.retry-budget", proxy.NO_RETRIES, "DATAPATH", Rung.TRAFFIC),
    Mutation("sp.timeout", proxy.NO_TIMEOUTS, "DATAPATH", Rung.TRAFFIC),
    Mutation("sp.precedence", proxy.PROFILE_IGNORED, "PROXY_STALE", Rung.PROXY),
    Mutation("sp.precedence", proxy.DISCOVERY_KEPT, "PROXY_STALE", Rung.PROXY),
    Mutation("sp.routes", network.QUERIES_LOST, control=True),
)
