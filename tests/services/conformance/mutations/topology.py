"""How topology is broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("topo.zone-hints", told.ZONE_HINTS_IGNORED, "TOPOLOGY_IGNORED", Rung.CONTROL_PLANE),
    Mutation("topo.local", told.LOCAL_POLICY_IGNORED, "TOPOLOGY_IGNORED", Rung.CONTROL_PLANE),
    Mutation("topo.zone-hints", network.ADDRESSES_CROSSED, control=True),
)
