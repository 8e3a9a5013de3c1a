"""Tests of the pages for people."""

from steward.testing.cluster.fixtures import cluster_settings
from tests.deploy.conftest import renderer

__all__ = ["cluster_settings", "renderer"]
