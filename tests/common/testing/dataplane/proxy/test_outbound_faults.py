"""Every fault of the outbound proxy breaks what it says: one observation in health, another one with the fault."""

from datetime import timedelta

import pytest

from steward.clock import Clock, SystemClock
from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import (
    ConsecutiveAccrual,
    HeaderMatch,
    Match,
)
from steward.testing.dataplane.faults import Fault
from steward.testing.dataplane.proxy import outbound_faults as broken
from tests.common.testing.dataplane.proxy.outbound_scenario import Scenario
from tests.common.testing.dataplane.proxy.outbound_side import (
    SERVER_ID,
    outbound_side,
)
from tests.common.testing.dataplane.proxy.scenarios_of_carriage import (
    across_a_change,
    first_chunk,
    grpc_end,
    half_closed,
    http_target,
    large_body,
    large_bytes,
    opaque,
    own_error,
    quick,
    silent_client,
    spoken_at_server,
    undefined,
    upgraded,
)
from tests.common.testing.dataplane.proxy.scenarios_of_endpoints import (
    avoided,
    closing_breaker,
    endpoints_back,
    half_meshed,
    impostor,
    penalised,
    required,
    route_counted,
    secured,
    spread,
    statuses,
    tls_counted,
    without_endpoints,
)
from tests.common.testing.dataplane.proxy.scenarios_of_routes import (
    asked_anew,
    changed_route,
    egress_allowed,
    egress_denied,
    filtered,
    matching,
    missing,
    only,
    other_host,
    overridden,
    overriding,
    redirected,
    retried_by_profile,
    retry,
    shares,
    timed,
    used_profile,
)

Case = tuple[Scenario, object, object]
PATIENT, SHORT = timedelta(seconds=20), timedelta(milliseconds=220)
"""Less than three times the detection, more than nothing: what hangs for ever hangs that long too."""

LONG = ConsecutiveAccrual(3, timedelta(minutes=1), timedelta(minutes=1))
CASES: dict[Fault, Case] = {
    broken.DETECT_TOO_LONG: (silent_client, b"hello", "hangs"),
    broken.OPAQUE_AS_HTTP: (opaque, 1, 0),
    broken.HTTP_AS_OPAQUE: (http_target, 1, 0),
    broken.SERVER_FIRST_BROKEN: (silent_client, b"hello", "reset"),
    broken.HALF_CLOSE_LOST: (half_closed, b"!", b""),
    broken.CONNECTIONS_CUT: (across_a_change, b"B", "reset"),
    broken.TCP_CORRUPTED: (large_bytes, True, False),
    broken.UNDEFINED_PORT_HANGS: (undefined, "reset", "hangs"),
    broken.PLAINTEXT_TO_MESHED: (secured, "meshed", "bare"),
    broken.FORGED_IDENTITY_PASSES: (impostor, "504", "impostor"),
    broken.REQUIRE_ID_IGNORED: (required("other"), 502, 200),
    broken.REQUIRE_ID_REFUSED: (required(SERVER_ID), 200, 502),
    broken.HANDSHAKES_FAIL: (required(""), 200, 504),
    broken.ROUTES_STALE: (changed_route, ["v1", "v2"], ["v1", "v1"]),
    broken.NO_ROUTE_IGNORED: (only(Match(path_prefix="/a")), "404", "echo"),
    broken.ROUTES_NOT_FOUND: (matching, "v1", "404"),
    broken.PATH_IGNORED: (only(Match(path_prefix="/a")), "404", "v1"),
    broken.METHOD_IGNORED: (only(Match(method="POST")), "404", "v1"),
    broken.HEADER_MATCHES_IGNORED: (only(Match(headers=(HeaderMatch("x", "1"),))), "404", "v1"),
    broken.QUERY_MATCHES_IGNORED: (only(Match(query=(HeaderMatch("x", "1"),))), "404", "v1"),
    broken.HOSTS_IGNORED: (other_host, "404", "v1"),
    broken.WEIGHTS_EVEN: (shares, 6, 4),
    broken.FIRST_BACKEND_ONLY: (shares, 6, 8),
    broken.FILTERS_IGNORED: (filtered, (True, "1"), (False, "1")),
    broken.RESPONSE_FILTERS_IGNORED: (filtered, (True, "1"), (True, "")),
    broken.REDIRECT_IGNORED: (redirected, "302", "v1"),
    broken.MISSING_BACKEND_HANGS: (missing, "500", "hangs"),
    broken.OVERRIDE_IGNORED: (overriding(ingress=True), "named", "dialled"),
    broken.OVERRIDE_HEEDED: (overriding(ingress=False), "dialled", "named"),
    broken.EGRESS_ALLOWED: (egress_denied, "403", "outside"),
    broken.EGRESS_DENIED: (egress_allowed, "outside", "403"),
    broken.PROFILE_IGNORED: (used_profile, 1, 0),
    broken.DISCOVERY_KEPT: (asked_anew, True, "hangs"),
    broken.NO_BALANCING: (spread, 2, 1),
    broken.MESHED_PREFERRED: (half_meshed, 2, 1),
    broken.NO_EWMA: (avoided, False, True),
    broken.NO_PENALTY: (penalised, False, True),
    broken.NO_ACCRUAL: (statuses(LONG, 5), [500, 500, 500, 504, 503], [500] * 5),
    broken.BREAKER_NEVER_CLOSES: (closing_breaker, None, "hangs"),
    broken.BREAKER_HASTY: (statuses(LONG, 3), [500, 500, 500], [500, 504, 503]),
    broken.NO_FAILFAST: (without_endpoints, 504, "hangs"),
    broken.FAILFAST_FOR_EVER: (endpoints_back, "back", "503"),
    broken.NO_RETRIES: (retry(1), 200, 503),
    broken.RETRIES_WITHOUT_BODY: (retry(1, body=True), 200, 503),
    broken.RETRY_LIMIT_IGNORED: (retry(4), 503, 200),
    broken.RETRY_BUDGET_IGNORED: (retried_by_profile, "503", "200"),
    broken.NO_TIMEOUTS: (timed(20), 504, 200),
    broken.TIMEOUTS_HALVED: (timed(1190), 200, 504),
    broken.HEADER_OVERRIDES_HEEDED: (overridden, 1, 2),
    broken.H2_DOWNGRADED: (spoken_at_server, "HTTP/2", "HTTP/1.1"),
    broken.GRPC_TRAILERS_DROPPED: (grpc_end, 1, 0),
    broken.UPGRADE_LOST: (upgraded, True, False),
    broken.STREAMS_BUFFERED: (first_chunk, b"tick", "hangs"),
    broken.BODY_CORRUPTED: (large_body, True, False),
    broken.PROXY_ERROR_MISSING: (own_error, (404, True), (404, False)),
    broken.OWN_STATUS_WRONG: (own_error, (404, True), (500, True)),
    broken.SLOW: (quick, "echo", "hangs"),
    broken.TLS_LABEL_WRONG: (tls_counted, 1, 0),
    broken.ROUTE_LABELS_WRONG: (route_counted, 1, 0),
}


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.name)
async def test_it_breaks_what_it_says_and_nothing_without_it(fault: Fault) -> None:
    scenario, healthy, sick = CASES[fault]
    async with outbound_side(_clock(fault)) as side:
        side.patience = SHORT if healthy == "hangs" else PATIENT
        assert await scenario(side) == healthy
    async with outbound_side(_clock(fault)) as side:
        side.patience = SHORT if sick == "hangs" else PATIENT
        side.faults.switch_on(fault, delay=timedelta(minutes=1))
        assert await scenario(side) == sick


def _clock(fault: Fault) -> Clock:
    """What compares latencies stands on a clock that only the slow one moves."""
    return ManualClock() if fault in {broken.NO_EWMA, broken.NO_PENALTY} else SystemClock()


def test_no_fault_is_left_out() -> None:
    assert set(CASES) == {value for value in vars(broken).values() if isinstance(value, Fault)}
    assert len({fault.name for fault in CASES}) == len(CASES)
