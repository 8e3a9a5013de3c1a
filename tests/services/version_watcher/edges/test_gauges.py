"""The status as numbers, with a bounded number of series."""

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from services.version_watcher.edges.gauges import show
from services.version_watcher.metrics import METRICS, MOST_VERSIONS, PREFIX
from steward.events.versions import DriftKind
from steward.resources.release_catalog import (
    ChannelStatus,
    DriftStatus,
    MeshStatus,
    ProxyCount,
    ReleaseCatalogStatus,
    SourceStatus,
)
from steward.service.instruments import Instruments

NOW = datetime(2026, 8, 22, tzinfo=UTC)


def test_the_gauges_say_what_the_status_says() -> None:
    instruments = Instruments(CollectorRegistry(), METRICS)
    channel = ChannelStatus(
        name="edge",
        head="edge-26.8.3",
        head_observed_at=NOW - timedelta(hours=1),
        offered="edge-26.7.1",
        regressed=True,
    )
    mesh = MeshStatus(
        control_plane="edge-26.6.3",
        install_method="Helm",
        proxies=(ProxyCount(version="edge-26.6.3", pods=7), ProxyCount(version="", pods=2)),
        drifts=(DriftStatus(kind=DriftKind.UNKNOWN_PROXY, count=2, message="Two."),),
    )
    read = SourceStatus(name="version-check", reason="Read", healthy=True, last_success_at=NOW)
    show(instruments, ReleaseCatalogStatus(channels=(channel,), mesh=mesh, sources=(read,)), 3, NOW)

    def sample(name: str, **labels: str) -> float | None:
        return instruments.registry.get_sample_value(f"{PREFIX}_{name}", labels)

    assert sample("head_info", channel="edge", release="edge-26.8.3") == 1
    assert sample("head_age_seconds", channel="edge") == 3600
    assert sample("head_observed_timestamp_seconds", channel="edge") == (NOW - timedelta(hours=1)).timestamp()
    assert sample("head_regressed", channel="edge") == 1
    assert sample("proxies", version="edge-26.6.3") == 7
    assert sample("proxies", version="unknown") == 2
    assert sample("drifts", kind="UnknownProxy") == 2
    assert sample("control_plane_info", release="edge-26.6.3", install_method="Helm") == 1
    assert sample("source_last_success_timestamp_seconds", source="version-check") == NOW.timestamp()
    assert sample("events_owed") == 3

    show(instruments, ReleaseCatalogStatus(), 0, NOW)
    assert sample("head_info", channel="edge", release="edge-26.8.3") is None
    assert sample("proxies", version="edge-26.6.3") is None


def test_however_many_tags_there_are_the_series_are_bounded() -> None:
    instruments = Instruments(CollectorRegistry(), METRICS)
    proxies = tuple(ProxyCount(version=f"tag-{number}", pods=100 - number) for number in range(100))
    show(instruments, ReleaseCatalogStatus(mesh=MeshStatus(proxies=proxies)), 0, NOW)
    samples = [
        each for family in instruments.registry.collect() for each in family.samples if each.name == f"{PREFIX}_proxies"
    ]
    assert len(samples) == MOST_VERSIONS + 1
    assert sum(each.value for each in samples) == sum(each.pods for each in proxies)


def test_every_metric_is_named_by_convention() -> None:
    assert len({each.name for each in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("steward_version_watcher_")
        assert metric.help.endswith(".")
        if metric.type == "counter":
            assert metric.name.endswith("_total")
