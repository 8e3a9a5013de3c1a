"""What a proxy says about itself and about its calls to the control plane."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.proxy.control_figures import Client, ControlFigures
from steward.testing.dataplane.proxy.inbound_faults import ANCHORS_DRIFTED, CIPHER_OLD
from steward.testing.dataplane.proxy.trust_drift import drifting
from tests.common.testing.dataplane.proxy.lone_proxy import ECHO, POD, SETTINGS, TRUST, LoneProxy, lone_proxy

IDENTITY = "linkerd-identity-headless.linkerd.svc.cluster.local:8080"
DESTINATION = "linkerd-dst-headless.linkerd.svc.cluster.local:8086"


@pytest.fixture
async def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
async def lone(clock: ManualClock) -> AsyncIterator[LoneProxy]:
    """A proxy of a pod."""
    async with lone_proxy(clock=clock) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("release", "number"),
    [("edge-26.8.3", "2.359.0"), ("edge-25.4.4", "2.294.0"), ("dev-unknown", "dev-unknown")],
)
async def test_the_build_is_named_by_the_number_of_the_proxy(release: str, number: str) -> None:
    async with lone_proxy(ProxySettings("echo-1", "shop", POD, release)) as lone:
        assert lone.page("proxy_build_info", version=number) == 1


async def test_time_passes_for_the_process(lone: LoneProxy, clock: ManualClock) -> None:
    await clock.advance(timedelta(seconds=90))

    assert lone.page("process_uptime_seconds_total") == 90
    assert lone.page("process_clock_time_seconds") == clock.now().timestamp()
    assert lone.page("process_clock_time_seconds") - lone.page("process_start_time_seconds") == 90
    for name in ("process_open_fds", "process_threads", "process_resident_memory_bytes", "process_cpu_seconds_total"):
        assert lone.page(name) > 0


async def test_the_certificate_in_force_is_told_and_each_new_one_is_counted(
    lone: LoneProxy, clock: ManualClock
) -> None:
    first = lone.identity
    assert first is not None
    assert lone.page("control_identity_cert_expiration_timestamp_seconds") == first.not_after.timestamp()
    assert lone.page("control_identity_cert_refreshes_total", result="ok") == 1

    await clock.advance(timedelta(hours=17))
    lone.identity = TRUST.identity(ECHO)
    lone.proxy.vitals.renewed()

    assert lone.page("control_identity_cert_refreshes_total", result="ok") == 2
    assert lone.page("control_identity_cert_refresh_timestamp_seconds") == clock.now().timestamp()
    assert lone.page("control_identity_cert_refreshes_total", result="error") == 0


async def test_a_proxy_without_certificate_tells_no_expiry(lone: LoneProxy) -> None:
    lone.identity = None

    assert lone.page("control_identity_cert_refreshes_total") == 0
    assert "control_identity_cert_expiration_timestamp_seconds" not in {name for name, _, _ in lone.samples()}


async def test_the_ciphers_are_told_and_can_be_old(lone: LoneProxy) -> None:
    def suites() -> list[tuple[bool, bool]]:
        lone.proxy.vitals.refresh()
        return [
            ("AES_256_GCM" in named["tls_suites"], "MLKEM" in named["tls_kx_groups"])
            for name, named, _ in lone.samples()
            if name == "rustls_info"
        ]

    sound = suites()
    lone.faults.switch_on(CIPHER_OLD)

    assert (sound, suites()) == ([(True, True)], [(False, False)])


async def test_trust_anchors_can_drift(lone: LoneProxy, clock: ManualClock) -> None:
    credentials = drifting(lambda: lone.identity, SETTINGS, lone.faults, clock)
    sound = credentials()
    lone.faults.switch_on(ANCHORS_DRIFTED)
    drifted = credentials()

    assert sound is lone.identity
    assert drifted is not None
    assert sound is not None
    assert drifted.certificate == sound.certificate
    assert drifted.anchors != sound.anchors
    assert drifted == credentials()


async def test_calls_to_the_control_plane_are_counted_by_their_outcome(lone: LoneProxy) -> None:
    figures = ControlFigures(lone.metrics)
    for code in ("0", "2", "4"):
        figures.asked(Client.DESTINATION)
        figures.answered(Client.DESTINATION, code)
    figures.asked(Client.IDENTITY)
    figures.broke(Client.IDENTITY)
    figures.endpoints(Client.DESTINATION, ready=0, pending=1)

    assert lone.page("control_request_total", addr=DESTINATION, tls="true") == 3
    assert lone.page("control_response_total", addr=DESTINATION, classification="success") == 2
    assert lone.page("control_response_total", addr=DESTINATION, classification="failure", grpc_status="4") == 1
    assert lone.page("control_response_total", addr=IDENTITY, classification="failure", error="unclassified") == 1
    assert lone.page("control_destination_balancer_endpoints", endpoint_state="pending") == 1
    assert lone.page("control_destination_balancer_endpoints", endpoint_state="ready") == 0
    assert lone.page("control_dns_resolutions_total", client="destination", result="ok") == 3
