"""`version`: of this command, of Steward in the cluster, of Linkerd and of NATS."""

from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from steward.cli.check_facts import OURS
from steward.cli.connection import cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import explain
from steward.cli.options import Session, leaf
from steward.cli.output import Format, document, note, write
from steward.cli.releases import catalogs_of
from steward.errors import StewardError
from steward.jsonvalue import Json, rows, text
from steward.kube.client import Kube
from steward.kube.errors import NotFound
from steward.kube.resources import DEPLOYMENTS
from steward.resources.release_catalog import MeshStatus

UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Versions:
    """What runs where."""

    client: str
    services: dict[str, str]
    control_plane: str
    proxies: dict[str, int]


@leaf
async def version(
    session: Session,
    *,
    client: Annotated[bool, typer.Option("--client", help="Only the version of this command.")] = False,
    short: Annotated[bool, typer.Option("--short", help="Only the numbers, one a line.")] = False,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="How to write the answer.", metavar="table|json|yaml")
    ] = Format.TABLE,
) -> ExitCode:
    """Print the version of this command, of the services, of Linkerd and its proxies.

    Example: linkerd steward version --client --short
    """
    mine = version_of("linkerd-steward")
    if client:
        write(_client_only(mine, output, short=short))
        return ExitCode.OK
    found = Versions(mine, {}, UNAVAILABLE, {})
    code = ExitCode.OK
    try:
        async with cluster(session) as kube:
            found = await _in_cluster(kube, mine)
    except StewardError as error:
        explanation = explain(error)
        code = explanation.code
        note(str(explanation))
    write(document(as_document(found), output) if output is not Format.TABLE else as_text(found, short=short))
    return code


def as_text(versions: Versions, *, short: bool = False) -> str:
    """As Linkerd's own `version` prints it. Pure."""
    if short:
        return "".join(f"{each}\n" for each in [versions.client, *dict.fromkeys(versions.services.values())])
    lines = [f"Client version: {versions.client}"]
    lines += [f"{name} version: {value}" for name, value in versions.services.items()] or [f"Services: {UNAVAILABLE}"]
    lines.append(f"Linkerd version: {versions.control_plane}")
    if versions.proxies:
        lines.append("Proxy versions:")
        lines += [f"\t{name or 'unknown'} ({count} pods)" for name, count in versions.proxies.items()]
    return "".join(f"{line}\n" for line in lines)


def as_document(versions: Versions) -> Json:
    """For programs. Pure."""
    return {
        "client": versions.client,
        "services": dict(versions.services),
        "controlPlane": versions.control_plane,
        "proxies": [{"version": name, "pods": count} for name, count in versions.proxies.items()],
    }


def _client_only(mine: str, output: Format, *, short: bool) -> str:
    if output is not Format.TABLE:
        return document({"client": mine}, output)
    return f"{mine}\n" if short else f"Client version: {mine}\n"


async def _in_cluster(kube: Kube, mine: str) -> Versions:
    namespace = await steward_namespace(kube)
    deployments = await kube.list(DEPLOYMENTS, namespace, labels=OURS)
    services = {
        text(item, "metadata", "name"): _tag(text(container, "image"))
        for item in deployments.items
        for container in rows(item, "spec", "template", "spec", "containers")[:1]
    }
    mesh = await _mesh(kube)
    proxies = {each.version: each.pods for each in mesh.proxies} if mesh else {}
    running = mesh.control_plane if mesh and mesh.control_plane else UNAVAILABLE
    return Versions(mine, services, running, proxies)


async def running_linkerd(kube: Kube) -> str:
    """The version of the control plane as version-watcher saw it; empty where it has not."""
    mesh = await _mesh(kube)
    return (mesh.control_plane or "") if mesh else ""


async def _mesh(kube: Kube) -> MeshStatus | None:
    try:
        catalogs = await catalogs_of(kube)
    except NotFound:
        return None
    return next((each.status.mesh for each in catalogs if each.status and each.status.mesh), None)


def _tag(image: str) -> str:
    """The tag of an image reference; of one without a tag, its digest."""
    path, at, digest = image.partition("@")
    name = path.rpartition("/")[2]
    _, colon, tag = name.partition(":")
    return tag if colon else f"@{digest}" if at else "latest"
