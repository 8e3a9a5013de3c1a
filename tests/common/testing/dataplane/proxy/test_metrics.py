"""The figures of a proxy, and the page that shows them."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import ProxySettings, Timings
from steward.testing.dataplane.faults import Faults, Scope
from steward.testing.dataplane.proxy.metric_faults import COUNTED_TWICE, FROZEN, RESTLESS, missing, renamed
from steward.testing.dataplane.proxy.metrics import NEWEST, NoSuchMetric, ProxyMetrics, minor_of
from steward.testing.dataplane.proxy.page import render

NEW = ProxySettings("echo-1", "shop", "127.1.0.1", "edge-26.8.3")
OLD = ProxySettings("echo-2", "shop", "127.1.0.2", "edge-24.8.2")
TIMINGS = Timings(metrics_idle=timedelta(seconds=20))
PARENT = {"parent_group": "", "parent_kind": "default", "parent_name": "all-unauthenticated", "parent_port": "8080"}


def figures(
    settings: ProxySettings = NEW, faults: Faults | None = None, clock: ManualClock | None = None
) -> ProxyMetrics:
    """The figures of one proxy that has counted nothing."""
    return ProxyMetrics(settings, clock or ManualClock(), TIMINGS, faults or Faults())


def read(metrics: ProxyMetrics, settings: ProxySettings = NEW, faults: Faults | None = None) -> dict[str, float]:
    """The page as a reader of Prometheus understands it: value by name and labels."""
    text = render(metrics, settings, faults or Faults())
    assert text.endswith("# EOF\n")
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_gauges_and_histograms_are_read_back_as_they_were_counted() -> None:
    metrics = figures()
    metrics.count("request_total", direction="inbound", tls="true")
    metrics.count("request_total", 2, direction="inbound", tls="true")
    metrics.count("response_total", 0, direction="inbound")
    metrics.gauge("process_open_fds", 7)
    metrics.observe("response_latency_ms", 3, direction="inbound")
    metrics.observe("response_latency_ms", 60000, direction="inbound")
    metrics.observe("inbound_http_request_duration_seconds", 0.3, **PARENT)

    page = read(metrics)

    assert page["request_total direction=inbound tls=true"] == 3
    assert page["response_total direction=inbound"] == 0
    assert page["process_open_fds"] == 7
    assert page["response_latency_ms_bucket direction=inbound le=2"] == 0
    assert page["response_latency_ms_bucket direction=inbound le=3"] == 1
    assert page["response_latency_ms_bucket direction=inbound le=50000"] == 1
    assert page["response_latency_ms_bucket direction=inbound le=+Inf"] == 2
    assert page["response_latency_ms_count direction=inbound"] == 2
    named = " ".join(f"{key}={value}" for key, value in sorted(PARENT.items()))
    assert page[f"inbound_http_request_duration_seconds_bucket le=0.25 {named}"] == 0
    assert page[f"inbound_http_request_duration_seconds_bucket le=0.5 {named}"] == 1


def test_the_older_generator_comes_first_and_names_its_counters_in_full() -> None:
    metrics = figures()
    metrics.count("inbound_http_requests_total", **PARENT)
    metrics.count("request_total", direction="inbound")

    kinds = [line for line in render(metrics, NEW, Faults()).splitlines() if line.startswith("# TYPE")]

    assert kinds == ["# TYPE request_total counter", "# TYPE inbound_http_requests counter"]


async def test_series_of_the_older_generator_fade_and_those_of_the_registry_stay() -> None:
    clock = ManualClock()
    metrics = figures(clock=clock)
    metrics.count("request_total", direction="inbound")
    metrics.count("inbound_http_requests_total", **PARENT)

    await clock.advance(timedelta(seconds=19))
    metrics.count("response_total", direction="inbound")
    await clock.advance(timedelta(seconds=2))

    assert metrics.value("request_total") == 0
    assert metrics.value("response_total") == 1
    assert metrics.value("inbound_http_requests_total") == 1


async def test_series_of_an_open_connection_do_not_fade() -> None:
    clock = ManualClock()
    metrics = figures(clock=clock)
    metrics.count("tcp_open_total", direction="inbound", peer="src")
    metrics.shift("tcp_open_connections", 1, direction="inbound", peer="src")

    await clock.advance(timedelta(minutes=5))
    still = metrics.value("tcp_open_total")
    metrics.shift("tcp_open_connections", -1, direction="inbound", peer="src")
    metrics.count("tcp_close_total", direction="inbound", peer="src", errno="")
    await clock.advance(timedelta(seconds=21))

    assert still == 1
    assert metrics.value("tcp_open_total") == 0
    assert metrics.value("tcp_close_total") == 0


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("inbound_http_local_ratelimit_total", (2, 17)),
        ("inbound_http_requests_total", (2, 19)),
        ("inbound_http_statuses_total", (2, 20)),
    ],
)
def test_a_family_is_absent_from_versions_before_its_first(name: str, first: tuple[int, int]) -> None:
    versions = {(2, 16): "edge-24.8.2", (2, 17): "edge-24.11.8", (2, 18): "edge-25.4.4", (2, 19): "edge-25.10.7"}
    versions[2, 20] = "edge-26.6.3"
    for minor, version in versions.items():
        settings = ProxySettings("echo", "shop", "127.1.0.1", version)
        metrics = figures(settings)
        metrics.count(name)
        assert (name in read(metrics, settings)) is (minor >= first)


def test_a_label_is_absent_from_versions_before_it() -> None:
    old, new = figures(OLD), figures()
    for metrics in (old, new):
        metrics.count("outbound_http_route_retry_requests_total", hostname="", route_name="pay")

    assert list(read(old, OLD)) == ["outbound_http_route_retry_requests_total route_name=pay"]
    assert list(read(new)) == ["outbound_http_route_retry_requests_total hostname= route_name=pay"]


def test_versions_are_told_by_the_knowledge_of_releases() -> None:
    assert minor_of("edge-25.12.1") == (2, 19)
    assert minor_of("stable-2.16.2") == (2, 16)
    assert minor_of("dev-undefined") == NEWEST


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda metrics: metrics.count("requests_total"), id="family"),
        pytest.param(lambda metrics: metrics.count("request_total", method="GET"), id="label"),
        pytest.param(lambda metrics: metrics.gauge("request_total", 1), id="kind"),
    ],
)
def test_what_no_proxy_exports_cannot_be_counted(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(NoSuchMetric, match=r"request"):
        wrong(figures())


def test_values_of_labels_are_escaped() -> None:
    metrics = figures()
    metrics.count("response_total", error='said "no"\\\n')

    assert list(read(metrics)) == ['response_total error=said "no"\\\n']


def test_figures_can_be_missing_renamed_frozen_and_doubled() -> None:
    faults = Faults()
    metrics = figures(faults=faults)
    metrics.count("request_total")
    metrics.count("response_total")

    faults.switch_on(missing("request_total"), Scope(pod="echo-1"))
    faults.switch_on(renamed("response_total"))
    assert read(metrics, faults=faults) == {"proxy_response_total": 1}

    faults.clear()
    faults.switch_on(FROZEN)
    metrics.count("request_total")
    metrics.count("tcp_open_total")
    assert read(metrics) == {"request_total": 1, "response_total": 1}

    faults.clear()
    faults.switch_on(COUNTED_TWICE, Scope(namespace="shop"))
    metrics.count("request_total")
    assert metrics.value("request_total") == 3

    faults.clear()
    faults.switch_on(RESTLESS)
    assert [read(metrics, faults=faults)["request_total"] for _ in range(2)] == [4, 5]
