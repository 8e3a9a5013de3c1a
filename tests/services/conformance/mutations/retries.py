"""How retries are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.proxy import outbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

MUTATIONS = (
    Mutation("retry.http", proxy.NO_RETRIES, "PROXY_STALE", Rung.PROXY),
    Mutation("retry.http", told.ANNOTATIONS_IGNORED, "CP_STALE", Rung.CONTROL_PLANE),
    Mutation("retry.http", proxy.RETRIES_WITHOUT_BODY, "DATAPATH", Rung.TRAFFIC),
    Mutation("retry.limit", proxy.RETRY_LIMIT_IGNORED, "PROXY_STALE", Rung.PROXY),
    Mutation("retry.grpc", proxy.NO_RETRIES, "PROXY_STALE", Rung.PROXY),
    Mutation("retry.timeout", proxy.NO_RETRIES, "PROXY_STALE", Rung.PROXY),
    Mutation("retry.headers", proxy.HEADER_OVERRIDES_HEEDED, "HEADERS_HEEDED", Rung.PROXY),
    Mutation("retry.http", network.QUERIES_LOST, control=True),
)
