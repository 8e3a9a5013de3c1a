"""Tests on a real API server: they take the fixtures of the test kit as they are."""

import pytest

from steward.testing.cluster.fixtures import (
    artifacts,
    binaries,
    breakable_control_plane,
    breakable_linkerd,
    cluster_settings,
    control_plane,
    header,
    linkerd,
    namespace,
    scenario_cluster,
    trust,
)

__all__ = [
    "artifacts",
    "binaries",
    "breakable_control_plane",
    "breakable_linkerd",
    "cluster_settings",
    "control_plane",
    "linkerd",
    "namespace",
    "scenario_cluster",
    "trust",
]


def pytest_report_header() -> list[str]:
    """Say which cluster and how real a Linkerd the tests take."""
    return header()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the cluster, or one of its own."""
    for item in items:
        if "tests/cluster/" in item.nodeid and item.get_closest_marker("mesh") is None:
            item.add_marker(pytest.mark.cluster)
