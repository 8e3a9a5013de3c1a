"""How egress policies are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("egress.deny", proxy.EGRESS_ALLOWED, "EGRESS_OPEN", Rung.PROXY),
    Mutation("egress.deny", told.EGRESS_IGNORED, "EGRESS_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("egress.allow", proxy.EGRESS_DENIED, "EGRESS_CLOSED", Rung.PROXY),
    Mutation("egress.route", proxy.HOSTS_IGNORED, "EGRESS_OPEN", Rung.PROXY),
    Mutation("egress.deny", proxy.HANDSHAKES_FAIL, control=True),
    *(Mutation(f"egress.{which}", proxy.HANDSHAKES_FAIL, control=True) for which in ("allow", "route")),
)
