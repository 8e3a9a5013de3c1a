"""How figures and traces lie, and how routes stay without a verdict."""

from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import inbound_faults as inbound
from steward.testing.dataplane.proxy import metric_faults as figures
from steward.testing.dataplane.proxy import trace_faults as spans
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.injection import injector_is_deaf
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("obs.proxy-metrics", figures.FROZEN, "METRICS_WRONG", Rung.PROXY),
    Mutation("obs.proxy-metrics", figures.COUNTED_TWICE, "MISCOUNTED", Rung.PROXY),
    Mutation("obs.inbound-metrics", figures.FROZEN, "METRICS_WRONG", Rung.PROXY),
    Mutation("obs.policy-status", told.ROUTE_STATUS_ABSENT, "STATUS_STALE", Rung.CONTROL_PLANE),
    Mutation("obs.trace", injector_is_deaf, "TRACE_ENV_MISSING", Rung.OBJECT),
    Mutation("obs.trace", objects.run_as("sp", "probe-other"), "COLLECTOR_MISNAMED", Rung.OBJECT),
    Mutation("obs.trace", spans.COLLECTOR_UNREACHABLE, "COLLECTOR_UNREACHABLE", Rung.PROXY),
    Mutation("obs.trace", spans.SPANS_DROPPED, "SPANS_DROPPED", Rung.PROXY),
    Mutation("obs.trace", spans.UNSAMPLED_TOLD, "SAMPLING_IGNORED", Rung.PROXY),
    Mutation("obs.trace", spans.CONTEXT_NOT_PASSED, "TRACE_BROKEN", Rung.PROXY),
    Mutation("obs.trace", spans.SPANS_WITHOUT_STATUS, "SPANS_INCOMPLETE", Rung.PROXY),
    Mutation("obs.trace", objects.scaled("su", 0), control=True),
    Mutation("obs.cp-metrics", objects.strict_controller("linkerd-identity"), "STRICT_DEFAULT", Rung.OBJECT),
    Mutation("obs.cp-metrics", objects.controller_port_served("destination", 9996), "SCRAPE_REFUSED", Rung.PROXY),
    Mutation(
        "obs.cp-metrics",
        objects.controller_port_called("linkerd-proxy-injector", "injector-admin", "admin-http"),
        "ADMIN_PORT_RENAMED",
        Rung.OBJECT,
    ),
    Mutation(
        "obs.cp-metrics", told.CONTROLLER_SILENT, "CONTROLLER_SILENT", Rung.CONTROL_PLANE, Scope(pod="linkerd-identity")
    ),
    Mutation("obs.cp-metrics", figures.missing("kube_watch_events_total"), "FAMILIES_MISSING", Rung.CONTROL_PLANE),
    Mutation("obs.accesslog", injector_is_deaf, "ACCESS_LOG_NOT_SET", Rung.OBJECT),
    Mutation("obs.accesslog", inbound.ACCESS_LOG_MISSING, "ACCESS_LOG_SILENT", Rung.PROXY),
    Mutation("obs.accesslog", inbound.ACCESS_LOG_OTHER_FORMAT, "ACCESS_LOG_FORMAT", Rung.PROXY),
    Mutation("obs.proxy-metrics", figures.RESTLESS, control=True),
    Mutation("obs.cp-metrics", objects.scaled("su", 0), control=True),
)
