"""`install` and `uninstall`: YAML for `kubectl`, as every Linkerd extension prints it. Nothing is applied from here."""

from typing import Annotated

import typer

from steward.cli.connection import cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.manifests import Overlay, is_custom, is_definition, objects, read, service_image, with_image, written
from steward.cli.options import Session, leaf
from steward.cli.output import note, write
from steward.cli.shared_secrets import SHARED
from steward.errors import ConfigurationError
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import KubeError, NotFound
from steward.kube.resources import (
    ADMISSION_POLICIES,
    ADMISSION_POLICY_BINDINGS,
    ALERT_CHANNELS,
    ALERT_POLICIES,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFORMANCE_RUNS,
    CONFORMANCE_SUITES,
    CRDS,
    NAMESPACES,
    PRIORITY_CLASSES,
    RELEASE_CATALOGS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    STEWARD_GROUP,
    UPGRADE_PLANS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
    Resource,
)

OURS = "app.kubernetes.io/part-of=linkerd-steward"
_OUTSIDE = (
    ADMISSION_POLICY_BINDINGS,
    ADMISSION_POLICIES,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
    PRIORITY_CLASSES,
    ROLES,
    ROLE_BINDINGS,
)
_DATA = (
    RELEASE_CATALOGS,
    UPGRADE_PLANS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
    CONFORMANCE_SUITES,
    CONFORMANCE_RUNS,
    ALERT_POLICIES,
    ALERT_CHANNELS,
)


@leaf
async def install(
    session: Session,
    overlay: Annotated[
        Overlay, typer.Option(help="What the installation is for.", metavar="development|production")
    ] = Overlay.DEVELOPMENT,
    image: Annotated[
        str, typer.Option(help="Image of the services, instead of the one of this version.", metavar="REF")
    ] = "",
    *,
    crds: Annotated[bool, typer.Option("--crds", help="Print the custom resource definitions only.")] = False,
    passwords: Annotated[
        bool, typer.Option("--passwords", help="Print only the Secrets with passwords, for kubectl apply -k.")
    ] = False,
    new_passwords: Annotated[
        bool, typer.Option("--new-passwords", help="Make new passwords even where the cluster has some.")
    ] = False,
) -> ExitCode:
    """Print the YAML that installs Steward.

    Passwords for NATS and Alertmanager are made where the cluster has none yet.

    Example: linkerd steward install --overlay production | kubectl apply --server-side -f -
    """
    if crds and passwords:
        raise Refusal("--crds and --passwords each print one thing only", "give one of them", ExitCode.USAGE)
    parts = objects(read(overlay))
    if crds:
        write(written([part for part in parts if is_definition(part)]))
        return ExitCode.OK
    namespace = next(text(part, "metadata", "name") for part in parts if text(part, "kind") == "Namespace")
    shared = await _shared(session, namespace, renew=new_passwords)
    if passwords:
        for name in sorted({each.name for each in SHARED} - {text(each, "metadata", "name") for each in shared}):
            note(f"Secret {namespace}/{name} exists and stays as it is; --new-passwords makes another")
        write(written(shared) if shared else "")
        return ExitCode.OK
    if image:
        old = service_image(parts)
        parts = [with_image(part, old, image) for part in parts]
    parts += shared
    # kubectl maps every kind before it creates anything: objects of our own kinds go last, behind their definitions.
    write(written([*(part for part in parts if not is_custom(part)), *(part for part in parts if is_custom(part))]))
    return ExitCode.OK


@leaf
async def uninstall(
    session: Session,
    *,
    keep_crds: Annotated[
        bool,
        typer.Option("--keep-crds", help="Leave the definitions, and with them every plan, policy, catalog and run."),
    ] = False,
) -> ExitCode:
    """Print what to delete: the namespace, and everything of Steward outside it.

    With the definitions go all plans, policies, catalogs and runs; how many is said on stderr.

    Example: linkerd steward uninstall --keep-crds | kubectl delete -f -
    """
    async with cluster(session) as kube:
        parts = await _installed(kube)
        lost = [] if keep_crds else await _data(kube)
        if not keep_crds:
            parts += await _definitions(kube)
    if not parts:
        raise Refusal("Steward is not installed here: there is nothing to delete", "", ExitCode.NOT_FOUND)
    if lost:
        note(f"warning: with the custom resource definitions go {', '.join(lost)}; --keep-crds keeps them")
    write(written(parts))
    return ExitCode.OK


async def _shared(session: Session, namespace: str, *, renew: bool) -> list[JsonObject]:
    """The Secrets to apply: new ones, and those that lack an entry, with all that they have."""
    if renew:
        return [each.manifest(namespace, {}) for each in SHARED]
    try:
        async with cluster(session) as kube:
            kept = [each.kept(await kube.find(SECRETS, each.name, namespace)) for each in SHARED]
    except (ConfigurationError, KubeError) as error:
        note(f"warning: new passwords are made, because the cluster cannot be asked whether it has some: {error}")
        kept = [{} for _ in SHARED]
    made = []
    for each, values in zip(SHARED, kept, strict=True):
        missing = [entry for entry in each.entries if entry not in values]
        if values and missing:
            note(f"Secret {namespace}/{each.name} gets {each.title} for {', '.join(missing)}; the others stay")
        if missing:
            made.append(each.manifest(namespace, values))
    return made


async def _installed(kube: Kube) -> list[JsonObject]:
    """Everything of ours that is not inside our namespace, and the namespace itself at the end."""
    namespace = await steward_namespace(kube)
    found: list[JsonObject] = []
    for resource in _OUTSIDE:
        found += [
            _reference(resource, item)
            for item in await _labelled(kube, resource)
            if text(item, "metadata", "namespace") != namespace
        ]
    home = await kube.find(NAMESPACES, namespace)
    return [*found, _reference(NAMESPACES, home)] if home is not None else found


async def _labelled(kube: Kube, resource: Resource) -> list[JsonObject]:
    try:
        return list((await kube.list(resource, labels=OURS)).items)
    except NotFound:
        # Admission policies are younger than the oldest Kubernetes that Linkerd runs on.
        return []


async def _definitions(kube: Kube) -> list[JsonObject]:
    listing = await kube.list(CRDS)
    return [_reference(CRDS, item) for item in listing.items if text(item, "spec", "group") == STEWARD_GROUP]


async def _data(kube: Kube) -> list[str]:
    counted: list[tuple[Resource, int]] = []
    for resource in _DATA:
        try:
            counted.append((resource, len((await kube.list(resource)).items)))
        except NotFound:
            continue
    return [f"{count} {_in_number(resource.kind, count)}" for resource, count in counted if count]


def _in_number(kind: str, count: int) -> str:
    if count == 1:
        return kind
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _reference(resource: Resource, item: JsonObject) -> JsonObject:
    """Enough of an object for `kubectl delete`."""
    metadata: JsonObject = {"name": text(item, "metadata", "name")}
    if text(item, "metadata", "namespace"):
        metadata["namespace"] = text(item, "metadata", "namespace")
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
