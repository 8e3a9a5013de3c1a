"""How breakers are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("cb.consecutive", proxy.NO_ACCRUAL, "PROXY_STALE", Rung.PROXY),
    Mutation("cb.consecutive", told.ANNOTATIONS_IGNORED, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("cb.consecutive", proxy.BREAKER_NEVER_CLOSES, "BREAKER_STAYS_OPEN", Rung.PROXY),
    Mutation("cb.unified", proxy.NO_ACCRUAL, "PROXY_STALE", Rung.PROXY),
    Mutation("cb.partial-failure", proxy.BREAKER_HASTY, "BREAKER_AMPLIFIES", Rung.PROXY),
    Mutation("lb.biaser", proxy.NO_PENALTY, "PROXY_STALE", Rung.PROXY),
    Mutation("lb.biaser", told.ANNOTATIONS_IGNORED, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("cb.consecutive", network.QUERIES_LOST, control=True),
)
