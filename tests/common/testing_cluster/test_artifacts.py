"""Linkerd's artifacts: the most real source wins, version by version, and the layout is always the same."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.testing.cluster.artifacts import VERSIONS, Artifacts, Source, assemble, describe
from steward.testing.cluster.settings import ClusterTestSettings


def _settings(tmp_path: Path, **environment: str) -> ClusterTestSettings:
    return ClusterTestSettings.from_environment(
        {"HOME": str(tmp_path), "STEWARD_SHARED": str(tmp_path / "absent"), **environment}
    )


def _assembled(tmp_path: Path, settings: ClusterTestSettings) -> Artifacts:
    return assemble(settings, tmp_path / "assembled", SystemClock().now())


def test_with_nothing_given_everything_is_a_stand_in(tmp_path: Path) -> None:
    artifacts = _assembled(tmp_path, _settings(tmp_path))

    assert artifacts.versions == VERSIONS
    assert {(release.charts_from, release.cli_from) for release in artifacts.releases} == {
        (Source.STAND_IN, Source.STAND_IN)
    }
    for release in artifacts.releases:
        assert os.access(release.linkerd, os.X_OK)
        assert (release.charts / "linkerd-crds" / "Chart.yaml").is_file()
        assert (release.charts / "linkerd-control-plane" / "Chart.yaml").is_file()


def test_the_stand_in_cli_says_its_version(tmp_path: Path) -> None:
    release = _assembled(tmp_path, _settings(tmp_path))["edge-26.6.3"]

    said = subprocess.run(
        [release.linkerd, "version", "--client", "--short"], capture_output=True, text=True, check=True
    )

    assert said.stdout == "edge-26.6.3\n"


def test_what_is_given_is_taken_and_alone_decides_the_versions(tmp_path: Path) -> None:
    for version in ("edge-26.6.3", "edge-26.10.1"):
        _give(tmp_path / "given" / version)
    settings = _settings(tmp_path, STEWARD_LINKERD_ARTIFACTS=str(tmp_path / "given"))
    artifacts = _assembled(tmp_path, settings)

    # By number, not by spelling: 26.10 is younger than 26.6.
    assert artifacts.versions == ("edge-26.6.3", "edge-26.10.1")
    assert (artifacts.oldest, artifacts.newest) == artifacts.versions
    assert {(release.charts_from, release.cli_from) for release in artifacts.releases} == {(Source.GIVEN, Source.GIVEN)}
    assert artifacts["edge-26.6.3"].linkerd.resolve() == tmp_path / "given" / "edge-26.6.3" / "linkerd"


def test_one_given_version_is_tested_among_the_usual_ones(tmp_path: Path) -> None:
    _give(tmp_path / "given" / "edge-26.8.3", charts=False)
    settings = _settings(tmp_path, STEWARD_LINKERD_ARTIFACTS=str(tmp_path / "given"))

    assert describe(settings) == (
        "edge-25.10.7: charts our stand-in, CLI our stand-in; "
        "edge-26.6.3: charts our stand-in, CLI our stand-in; "
        "edge-26.8.3: charts our stand-in, CLI Linkerd's own"
    )
    assert str(_assembled(tmp_path, settings)) == describe(settings)


def test_a_version_without_artifacts_is_named_with_those_that_have_some(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no artifacts of Linkerd 'edge-1\.2\.3'; there are edge-25\.10\.7, "):
        _assembled(tmp_path, _settings(tmp_path))["edge-1.2.3"]


@pytest.mark.parametrize(
    ("version", "constraint"),
    [("edge-25.10.7", ">=1.23.0-0"), ("edge-26.6.3", ">=1.31.0-0"), ("edge-26.8.3", ">=1.31.0-0")],
)
def test_charts_demand_the_kubernetes_that_upstream_demands(tmp_path: Path, version: str, constraint: str) -> None:
    charts = _assembled(tmp_path, _settings(tmp_path))[version].charts
    crds, control_plane = (
        yaml.safe_load((charts / name / "Chart.yaml").read_text()) for name in ("linkerd-crds", "linkerd-control-plane")
    )

    assert crds["kubeVersion"] == control_plane["kubeVersion"] == constraint
    assert crds["version"] == control_plane["version"] == f"20{version.removeprefix('edge-')}"
    assert control_plane["appVersion"] == version
    assert "appVersion" not in crds


def test_braces_in_a_manifest_mean_nothing_to_helm(tmp_path: Path) -> None:
    charts = _assembled(tmp_path, _settings(tmp_path))["edge-26.8.3"].charts
    templates = list((charts / "linkerd-control-plane" / "templates").iterdir())

    # The objects are data of the chart; the one template knows none of them by heart.
    assert [template.name for template in templates] == ["objects.yaml"]
    assert "Deployment" in (charts / "linkerd-control-plane" / "files" / "objects.json").read_text()


def _give(directory: Path, *, charts: bool = True) -> None:
    directory.mkdir(parents=True)
    (directory / "linkerd").write_text("#!/bin/sh\n")
    for name in ("linkerd-crds", "linkerd-control-plane") if charts else ():
        (directory / "charts" / name).mkdir(parents=True)
        (directory / "charts" / name / "Chart.yaml").write_text(f"name: {name}\n")
