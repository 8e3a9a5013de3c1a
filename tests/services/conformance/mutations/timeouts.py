"""How timeouts are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("timeout.request", proxy.NO_TIMEOUTS, "PROXY_STALE", Rung.PROXY),
    Mutation("timeout.request", proxy.TIMEOUTS_HALVED, "DATAPATH", Rung.TRAFFIC),
    Mutation("timeout.request", told.ANNOTATIONS_IGNORED, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("timeout.response", proxy.NO_TIMEOUTS, "PROXY_STALE", Rung.PROXY),
    Mutation("timeout.route", proxy.NO_TIMEOUTS, "PROXY_STALE", Rung.PROXY),
    Mutation("timeout.idle", proxy.NO_TIMEOUTS, "PROXY_STALE", Rung.PROXY),
    Mutation("timeout.request", network.QUERIES_LOST, control=True),
)
