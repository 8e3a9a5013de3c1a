"""The target's executable and charts, verified before they are used.

From a directory that the cluster's owner filled (`DIR/<version>/linkerd`, `DIR/<version>/charts/<chart>`), or from
the release itself where the catalog knows the digest. Where neither has it, that is a value and not an error: a gate
is then Inconclusive and says so, and a step is refused with the remedy.
"""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from services.upgrader.edges.chart_values import member_of_chart
from services.upgrader.edges.downloads import Downloads, NotFetched, NotVerified, Verified, Wanted
from steward.errors import ToolError
from steward.jsonvalue import table, text
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry

_LARGEST_CLI = 512 * 1024 * 1024
_LARGEST_CHART = 32 * 1024 * 1024
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# Of each system: the name of its asset, where there is one for all machines of it.
_ASSETS = {
    ("linux", "amd64"): "linux-amd64",
    ("linux", "arm64"): "linux-arm64",
    ("darwin", "amd64"): "darwin",
    ("darwin", "arm64"): "darwin-arm64",
    ("win32", "amd64"): "windows.exe",
}


@dataclass(frozen=True, slots=True)
class NoTool:
    """What is wanted is not at hand. `transient`: fetching it failed, and may not the next time."""

    reason: str
    message: str
    transient: bool = False


@dataclass(frozen=True, slots=True)
class ChartAtHand:
    """A chart as a folder or an archive, and what it says of itself."""

    path: Path
    version: str
    app_version: str
    kube_version: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where tools may come from."""

    directory: Path | None = None
    """Filled by the owner; wins over the network."""
    cli_url: str = ""
    """Address of a release's CLI with `{version}` and `{asset}`; empty: it is never downloaded."""
    charts_url: str = ""
    """Address of the Helm repository; empty: charts are never downloaded."""


CliAtHand: TypeAlias = Path | NoTool
ChartFound: TypeAlias = ChartAtHand | NoTool


@dataclass(slots=True)
class Tooling:
    """Finds the executable and the charts of a version."""

    sources: Sources
    downloads: Downloads
    system: tuple[str, str] = field(default_factory=lambda: (sys.platform, platform.machine().lower()))

    async def cli(self, version: Version, release: ReleaseEntry | None) -> CliAtHand:
        """The `linkerd` executable of `version`."""
        asset = self._asset()
        digest = _digests(release).get(f"linkerd-{asset}", "") if asset else ""
        if self.sources.directory is not None:
            path = self.sources.directory / str(version) / "linkerd"
            if path.is_file():
                return await _checked(path, digest, self.downloads.verified) or path
        if not asset:
            system, machine = self.system
            return NoTool("UnknownPlatform", f"Linkerd publishes no CLI for {system} on {machine}")
        url = self.sources.cli_url.format(version=version, asset=f"linkerd2-cli-{version}-{asset}")
        wanted = Wanted(url, digest, _LARGEST_CLI, executable=True)
        return await self._fetched(wanted, f"the Linkerd CLI of {version}", self._cli_remedy(version, asset))

    async def chart(self, version: Version, name: str, release: ReleaseEntry | None) -> ChartFound:
        """The chart `name` of `version`."""
        if self.sources.directory is not None:
            path = self.sources.directory / str(version) / "charts" / name
            if (path / "Chart.yaml").is_file():
                return _described(path)
        number = (release.chart_version if release is not None else None) or version.chart
        if number is None:
            return NoTool(
                "NoChart", f"it is not known which chart version {version} has: {_chart_remedy(version, name)}"
            )
        url = f"{self.sources.charts_url.rstrip('/')}/{name}-{number}.tgz" if self.sources.charts_url else ""
        wanted = Wanted(url, _digests(release).get(name, ""), _LARGEST_CHART)
        found = await self._fetched(wanted, f"chart {name} {number}", _chart_remedy(version, name))
        return found if isinstance(found, NoTool) else _described(found)

    async def _fetched(self, wanted: Wanted, what: str, remedy: str) -> Path | NoTool:
        if not wanted.url:
            return NoTool("NotAtHand", f"{what} is not at hand: {remedy}")
        if not wanted.digest:
            return NoTool("NoDigest", f"{what} is not fetched, because the catalog has no digest of it: {remedy}")
        try:
            return await self.downloads.fetch(wanted)
        except NotVerified as error:
            return NoTool("DigestMismatch", f"{what} was refused: {error}; {remedy}")
        except NotFetched as error:
            return NoTool("NotFetched", f"{what} could not be had: {error}; {remedy}", transient=error.transient)
        except OSError as error:
            return NoTool("NotKept", f"{what} could not be kept in {str(self.downloads.folder)!r}: {error}")

    def _asset(self) -> str:
        system, machine = self.system
        return _ASSETS.get((system, _MACHINES.get(machine, machine)), "")

    def _cli_remedy(self, version: Version, asset: str) -> str:
        return (
            f"put it at <artifacts directory>/{version}/linkerd, or its SHA-256 as 'linkerd-{asset}' into the digests "
            f"of {version} in a ReleaseCatalog"
        )


def _chart_remedy(version: Version, name: str) -> str:
    return (
        f"put it at <artifacts directory>/{version}/charts/{name}, or its SHA-256 as '{name}' into the digests of "
        f"{version} in a ReleaseCatalog"
    )


def refusal(missing: NoTool) -> tuple[str, str]:
    """Reason and message of a step that cannot do without. Raise NotFetched where it may well be there next time."""
    if missing.transient:
        raise NotFetched(missing.message, transient=True)
    return missing.reason, missing.message


async def _checked(path: Path, digest: str, verified: Verified) -> NoTool | None:
    """What is wrong with an executable of the owner's directory; a digest that nobody knows is not asked for."""
    if not os.access(path, os.X_OK):
        return NoTool("NotExecutable", f"{str(path)!r} is not executable: run `chmod +x` on it")
    if digest:
        try:
            await verified.verify(path, digest)
        except NotVerified as error:
            return NoTool("DigestMismatch", str(error))
    return None


def _described(path: Path) -> ChartFound:
    """A chart with what its Chart.yaml says."""
    try:
        about = yaml.safe_load(member_of_chart(path, "Chart.yaml"))
    except (ToolError, yaml.YAMLError) as error:
        return NoTool("UnreadableChart", f"chart {str(path)!r} cannot be used: {error}")
    described = table({"chart": about}, "chart")
    return ChartAtHand(
        path,
        version=text(described, "version"),
        app_version=text(described, "appVersion"),
        kube_version=text(described, "kubeVersion"),
    )


def _digests(release: ReleaseEntry | None) -> Mapping[str, str]:
    return release.digests if release is not None else {}
