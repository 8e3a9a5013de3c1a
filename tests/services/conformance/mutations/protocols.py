"""How protocols and ports are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import inbound_faults as inbound
from steward.testing.dataplane.proxy import metric_faults as metrics
from steward.testing.dataplane.proxy import outbound_faults as outbound
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("proto.http1", inbound.PROTOCOL_NOT_RESTORED, "WRONG_HTTP_VERSION", Rung.PROXY),
    Mutation("proto.http1", outbound.HTTP_AS_OPAQUE, "TREATED_AS_OPAQUE", Rung.PROXY),
    Mutation("proto.http1", network.DNS_FAILING, "DNS", Rung.TRAFFIC),
    Mutation("proto.http1", outbound.HANDSHAKES_FAIL, "NETPOL_4143", Rung.TRAFFIC),
    Mutation("proto.http1", objects.scaled("su", 0), control=True),
    Mutation("proto.http2", outbound.H2_DOWNGRADED, "WRONG_HTTP_VERSION", Rung.PROXY),
    Mutation("proto.large", outbound.BODY_CORRUPTED, "BODY_BROKEN", Rung.TRAFFIC),
    Mutation("proto.grpc.unary", outbound.GRPC_TRAILERS_DROPPED, "TRAILERS_LOST", Rung.TRAFFIC),
    Mutation("proto.grpc.stream", outbound.GRPC_TRAILERS_DROPPED, "TRAILERS_LOST", Rung.TRAFFIC),
    Mutation("proto.websocket", outbound.UPGRADE_LOST, "UPGRADE_LOST", Rung.PROXY),
    Mutation("proto.sse", outbound.STREAMS_BUFFERED, "BUFFERED", Rung.TRAFFIC),
    Mutation("proto.tcp.client-first", outbound.TCP_CORRUPTED, "BYTES_CHANGED", Rung.TRAFFIC),
    Mutation("proto.tcp.client-first", outbound.HTTP_AS_OPAQUE, "TREATED_AS_OPAQUE", Rung.PROXY),
    Mutation("proto.detect-timeout", outbound.DETECT_TOO_LONG, "DETECT_PATIENCE", Rung.PROXY),
    Mutation("proto.detect-timeout", outbound.SERVER_FIRST_BROKEN, "SILENCE_CUT", Rung.TRAFFIC),
    *(
        Mutation(feature, objects.scaled("su", 0), control=True)
        for feature in ("obs.admin-port", "proto.opaque.annotation", "proto.undefined-port")
    ),
    Mutation("proto.opaque.annotation", outbound.OPAQUE_AS_HTTP, "NOT_OPAQUE", Rung.PROXY),
    Mutation("proto.opaque.annotation", told.OPAQUE_IGNORED, "OPAQUE_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation("proto.opaque.default", told.OPAQUE_IGNORED, "OPAQUE_DEFAULTS_CHANGED", Rung.CONTROL_PLANE),
    Mutation("proto.server-first.undeclared", outbound.HTTP_AS_OPAQUE, "DETECTION_PASSED_BY", Rung.PROXY),
    Mutation("proto.tls-passthrough", outbound.TCP_CORRUPTED, "TLS_CUT", Rung.TRAFFIC),
    Mutation("proto.app-protocol", told.APP_PROTOCOL_IGNORED, "POLICY_IGNORES_APPPROTO", Rung.CONTROL_PLANE),
    Mutation("proto.undefined-port", told.UNDEFINED_PORT_OPEN, "UNDEFINED_PORT_OPEN", Rung.PROXY),
    Mutation("proto.undefined-port", outbound.UNDEFINED_PORT_HANGS, "UNDEFINED_PORT_OPEN", Rung.PROXY),
    Mutation("proto.headless-ip", metrics.missing("request_total"), "SERVICE_NOT_RESOLVED", Rung.PROXY),
    Mutation("obs.admin-port", inbound.ADMIN_REFUSES, "SCRAPE_REFUSED", Rung.PROXY),
    Mutation(
        "obs.admin-port",
        objects.annotated("v1", "config.linkerd.io/default-inbound-policy", "all-authenticated"),
        "STRICT_DEFAULT",
        Rung.OBJECT,
    ),
)
