"""How balancing is broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("lb.spread", proxy.NO_BALANCING, "NOT_BALANCED", Rung.PROXY),
    Mutation("lb.spread", proxy.HTTP_AS_OPAQUE, "APPPROTO_OPAQUE", Rung.OBJECT),
    Mutation("lb.ewma", proxy.NO_EWMA, "NOT_BALANCED", Rung.PROXY),
    Mutation("lb.endpoint-add", told.STALE_ENDPOINTS, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("lb.endpoint-remove", told.STALE_ENDPOINTS, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("lb.endpoint-remove", told.REMOVED_PODS_STAY, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("lb.staleness", told.STALE_ENDPOINTS, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("lb.first-pod-flood", proxy.MESHED_PREFERRED, "NOT_BALANCED", Rung.PROXY),
    Mutation("lb.spread", network.ADDRESSES_CROSSED, control=True),
)
