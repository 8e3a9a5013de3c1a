"""Tools come from the owner's directory or verified from the release, and else there is a reason and a remedy."""

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from services.upgrader.edges.downloads import Downloads, NotFetched
from services.upgrader.edges.linkerd_cli import CliCommand, LinkerdCli
from services.upgrader.edges.process import Processes
from services.upgrader.edges.toolbox import Toolbox
from services.upgrader.edges.tooling import ChartAtHand, NoTool, Sources, Tooling, refusal
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry

VERSION = Version.parse("edge-26.8.3")
CLI = b"#!/bin/sh\necho edge-26.8.3\n"
LINUX = ("linux", "x86_64")
CLI_URL = "https://releases.example.org/{version}/{asset}"
CHARTS_URL = "https://charts.example.org/edge/"


def _chart(name: str = "linkerd-crds", version: str = "2026.8.3") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in (
            (f"{name}/charts/inner/Chart.yaml", "name: inner\nversion: 9.9.9\n"),
            (f"{name}/Chart.yaml", f"name: {name}\nversion: {version}\nkubeVersion: '>=1.31.0-0'\n"),
        ):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


CHART = _chart()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _entry(**digests: str) -> ReleaseEntry:
    return ReleaseEntry(
        version="edge-26.8.3", digests={name.replace("_", "-"): digest for name, digest in digests.items()}
    )


@pytest_asyncio.fixture
async def downloads(tmp_path: Path) -> AsyncIterator[Downloads]:
    def answer(request: httpx.Request) -> httpx.Response:
        known = {
            "/edge-26.8.3/linkerd2-cli-edge-26.8.3-linux-amd64": CLI,
            "/edge/linkerd-crds-2026.8.3.tgz": CHART,
        }
        content = known.get(request.url.path)
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        yield Downloads(http, tmp_path / "cache")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts" / "edge-26.8.3"
    (folder / "charts" / "linkerd-crds").mkdir(parents=True)
    (folder / "charts" / "linkerd-crds" / "Chart.yaml").write_text(
        "name: linkerd-crds\nversion: 2026.8.3\nkubeVersion: '>=1.31.0-0'\n"
    )
    (folder / "linkerd").write_bytes(CLI)
    (folder / "linkerd").chmod(0o755)
    return folder.parent


async def test_the_owners_directory_wins(downloads: Downloads, directory: Path) -> None:
    tooling = Tooling(Sources(directory, CLI_URL, CHARTS_URL), downloads, LINUX)
    assert await tooling.cli(VERSION, None) == directory / "edge-26.8.3" / "linkerd"
    chart = await tooling.chart(VERSION, "linkerd-crds", None)
    assert chart == ChartAtHand(directory / "edge-26.8.3" / "charts" / "linkerd-crds", "2026.8.3", "", ">=1.31.0-0")


async def test_a_known_digest_is_asked_of_the_owners_directory_too(downloads: Downloads, directory: Path) -> None:
    tooling = Tooling(Sources(directory), downloads, LINUX)
    assert isinstance(await tooling.cli(VERSION, _entry(linkerd_linux_amd64=_digest(CLI))), Path)
    refused = await tooling.cli(VERSION, _entry(linkerd_linux_amd64=_digest(b"another")))
    assert isinstance(refused, NoTool)
    assert refused.reason == "DigestMismatch"


async def test_what_is_not_executable_is_said(downloads: Downloads, directory: Path) -> None:
    (directory / "edge-26.8.3" / "linkerd").chmod(0o644)
    found = await Tooling(Sources(directory), downloads, LINUX).cli(VERSION, None)
    assert isinstance(found, NoTool)
    assert "chmod +x" in found.message


async def test_tools_of_the_release_are_fetched_by_their_digest(downloads: Downloads) -> None:
    tooling = Tooling(Sources(None, CLI_URL, CHARTS_URL), downloads, LINUX)
    entry = _entry(linkerd_linux_amd64=_digest(CLI), linkerd_crds=_digest(CHART))
    cli = await tooling.cli(VERSION, entry)
    assert isinstance(cli, Path)
    assert cli.read_bytes() == CLI
    chart = await tooling.chart(VERSION, "linkerd-crds", entry)
    assert isinstance(chart, ChartAtHand)
    assert (chart.version, chart.kube_version) == ("2026.8.3", ">=1.31.0-0")


async def test_nothing_is_fetched_without_a_digest(downloads: Downloads) -> None:
    tooling = Tooling(Sources(None, CLI_URL, CHARTS_URL), downloads, LINUX)
    for found in (await tooling.cli(VERSION, None), await tooling.chart(VERSION, "linkerd-crds", _entry())):
        assert isinstance(found, NoTool)
        assert found.reason == "NoDigest"
        assert "into the digests of edge-26.8.3 in a ReleaseCatalog" in found.message
    assert not downloads.folder.exists()


async def test_a_wrong_digest_is_refused_with_the_remedy(downloads: Downloads) -> None:
    tooling = Tooling(Sources(None, CLI_URL), downloads, LINUX)
    found = await tooling.cli(VERSION, _entry(linkerd_linux_amd64=_digest(b"another")))
    assert isinstance(found, NoTool)
    assert found.reason == "DigestMismatch"
    assert not [path for path in downloads.folder.rglob("*") if path.is_file()]


async def test_a_release_that_is_not_there_is_no_passing_trouble(downloads: Downloads) -> None:
    other = Version.parse("edge-26.8.2")
    entry = ReleaseEntry(version="edge-26.8.2", digests={"linkerd-linux-amd64": _digest(CLI)})
    found = await Tooling(Sources(None, CLI_URL), downloads, LINUX).cli(other, entry)
    assert isinstance(found, NoTool)
    assert (found.reason, found.transient) == ("NotFetched", False)
    assert refusal(found)[0] == "NotFetched"


def test_passing_trouble_is_no_refusal() -> None:
    with pytest.raises(NotFetched):
        refusal(NoTool("NotFetched", "the server is away", transient=True))


@pytest.mark.parametrize(
    ("system", "asset"),
    [
        (("linux", "x86_64"), "linux-amd64"),
        (("linux", "aarch64"), "linux-arm64"),
        (("darwin", "x86_64"), "darwin"),
        (("darwin", "arm64"), "darwin-arm64"),
        (("win32", "amd64"), "windows.exe"),
    ],
)
async def test_each_platform_has_its_asset(downloads: Downloads, system: tuple[str, str], asset: str) -> None:
    found = await Tooling(Sources(None, CLI_URL), downloads, system).cli(VERSION, None)
    assert isinstance(found, NoTool)
    assert f"'linkerd-{asset}'" in found.message


async def test_a_platform_without_a_cli_is_named(downloads: Downloads) -> None:
    found = await Tooling(Sources(None, CLI_URL), downloads, ("linux", "riscv64")).cli(VERSION, None)
    assert isinstance(found, NoTool)
    assert found.message == "Linkerd publishes no CLI for linux on riscv64"


async def test_nothing_at_hand_names_where_to_put_it(downloads: Downloads, tmp_path: Path) -> None:
    found = await Tooling(Sources(tmp_path), downloads, LINUX).cli(VERSION, None)
    assert isinstance(found, NoTool)
    assert "<artifacts directory>/edge-26.8.3/linkerd" in found.message


@pytest.mark.parametrize("content", [b"", b"no archive", _chart("other")[:60]], ids=["empty", "text", "cut off"])
async def test_a_chart_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        tooling = Tooling(Sources(None, "", CHARTS_URL), Downloads(http, tmp_path / "more"), LINUX)
        found = await tooling.chart(VERSION, "linkerd-crds", _entry(linkerd_crds=_digest(content)))
    assert isinstance(found, NoTool)
    assert found.reason == "UnreadableChart"


async def test_a_cli_of_another_version_is_never_used(
    downloads: Downloads, directory: Path, processes: Processes
) -> None:
    box = Toolbox(processes, Tooling(Sources(directory), downloads, LINUX), CliCommand())
    assert isinstance(await box.cli(VERSION, None), LinkerdCli)
    path = directory / "edge-26.8.3" / "linkerd"
    path.write_text("#!/bin/sh\necho edge-26.6.3\n")
    found = await box.cli(VERSION, None)
    assert isinstance(found, NoTool)
    assert found.reason == "UnusableCli"
    assert "is the CLI of edge-26.6.3, and not of edge-26.8.3" in found.message
