"""How failing fast is broken."""

from services.conformance.core.slices import CLOSED_PORT
from services.conformance.core.stage import Port
from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("failfast.unreachable", proxy.NO_FAILFAST, "HANGS", Rung.PROXY),
    Mutation("failfast.unreachable", proxy.FAILFAST_FOR_EVER, "FAILFAST_STAYS", Rung.PROXY),
    Mutation("lb.zero-endpoints", proxy.NO_FAILFAST, "HANGS", Rung.PROXY),
    Mutation("lb.zero-endpoints", proxy.FAILFAST_FOR_EVER, "FAILFAST_STAYS", Rung.PROXY),
    Mutation("lb.zero-endpoints", told.STALE_ENDPOINTS, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("lb.zero-endpoints", told.REMOVED_PODS_STAY, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("queue.loadshed", proxy.NO_FAILFAST, "HANGS", Rung.PROXY),
    Mutation("failfast.unreachable", objects.listening("su", Port.SKIPPED, CLOSED_PORT), control=True),
)
