"""How the rest of routes is broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("route.status", told.ROUTE_STATUS_ABSENT, "ROUTE_NOT_ACCEPTED", Rung.OBJECT),
    Mutation("route.status", told.ROUTE_STATUS_WRONG, "ROUTE_NOT_ACCEPTED", Rung.OBJECT),
    Mutation("route.invalid-backend", proxy.MISSING_BACKEND_HANGS, "DATAPATH", Rung.TRAFFIC),
    Mutation("route.producer-consumer", told.CONSUMER_ROUTES_FOR_ALL, "FOREIGN_ROUTE", Rung.CONTROL_PLANE),
    Mutation("route.grpc", told.ROUTES_IGNORED, "PROXY_STALE", Rung.PROXY),
)
