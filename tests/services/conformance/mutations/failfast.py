"""How failing fast is broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("failfast.unreachable", proxy.NO_FAILFAST, "HANGS", Rung.PROXY),
    Mutation("failfast.unreachable", proxy.FAILFAST_FOR_EVER, "FAILFAST_STAYS", Rung.PROXY),
    Mutation("lb.zero-endpoints", proxy.NO_FAILFAST, "HANGS", Rung.PROXY),
    Mutation("lb.zero-endpoints", proxy.FAILFAST_FOR_EVER, "FAILFAST_STAYS", Rung.PROXY),
    Mutation("queue.loadshed", proxy.NO_FAILFAST, "HANGS", Rung.PROXY),
)
