"""What the test cluster reads from the environment."""

from pathlib import Path

import pytest

from steward.testing.cluster.settings import ClusterTestSettings


def test_an_empty_environment_means_a_throwaway_cluster_and_the_usual_cache() -> None:
    settings = ClusterTestSettings.from_environment({"HOME": "/home/somebody"})

    assert settings.kubeconfig is None
    assert settings.artifacts is None
    assert settings.cache == Path("/home/somebody/.cache/linkerd-steward")
    assert settings.shared.name == "shared"


def test_everything_can_be_named() -> None:
    settings = ClusterTestSettings.from_environment(
        {
            "KUBECONFIG": "/a/kubeconfig",
            "STEWARD_LINKERD_ARTIFACTS": "/a/artifacts",
            "STEWARD_SHARED": "/a/shared",
            "XDG_CACHE_HOME": "/a/cache",
        }
    )

    assert settings.kubeconfig == Path("/a/kubeconfig")
    assert settings.artifacts == Path("/a/artifacts")
    assert settings.shared == Path("/a/shared")
    assert settings.cache == Path("/a/cache/linkerd-steward")


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_ci_is_read_as_ci_systems_write_it(value: str, *, expected: bool) -> None:
    assert ClusterTestSettings.from_environment({"HOME": "/h", "CI": value}).ci is expected


def test_children_inherit_the_environment_with_changes() -> None:
    settings = ClusterTestSettings.from_environment({"HOME": "/h", "PATH": "/bin"})

    assert settings.child_environment(PATH="/sbin", A="b") == {"HOME": "/h", "PATH": "/sbin", "A": "b"}
