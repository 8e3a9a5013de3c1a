"""Metrics are what was declared, and a series that is no more is not shown any more."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from steward.service.chassis_metrics import ChassisMetrics
from steward.service.instruments import Instruments, counter, gauge, histogram

RESTARTS = counter("steward_test_restarts_total", "Restarts.", "kind")
PODS = gauge("steward_test_proxy_pods", "Pods.", "version")
TOOK = histogram("steward_test_step_seconds", "Seconds.")


def _shown(instruments: Instruments) -> str:
    return generate_latest(instruments.registry).decode()


def test_what_is_counted_is_shown() -> None:
    instruments = Instruments(CollectorRegistry(), [RESTARTS, TOOK])

    instruments.count(RESTARTS, "Deployment", by=2)
    instruments.observe(TOOK, 0.2)

    assert 'steward_test_restarts_total{kind="Deployment"} 2.0' in _shown(instruments)
    assert "steward_test_step_seconds_count 1.0" in _shown(instruments)


def test_a_series_that_is_no_more_is_not_shown_any_more() -> None:
    instruments = Instruments(CollectorRegistry(), [PODS])
    instruments.show(PODS, {("edge-26.6.3",): 3, ("edge-26.8.3",): 0})

    instruments.show(PODS, {("edge-26.8.3",): 3})

    assert "edge-26.6.3" not in _shown(instruments)
    assert 'steward_test_proxy_pods{version="edge-26.8.3"} 3.0' in _shown(instruments)


def test_a_metric_that_was_not_declared_cannot_be_written() -> None:
    instruments = Instruments(CollectorRegistry(), [])

    with pytest.raises(KeyError):
        instruments.count(RESTARTS, "Deployment")


def test_the_chassis_names_its_metrics_after_the_service() -> None:
    metrics = ChassisMetrics.of("version-watcher").all()

    assert all(metric.name.startswith("steward_version_watcher_") for metric in metrics)
    assert len({metric.name for metric in metrics}) == len(metrics)
