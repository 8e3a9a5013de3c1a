"""How discovery is broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("disc.new-target", told.DESTINATION_DOWN, "NEW_TARGETS_HANG", Rung.CONTROL_PLANE),
    Mutation("disc.dns", network.DNS_FAILING, "DNS", Rung.TRAFFIC),
    Mutation("disc.headless", network.DNS_FORGETS_PODS, "DNS", Rung.TRAFFIC),
    Mutation("disc.external-name", network.DNS_FAILING, "DNS", Rung.TRAFFIC),
    Mutation("disc.clusterip-change", told.DESTINATION_DOWN, "CP_UNREACHABLE", Rung.CONTROL_PLANE),
    Mutation("disc.dns", network.DNS_WILDCARD, control=True),
)
