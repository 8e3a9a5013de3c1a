"""How figures lie, and how routes stay without a verdict."""

from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import metric_faults as figures
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("obs.proxy-metrics", figures.FROZEN, "METRICS_WRONG", Rung.PROXY),
    Mutation("obs.proxy-metrics", figures.COUNTED_TWICE, "MISCOUNTED", Rung.PROXY),
    Mutation("obs.inbound-metrics", figures.FROZEN, "METRICS_WRONG", Rung.PROXY),
    Mutation("obs.policy-status", told.ROUTE_STATUS_ABSENT, "STATUS_STALE", Rung.CONTROL_PLANE),
    Mutation("obs.proxy-metrics", figures.RESTLESS, control=True),
)
