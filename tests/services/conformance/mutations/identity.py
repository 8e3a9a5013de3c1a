"""How identity and encryption are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import inbound_faults as inbound
from steward.testing.dataplane.proxy import metric_faults as metrics
from steward.testing.dataplane.proxy import outbound_faults as outbound
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("mtls.identity", inbound.CLIENT_ID_MISSING, "IDENTITY_NOT_TOLD", Rung.PROXY),
    Mutation("mtls.identity", outbound.PLAINTEXT_TO_MESHED, "PLAINTEXT_TO_MESHED", Rung.PROXY),
    Mutation("mtls.identity", told.NO_IDENTITY_OF_ENDPOINTS, "NO_ENDPOINT_IDENTITY", Rung.CONTROL_PLANE),
    Mutation("mtls.identity", objects.restarted_under(network.INJECTOR_OVERLOOKS, "v1"), "NOT_INJECTED", Rung.OBJECT),
    Mutation(
        "mtls.identity",
        objects.annotated("v1", "config.linkerd.io/skip-inbound-ports", "8080"),
        "SKIPPED_PORT",
        Rung.OBJECT,
    ),
    Mutation("mtls.identity", objects.with_port("sm", "http", 18_080), "UNDEFINED_PORT", Rung.OBJECT),
    Mutation("mtls.identity", network.REDIRECTION_BROKEN, "CNI_RULES", Rung.TRAFFIC, Scope(pod="cm")),
    Mutation("mtls.identity", inbound.BLOCKED, "NETPOL_4143", Rung.TRAFFIC),
    Mutation("mtls.identity", inbound.AUTHORIZATION_DENIES_ALL, "POLICY_DENY", Rung.PROXY),
    Mutation("mtls.identity", told.EXPIRED_LEAVES, "NO_IDENTITY", Rung.PROXY, Scope(pod="v1")),
    Mutation("mtls.identity", objects.injected("cu", "enabled"), control=True),
    Mutation("mtls.antispoof", inbound.FORGED_CLIENT_ID_KEPT, "HEADER_TRUSTED", Rung.PROXY),
    Mutation("mtls.antispoof", network.INBOUND_REDIRECTION_BROKEN, "INBOUND_BYPASSED", Rung.TRAFFIC),
    Mutation("mtls.antispoof", objects.injected("su", "enabled"), control=True),
    Mutation("mtls.require-id", outbound.REQUIRE_ID_IGNORED, "REQUIREMENT_IGNORED", Rung.PROXY),
    Mutation("mtls.require-id", outbound.HTTP_AS_OPAQUE, "REQUIREMENT_IGNORED", Rung.PROXY),
    Mutation("mtls.require-id", outbound.REQUIRE_ID_REFUSED, "OTHER_IDENTITY", Rung.CONTROL_PLANE),
    Mutation("mtls.tcp", outbound.PLAINTEXT_TO_MESHED, "TCP_PLAINTEXT", Rung.PROXY),
    Mutation("mtls.tcp", inbound.BLOCKED, "NETPOL_4143", Rung.TRAFFIC),
    Mutation("mtls.tcp", told.NO_IDENTITY_OF_ENDPOINTS, "NO_ENDPOINT_IDENTITY", Rung.CONTROL_PLANE),
    Mutation("mtls.plaintext-visible", metrics.missing("request_total"), "UNCOUNTED", Rung.TRAFFIC),
    Mutation("mtls.plaintext-visible", network.REDIRECTION_BROKEN, "UNCOUNTED", Rung.TRAFFIC, Scope(pod="cm")),
    Mutation("mtls.open-relay", inbound.OPEN_RELAY, "OPEN_RELAY", Rung.PROXY),
    Mutation("mtls.open-relay", network.ADDRESSES_CROSSED, control=True),
    Mutation("mtls.coverage", objects.restarted_under(network.INJECTOR_OVERLOOKS, "sp"), "NOT_INJECTED", Rung.OBJECT),
)
