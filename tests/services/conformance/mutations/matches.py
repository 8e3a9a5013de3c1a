"""How routes are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("route.path", proxy.PATH_IGNORED, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.path", proxy.ROUTES_NOT_FOUND, "PROXY_STALE", Rung.PROXY),
    Mutation("route.path", told.ROUTES_IGNORED, "PROXY_STALE", Rung.PROXY),
    Mutation("route.method", proxy.METHOD_IGNORED, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.header", proxy.HEADER_MATCHES_IGNORED, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.header", proxy.ROUTE_LABELS_WRONG, "PROXY_STALE", Rung.PROXY),
    Mutation("route.query", proxy.QUERY_MATCHES_IGNORED, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.no-match", proxy.NO_ROUTE_IGNORED, "PROXY_STALE", Rung.PROXY),
    Mutation("route.path", network.ADDRESSES_CROSSED, control=True),
)
