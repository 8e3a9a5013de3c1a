"""`ReleaseFeed`: everything that is known of Linkerd releases on the web, served from loopback and changed at will.

async with ReleaseFeed() as feed:
    feed.publish("edge-26.6.3", at=now)
    feed.publish("edge-26.8.3", at=now, notes="Not recommended: see edge-26.8.4.")
    feed.version_url, feed.releases_url, feed.helm_index_url      # for the settings of version_watcher
    feed.cli_url, feed.charts_url                                 # for those of the upgrader
    feed.fail(VERSION, status=500)
"""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from aiohttp import web

from steward.clock import Clock, SystemClock
from steward.jsonvalue import Json, JsonObject
from steward.testing.cluster.charts import kube_version
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import dump

VERSION = "/version.json"
RELEASES = "/repos/linkerd/linkerd2/releases"
HELM_INDEX = "/edge/index.yaml"
CHARTS = ("linkerd-crds", "linkerd-control-plane")
PLATFORMS = ("linux-amd64", "linux-arm64", "darwin", "darwin-arm64")
EVERYTHING = "*"
_DAWN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Published:
    """One release as the web knows it."""

    release: Release
    at: datetime
    notes: str = ""
    prerelease: bool = False
    digests_in_notes: bool = True
    """Whether the list of releases says the digests of its assets; older ones have none."""

    @property
    def version(self) -> str:
        """Its tag."""
        return self.release.version

    def asset(self, platform: str) -> str:
        """File name of the CLI for a platform."""
        return f"linkerd2-cli-{self.version}-{platform}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to requests instead of the answer."""

    status: int = 0
    body: bytes | None = None
    content_type: str = "text/plain"
    delay: timedelta = timedelta(0)
    drop: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in."""

    path: str
    query: str
    if_none_match: str
    status: int


@dataclass(slots=True)
class ReleaseFeed:
    """The server. What it says follows from what was published; any path may be made to say something else."""

    clock: Clock = field(default_factory=SystemClock)
    heads: dict[str, str] = field(default_factory=dict)
    """What the version document says for each channel; `publish` moves it, and so may a test."""
    releases: dict[str, Published] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    _files: dict[str, bytes] = field(default_factory=dict)
    _troubles: dict[str, Trouble] = field(default_factory=dict)
    _runner: web.ServerRunner | None = None
    _port: int = 0

    async def __aenter__(self) -> "ReleaseFeed":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on loopback; after `stop` on the same port with the same content."""
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Refuse connections from here on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def version_url(self) -> str:
        """The version-check document."""
        return self.url + VERSION

    @property
    def releases_url(self) -> str:
        """Releases with their notes, as GitHub lists them."""
        return f"{self.url}{RELEASES}?per_page=100"

    @property
    def helm_index_url(self) -> str:
        """The index of the Helm repository."""
        return self.url + HELM_INDEX

    @property
    def charts_url(self) -> str:
        """The Helm repository itself."""
        return f"{self.url}/edge"

    @property
    def cli_url(self) -> str:
        """The address of a CLI, with `{version}` and `{asset}` to be filled in."""
        return f"{self.url}/download/{{version}}/{{asset}}"

    def publish(
        self, version: str, *, at: datetime | None = None, notes: str = "", head: bool = True, prerelease: bool = False
    ) -> Published:
        """Make `version` known everywhere; with `head=False` the version document does not name it."""
        published = Published(Release(version), at or _DAWN, notes, prerelease)
        self.releases[version] = published
        if head:
            self.heads[published.release.parsed.channel] = version
        for platform in PLATFORMS:
            self._files.setdefault(self._cli_path(published, platform), _executable(version))
        for chart in CHARTS:
            self._files.setdefault(self._chart_path(published, chart), chart_archive(chart, published.release))
        return published

    def withdraw(self, version: str, *, head: str) -> None:
        """Take a release away again; the version document goes back to `head`."""
        gone = self.releases.pop(version)
        self.heads[gone.release.parsed.channel] = head

    def note(self, version: str, notes: str) -> None:
        """Edit the release's notes after the fact."""
        known = self.releases[version]
        self.releases[version] = Published(known.release, known.at, notes, known.prerelease, known.digests_in_notes)

    def put_cli(self, version: str, content: bytes, *, platform: str = "linux-amd64") -> None:
        """Serve `content` as the CLI of a release."""
        self._files[self._cli_path(self.releases[version], platform)] = content

    def put_chart(self, version: str, chart: str, content: bytes) -> None:
        """Serve `content` as a chart of a release."""
        self._files[self._chart_path(self.releases[version], chart)] = content

    def digest(self, version: str, what: str = "linux-amd64") -> str:
        """`sha256:…` of the CLI for a platform, or of a chart."""
        return _digest(self._file(self.releases[version], what))

    def fail(self, path: str = EVERYTHING, *, status: int = 500, headers: dict[str, str] | None = None) -> None:
        """Answer `path` with an error."""
        self._troubles[path] = Trouble(status=status, body=b"trouble", headers=tuple((headers or {}).items()))

    def say(self, path: str, body: bytes | str, *, content_type: str = "application/json") -> None:
        """Answer `path` with anything: garbage, HTML, an unknown format."""
        content = body.encode() if isinstance(body, str) else body
        self._troubles[path] = Trouble(status=200, body=content, content_type=content_type)

    def slow(self, path: str = EVERYTHING, *, delay: timedelta = timedelta(hours=1)) -> None:
        """Answer `path` only after `delay` of the feed's clock."""
        self._troubles[path] = Trouble(delay=delay)

    def drop(self, path: str = EVERYTHING) -> None:
        """Break the connection instead of answering."""
        self._troubles[path] = Trouble(drop=True)

    def redirect(self, path: str, to: str) -> None:
        """Send whoever asks elsewhere."""
        self._troubles[path] = Trouble(status=302, body=b"", headers=(("Location", to),))

    def heal(self, path: str | None = None) -> None:
        """Answer properly again, one path or all."""
        if path is None:
            self._troubles.clear()
        else:
            self._troubles.pop(path, None)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._respond(request)
        tag = request.headers.get("If-None-Match", "")
        self.asked.append(Asked(request.path, request.query_string, tag, response.status))
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        trouble = self._troubles.get(request.path) or self._troubles.get(EVERYTHING)
        if trouble is not None:
            await self.clock.sleep(trouble.delay)
            if trouble.drop:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            if trouble.body is not None:
                return web.Response(
                    status=trouble.status,
                    body=trouble.body,
                    content_type=trouble.content_type,
                    headers=dict(trouble.headers),
                )
        document = self._document(request)
        if document is None:
            return web.Response(status=404, text="Not Found")
        content, content_type = document
        tag = f'"{sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, content_type=content_type, headers=headers)

    def _document(self, request: web.BaseRequest) -> tuple[bytes, str] | None:
        path = request.path
        made: dict[str, Callable[[], tuple[bytes, str]]] = {
            VERSION: lambda: (_json(dict[str, Json](self.heads)), "application/json"),
            RELEASES: lambda: (_json(self._listed(request)), "application/json"),
            HELM_INDEX: lambda: (dump(self._index()).encode(), "application/yaml"),
        }
        if path in made:
            return made[path]()
        tagged = path.removeprefix(f"{RELEASES}/tags/")
        if tagged in self.releases:
            return _json(self._release(self.releases[tagged])), "application/json"
        content = self._files.get(path)
        return None if content is None else (content, "application/octet-stream")

    def _listed(self, request: web.BaseRequest) -> list[Json]:
        newest_first = sorted(self.releases.values(), key=lambda one: (one.at, one.release.parsed.parts), reverse=True)
        size, page = int(request.query.get("per_page", "30")), int(request.query.get("page", "1"))
        return [self._release(one) for one in newest_first[(page - 1) * size : page * size]]

    def _release(self, published: Published) -> JsonObject:
        assets: list[Json] = []
        for platform in PLATFORMS:
            content = self._file(published, platform)
            asset: JsonObject = {
                "name": published.asset(platform),
                "size": len(content),
                "browser_download_url": self.url + self._cli_path(published, platform),
                "digest": _digest(content) if published.digests_in_notes else None,
            }
            assets.append(asset)
        return {
            "tag_name": published.version,
            "name": published.version,
            "body": published.notes,
            "draft": False,
            "prerelease": published.prerelease,
            "created_at": _stamp(published.at),
            "published_at": _stamp(published.at),
            "html_url": f"{self.url}/linkerd/linkerd2/releases/tag/{published.version}",
            "assets": assets,
        }

    def _index(self) -> JsonObject:
        entries: dict[str, Json] = {}
        for chart in CHARTS:
            entries[chart] = [self._entry(published, chart) for published in self.releases.values()]
        return {"apiVersion": "v1", "entries": entries, "generated": _stamp(_DAWN)}

    def _entry(self, published: Published, chart: str) -> JsonObject:
        release = published.release
        return {
            **_chart_metadata(chart, release),
            "created": _stamp(published.at),
            "digest": sha256(self._file(published, chart)).hexdigest(),
            "urls": [f"{self.charts_url}/{chart}-{release.chart}.tgz"],
        }

    def _file(self, published: Published, what: str) -> bytes:
        path = self._chart_path(published, what) if what in CHARTS else self._cli_path(published, what)
        return self._files[path]

    def _cli_path(self, published: Published, platform: str) -> str:
        return f"/download/{published.version}/{published.asset(platform)}"

    def _chart_path(self, published: Published, chart: str) -> str:
        return f"/edge/{chart}-{published.release.chart}.tgz"


def chart_archive(chart: str, release: Release, files: dict[str, bytes] | None = None) -> bytes:
    """A chart as helm packages it; without `files` it has nothing but its description."""
    content = {"Chart.yaml": dump(_chart_metadata(chart, release)).encode(), **(files or {})}
    packed = io.BytesIO()
    # Fixed times, so that the same chart has the same digest.
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, data in sorted(content.items()):
            entry = tarfile.TarInfo(f"{chart}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _chart_metadata(chart: str, release: Release) -> JsonObject:
    metadata: JsonObject = {
        "apiVersion": "v2",
        "name": chart,
        "version": release.chart,
        "kubeVersion": kube_version(release.parsed),
        "type": "application",
    }
    # Upstream's CRD chart has no appVersion.
    return metadata if chart == "linkerd-crds" else metadata | {"appVersion": release.version}


def _executable(version: str) -> bytes:
    return f"#!/bin/sh\necho 'Client version: {version}'\n".encode()


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: Json) -> bytes:
    return json.dumps(value).encode()
