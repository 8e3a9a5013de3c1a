"""Linkerd's CLI and charts, from the most real source that this machine has, always in one layout.

    DIRECTORY/<version>/linkerd              the CLI
    DIRECTORY/<version>/charts/<chart>/      linkerd-crds and linkerd-control-plane

Sources, per version: what `STEWARD_LINKERD_ARTIFACTS` gives; else the real rendered manifests, wrapped into charts;
else stand-ins of our own. Which it was is said in the header of the test run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from steward.errors import ConfigurationError
from steward.linkerd.version import Version
from steward.testing.cluster.charts import CONTROL_PLANE, CRDS, Manifests, write_charts
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.linkerd import manifests as standins
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.executable import write_cli
from steward.testing.linkerd.values import Method

VERSIONS = ("edge-25.10.7", "edge-26.6.3", "edge-26.8.3")
"""Logical 2.19, logical 2.20, and a later edge: a step from one to the other, and a step within one."""


class Source(StrEnum):
    """Where a piece comes from, the most real first."""

    GIVEN = "Linkerd's own"
    RENDERED = "real rendered manifests"
    STAND_IN = "our stand-in"


@dataclass(frozen=True, slots=True)
class Release:
    """The artifacts of one version, and where they come from."""

    version: str
    directory: Path
    charts_from: Source
    cli_from: Source

    @property
    def linkerd(self) -> Path:
        """The CLI."""
        return self.directory / "linkerd"

    @property
    def charts(self) -> Path:
        """The folder of both charts."""
        return self.directory / "charts"

    def __str__(self) -> str:
        return f"{self.version}: charts {self.charts_from}, CLI {self.cli_from}"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts of several versions, oldest first, in one directory."""

    directory: Path
    releases: tuple[Release, ...]

    def __getitem__(self, version: str) -> Release:
        for release in self.releases:
            if release.version == version:
                return release
        there = ", ".join(release.version for release in self.releases)
        raise ConfigurationError(f"no artifacts of Linkerd {version!r}; there are {there}")

    @property
    def versions(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(release.version for release in self.releases)

    @property
    def oldest(self) -> str:
        """The version that journeys start from."""
        return self.versions[0]

    @property
    def newest(self) -> str:
        """The version that journeys end at."""
        return self.versions[-1]

    def __str__(self) -> str:
        return "; ".join(str(release) for release in self.releases)


def versions_of(settings: ClusterTestSettings) -> tuple[str, ...]:
    """The versions to test with: those given, if an upgrade is possible between them, else the usual ones."""
    given: set[str] = set()
    if settings.artifacts is not None:
        given = {folder.name for folder in settings.artifacts.iterdir() if Version.maybe(folder.name)}
    chosen = given if len(given) > 1 else given | set(VERSIONS)
    return tuple(str(version) for version in sorted(Version.parse(name) for name in chosen))


def describe(settings: ClusterTestSettings) -> str:
    """One line about what `assemble` would take, without making anything."""
    return "; ".join(
        f"{version}: charts {_charts_source(settings, version)}, CLI {_cli_source(settings, version)}"
        for version in versions_of(settings)
    )


def assemble(settings: ClusterTestSettings, directory: Path, now: datetime) -> Artifacts:
    """Fill `directory` with the artifacts of every version."""
    return Artifacts(directory, tuple(_releases(settings, directory, now)))


def _releases(settings: ClusterTestSettings, directory: Path, now: datetime) -> Iterable[Release]:
    for version in versions_of(settings):
        charts, cli = _charts_source(settings, version), _cli_source(settings, version)
        release = Release(version, directory / version, charts, cli)
        release.directory.mkdir(parents=True)
        _put_charts(release, settings, now)
        _put_cli(release, settings)
        yield release


def _put_charts(release: Release, settings: ClusterTestSettings, now: datetime) -> None:
    match release.charts_from:
        case Source.GIVEN:
            release.charts.symlink_to(_given(settings, release.version) / "charts")
        case Source.RENDERED:
            parts = Manifests.read(settings.shared / "linkerd" / release.version)
            write_charts(release.charts, Version.parse(release.version), parts)
        case Source.STAND_IN:
            # The identity in these objects is overwritten by the values of each installation.
            objects = standins.control_plane(release.version, Trust.for_helm(now), now, method=Method.HELM)
            crds = standins.crds(release.version, Method.HELM)
            write_charts(release.charts, Version.parse(release.version), Manifests(tuple(crds), tuple(objects)))


def _put_cli(release: Release, settings: ClusterTestSettings) -> None:
    if release.cli_from is Source.GIVEN:
        release.linkerd.symlink_to(_given(settings, release.version) / "linkerd")
        return
    rendered = settings.shared / "linkerd"
    # What the stand-in installs is as real as what the charts install.
    manifests = rendered if Manifests.present(rendered / release.version) else None
    write_cli(release.directory.parent, release.version, manifests=manifests)


def _charts_source(settings: ClusterTestSettings, version: str) -> Source:
    charts = _given(settings, version) / "charts"
    if all((charts / name / "Chart.yaml").is_file() for name in (CRDS, CONTROL_PLANE)):
        return Source.GIVEN
    return Source.RENDERED if Manifests.present(settings.shared / "linkerd" / version) else Source.STAND_IN


def _cli_source(settings: ClusterTestSettings, version: str) -> Source:
    return Source.GIVEN if (_given(settings, version) / "linkerd").is_file() else Source.STAND_IN


def _given(settings: ClusterTestSettings, version: str) -> Path:
    # A path that cannot exist stands for "nothing was given".
    return (settings.artifacts or Path("/nonexistent")) / version
