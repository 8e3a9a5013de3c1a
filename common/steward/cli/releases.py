"""`releases`: what is known of Linkerd's releases, and what this cluster runs."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import spelled
from steward.cli.marks import WARNING
from steward.cli.options import Output, Session, leaf
from steward.cli.output import Format, grid, plain, show_document
from steward.events.versions import Recommendation
from steward.kube.client import Kube
from steward.kube.resources import RELEASE_CATALOGS
from steward.linkerd.version import Version
from steward.resources import ReleaseCatalog
from steward.resources.release_catalog import ChannelStatus, MeshStatus, ReleaseCatalogStatus, ReleaseEntry

_STYLES = {Recommendation.RECOMMENDED: "green", Recommendation.NOT_RECOMMENDED: "red", Recommendation.UNKNOWN: "dim"}


@leaf
async def releases(
    session: Session,
    *,
    every: Annotated[bool, typer.Option("--all", "-a", help="Also what is older than the running release.")] = False,
    output: Output = Format.TABLE,
) -> ExitCode:
    """Show the head of each channel, what is recommended, and what each release demands.

    Example: linkerd steward releases -o json
    """
    async with cluster(session) as kube:
        catalogs = await catalogs_of(kube)
    seen = [catalog for catalog in catalogs if catalog.status is not None]
    if not seen:
        raise Refusal(
            "there is no ReleaseCatalog with a status: version-watcher has not written one yet",
            "linkerd steward check shows whether it runs",
            ExitCode.NOT_FOUND,
        )
    now = session.clock.now()
    tables = [catalog_report(catalog.status, now, every=every) for catalog in seen if catalog.status]
    show_document({"items": [catalog.to_json() for catalog in seen]}, output, Group(*tables), session.environment)
    return ExitCode.OK


async def catalogs_of(kube: Kube) -> list[ReleaseCatalog]:
    """Every ReleaseCatalog, by name."""
    listing = await kube.list(RELEASE_CATALOGS)
    return sorted((ReleaseCatalog.of(item) for item in listing.items), key=lambda each: each.metadata.name)


def catalog_report(status: ReleaseCatalogStatus, now: datetime, *, every: bool = False) -> RenderableType:
    """One catalog: the mesh, the channels, the releases that matter, and what they demand. Pure."""
    parts: list[RenderableType] = [mesh_line(status.mesh), Text("")]
    parts.append(grid(("CHANNEL", "HEAD", "SEEN", "SAID"), [_channel_row(each, now) for each in status.channels]))
    shown = _that_matter(status, every=every)
    if shown:
        rows = [_release_row(each, status) for each in shown]
        parts += [Text(""), grid(("RELEASE", "LINKERD", "CHART", "RECOMMENDATION", "KUBERNETES", "SAID"), rows)]
    for entry in shown:
        if entry.notices:
            parts += [Text(""), plain(f"{entry.version} demands", "bold")]
            parts += [plain(f"• {notice}") for notice in entry.notices]
    unhealthy = [(each.name, each.reason, each.message) for each in status.sources if not each.healthy]
    if unhealthy:
        parts += [Text(""), grid(("SOURCE", "REASON", "SAID"), unhealthy)]
    return Group(*parts)


def mesh_line(mesh: MeshStatus | None) -> Text:
    """One line about what runs in the cluster."""
    if mesh is None or not mesh.control_plane:
        return plain("No Linkerd was seen in this cluster yet")
    method = f", installed by {mesh.install_method}" if mesh.install_method else ""
    line = plain(f"This cluster runs {mesh.control_plane}{method}, {mesh.meshed_pods} meshed pods")
    stale = sum(each.pods for each in mesh.proxies if each.version != mesh.expected_proxy)
    if stale:
        line.append(f", {stale} of them not on proxy {mesh.expected_proxy or '?'}", "yellow")
    return line


def _that_matter(status: ReleaseCatalogStatus, *, every: bool) -> list[ReleaseEntry]:
    """The running release and those after it, newest first; with `every` all of them."""
    running = Version.maybe(status.mesh.control_plane) if status.mesh else None
    kept: list[tuple[tuple[str, tuple[int, ...], int], ReleaseEntry]] = []
    for entry in status.releases:
        version = Version.maybe(entry.version)
        if version is None:
            continue
        newer = running is None or (version.channel == running.channel and version >= running)
        if every or newer:
            kept.append(((version.channel, version.parts, version.hotpatch or 0), entry))
    return [entry for _, entry in sorted(kept, key=lambda pair: pair[0], reverse=True)]


def _channel_row(channel: ChannelStatus, now: datetime) -> tuple[str | Text, ...]:
    said: str | Text = ""
    if channel.regressed:
        said = plain(f"{WARNING} the feed went back to {channel.offered}", "yellow")
    seen = f"{spelled(now - channel.head_observed_at)} ago" if channel.head_observed_at else ""
    return channel.name, channel.head or "unknown", seen, said


def _release_row(entry: ReleaseEntry, status: ReleaseCatalogStatus) -> tuple[str | Text, ...]:
    recommendation = entry.recommendation or Recommendation.UNKNOWN
    bounds = entry.kubernetes
    kubernetes = ""
    if bounds is not None and (bounds.min or bounds.max):
        kubernetes = f">= {bounds.min}" if bounds.min else ""
        kubernetes += f" <= {bounds.max}" if bounds.max else ""
    running = status.mesh is not None and entry.version == status.mesh.control_plane
    said = ["runs here"] if running else []
    said += [entry.reason] if entry.reason else []
    said += [f"use {entry.superseded_by}"] if entry.superseded_by else []
    return (
        entry.version,
        entry.logical_version or "",
        entry.chart_version or "",
        plain(recommendation.value, _STYLES[recommendation]),
        kubernetes.strip(),
        "; ".join(said),
    )
