"""The cache of binaries: keyed by what decides the outcome, complete or rebuilt, and honest about a missing Go."""

import json
from pathlib import Path

import pytest

from steward.testing.cluster import binaries as toolbox
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.toolboxes.toolbox import GoMissing


def _settings(tmp_path: Path, **environment: str) -> ClusterTestSettings:
    return ClusterTestSettings.from_environment({"XDG_CACHE_HOME": str(tmp_path), "PATH": "/nowhere", **environment})


def test_without_go_and_without_a_cache_the_message_names_both_remedies(tmp_path: Path) -> None:
    with pytest.raises(GoMissing, match=r"install Go .* or name a cluster of your own in KUBECONFIG"):
        toolbox.build(_settings(tmp_path))


def test_a_complete_cache_needs_no_go(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    cached = toolbox.cached(settings)
    _fill(cached)

    assert toolbox.build(settings) == cached
    assert cached.directory.is_relative_to(tmp_path / "linkerd-steward")


@pytest.mark.parametrize("damage", ["missing", "shortened"])
def test_a_damaged_cache_is_not_taken(tmp_path: Path, damage: str) -> None:
    settings = _settings(tmp_path)
    cached = toolbox.cached(settings)
    _fill(cached)
    if damage == "missing":
        cached.path("etcd").unlink()
    else:
        cached.path("etcd").write_bytes(b"et")

    with pytest.raises(GoMissing):
        toolbox.build(settings)


def test_what_a_killed_build_left_is_not_taken(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    toolbox.cached(settings).directory.mkdir(parents=True)

    assert not toolbox.cached(settings).complete()


def test_binaries_carry_the_versions_that_go_mod_pins() -> None:
    control_plane, helm = toolbox.RECIPES

    assert "component-base/version.gitVersion=v1.36.3" in control_plane.link_flags()
    assert "component-base/version.gitMinor=36" in control_plane.link_flags()
    assert "internal/version.version=v3.22.0" in helm.link_flags()


def _fill(binaries: Binaries) -> None:
    binaries.directory.mkdir(parents=True)
    binaries.path("etcd").write_bytes(b"etcd")
    (binaries.directory / "complete.json").write_text(json.dumps({"etcd": 4}))
