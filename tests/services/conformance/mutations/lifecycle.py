"""How pods that come and go, and connections that stay, are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.network_faults import ADDRESSES_CROSSED, INJECTOR_OVERLOOKS
from steward.testing.dataplane.proxy import inbound_faults as inbound
from steward.testing.dataplane.proxy import outbound_faults as outbound
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Mutation

_NETWORKED = ("life.shutdown", "life.storm", "soak.availability", "soak.longconn")

MUTATIONS = (
    Mutation("life.shutdown", inbound.SHUTDOWN_ABORTS, "CALLS_LOST", Rung.TRAFFIC),
    Mutation("life.shutdown", told.STALE_ENDPOINTS, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("life.storm", INJECTOR_OVERLOOKS, "NOT_INJECTED", Rung.OBJECT, Scope(pod="life-storm")),
    Mutation("soak.availability", outbound.UPGRADE_LOST, "PATH_BROKEN", Rung.TRAFFIC),
    Mutation("soak.longconn", outbound.UPGRADE_LOST, "CONNECTION_LOST", Rung.TRAFFIC),
    Mutation("chg.node-drain", objects.kept_by_a_budget("chg-drained"), "EVICTION_REFUSED", Rung.OBJECT),
    Mutation("chg.node-drain", told.STALE_ENDPOINTS, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("chg.node-drain", inbound.SHUTDOWN_ABORTS, "CALLS_LOST", Rung.TRAFFIC),
    Mutation("chg.node-drain", ADDRESSES_CROSSED, control=True),
    *(Mutation(feature, objects.scaled("su", 0), control=True) for feature in _NETWORKED),
)
