"""How inbound policies are broken: by what proxies are told, and by what they make of it."""

from services.conformance.core.probes import authorization, default_policies, other_protocols_authorized
from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import inbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

_OPEN, _DENY, _UNTOLD = "FAIL_OPEN", "POLICY_DENY", "POLICY_NOT_TOLD"
_CLOSED_DEFAULTS = ("all-authenticated", "cluster-authenticated", "deny")
_OPEN_DEFAULTS = {mode: f"authz-{mode}" for mode in ("all-unauthenticated", "cluster-unauthenticated", "audit")}

MUTATIONS = (
    Mutation("authz.server", proxy.AUTHORIZATION_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.server", told.SERVERS_IGNORED, "POLICY_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("authz.meshtls", proxy.IDENTITIES_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.meshtls", told.AUTHORIZATIONS_IGNORED, "AUTHORIZATION_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("authz.meshtls.account", proxy.IDENTITIES_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.network", proxy.NETWORKS_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.network.except", proxy.NETWORKS_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.both", proxy.NETWORKS_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.either", proxy.IDENTITIES_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.route", proxy.ROUTE_AUTHORIZATION_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.route", proxy.UNKNOWN_ROUTE_ALLOWED, _OPEN, Rung.PROXY),
    Mutation("authz.audit", proxy.AUDIT_DENIES, _DENY, Rung.PROXY),
    Mutation("authz.legacy-serverauthorization", proxy.IDENTITIES_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.live-change", proxy.AUTHORIZATION_IGNORED, _OPEN, Rung.PROXY),
    *(
        Mutation(f"authz.default.{mode}", told.DEFAULT_POLICY_IGNORED, "POLICY_NOT_TOLD", Rung.CONTROL_PLANE)
        for mode in _CLOSED_DEFAULTS
    ),
    *(
        Mutation(
            f"authz.default.{mode}", told.DEFAULT_POLICY_DENIES, "POLICY_NOT_TOLD", Rung.CONTROL_PLANE, Scope(name)
        )
        for mode, name in _OPEN_DEFAULTS.items()
    ),
    Mutation("authz.grpc-route", proxy.ROUTE_AUTHORIZATION_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.grpc-route", proxy.GRPC_REFUSED_AS_HTTP, "REFUSED_OTHERWISE", Rung.PROXY),
    Mutation("authz.tcp", proxy.TCP_DENIAL_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.tcp", proxy.AUTHORIZATION_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.tcp", proxy.IDENTITIES_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.tcp", told.AUTHORIZATIONS_IGNORED, "AUTHORIZATION_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("authz.tcp", told.SERVERS_IGNORED, "POLICY_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("authz.default.deny", proxy.AUTHORIZATION_IGNORED, _OPEN, Rung.PROXY),
    Mutation("authz.tcp.revoked", proxy.REVOKED_KEPT, "REVOKED_KEPT", Rung.PROXY),
    *(
        Mutation(probe.id, proxy.AUTHORIZATION_DENIES_ALL, scope=Scope(pod="sp"), control=True)
        for family in (authorization, default_policies, other_protocols_authorized)
        for probe in family.PROBES
        if probe.control is not None
    ),
)
