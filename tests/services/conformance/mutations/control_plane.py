"""How the control plane and certificates are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import inbound_faults as inbound
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Mutation

_LINKERD = "linkerd"

MUTATIONS = (
    Mutation("cp.ready", objects.scaled("linkerd-proxy-injector", 0, _LINKERD), "CP_UNAVAILABLE", Rung.OBJECT),
    Mutation("cp.webhook", network.INJECTOR_OVERLOOKS, "NOT_INJECTED", Rung.OBJECT),
    Mutation("cp.webhook", told.INVALID_ACCEPTED, "VALIDATOR_OPEN", Rung.CONTROL_PLANE),
    Mutation("cp.webhook", objects.scaled("linkerd-proxy-injector", 0, _LINKERD), "NOT_INJECTED", Rung.OBJECT),
    Mutation("cp.dst-consistency", objects.stale_after(told.STALE_ENDPOINTS, "v2"), "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("cp.dst-consistency", told.NO_IDENTITY_OF_ENDPOINTS, "NO_ENDPOINT_IDENTITY", Rung.CONTROL_PLANE),
    Mutation("cp.dst-consistency", told.DESTINATION_DOWN, "CP_UNREACHABLE", Rung.CONTROL_PLANE),
    Mutation("cp.leaves", told.EXPIRED_LEAVES, "LEAF_EXPIRED", Rung.PROXY, Scope(pod="linkerd-proxy-injector")),
    Mutation("mtls.leaves", told.EXPIRED_LEAVES, "LEAF_EXPIRED", Rung.PROXY, Scope(pod="sp")),
    Mutation("mtls.renewal", told.EXPIRED_LEAVES, "LEAF_EXPIRED", Rung.PROXY, Scope(pod="v1")),
    Mutation("mtls.anchor-drift", objects.other_trust_roots(), "ANCHOR_DRIFT", Rung.OBJECT),
    Mutation("mtls.issuer", objects.foreign_issuer(), "ISSUER_REFUSED", Rung.CONTROL_PLANE),
    Mutation("mtls.cipher", inbound.CIPHER_OLD, "OLD_CIPHERS", Rung.PROXY, Scope(pod="v1")),
)
