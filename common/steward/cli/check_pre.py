"""`check --pre`: whether Steward can be installed here, asked of the API server with the rights in use."""

from dataclasses import dataclass

from steward.cli.check_facts import Seen, Unseen, look
from steward.cli.check_report import Category, Result, Verdict
from steward.kube.client import Kube
from steward.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)

PRE_CATEGORY = "pre-linkerd-steward"
NAMESPACE = "linkerd-steward"
_OLDEST_KUBERNETES = (1, 29)


@dataclass(frozen=True, slots=True)
class _Needed:
    """A kind that an installation creates."""

    resource: Resource
    said: str


_NEEDED = (
    _Needed(NAMESPACES, "Namespaces"),
    _Needed(CRDS, "CustomResourceDefinitions"),
    _Needed(CLUSTER_ROLES, "ClusterRoles"),
    _Needed(CLUSTER_ROLE_BINDINGS, "ClusterRoleBindings"),
    _Needed(SERVICE_ACCOUNTS, "ServiceAccounts"),
    _Needed(SERVICES, "Services"),
    _Needed(DEPLOYMENTS, "Deployments"),
    _Needed(STATEFUL_SETS, "StatefulSets"),
    _Needed(CONFIG_MAPS, "ConfigMaps"),
    _Needed(SECRETS, "Secrets"),
)


async def evaluate_pre(kube: Kube, linkerd_namespace: str) -> tuple[Category, ...]:
    """The category of `check --pre`."""
    version = await look(kube.server_version)
    if isinstance(version, Unseen):
        return (Category(PRE_CATEGORY, (Verdict("can query the Kubernetes API", Result.ERROR, version.why),)),)
    checks = [Verdict("can query the Kubernetes API"), kubernetes_is_new_enough(version.value)]
    checks += [await _can_create(kube, needed) for needed in _NEEDED]
    checks.append(await _linkerd_is_installed(kube, linkerd_namespace))
    return (Category(PRE_CATEGORY, tuple(checks)),)


def kubernetes_is_new_enough(version: str) -> Verdict:
    """The definitions use validation rules, which Kubernetes has in their final form since 1.29."""
    description = "is running the minimum Kubernetes API version"
    numbers = tuple(
        int(part) for part in version.removeprefix("v").split("-")[0].split("+")[0].split(".") if part.isdigit()
    )
    if numbers[:2] >= _OLDEST_KUBERNETES:
        return Verdict(description)
    oldest = ".".join(str(part) for part in _OLDEST_KUBERNETES)
    return Verdict(description, Result.ERROR, f"the API server is {version!r}; Steward needs {oldest} or newer")


async def _can_create(kube: Kube, needed: _Needed) -> Verdict:
    namespace = NAMESPACE if needed.resource.namespaced else None
    description = f"can create {needed.said}"
    allowed = await look(lambda: kube.access("create", needed.resource, namespace))
    if isinstance(allowed, Unseen):
        return Verdict(description, Result.ERROR, allowed.why)
    if allowed.value:
        return Verdict(description)
    where = f" in namespace {namespace!r}" if namespace else ""
    return Verdict(
        description, Result.ERROR, f"not authorized to create {needed.resource}{where}; use another identity"
    )


async def _linkerd_is_installed(kube: Kube, namespace: str) -> Verdict:
    description = "Linkerd is installed"
    found = await look(lambda: kube.find(CONFIG_MAPS, "linkerd-config", namespace))
    if isinstance(found, Seen) and found.value is not None:
        return Verdict(description)
    why = (
        found.why if isinstance(found, Unseen) else f"there is no ConfigMap 'linkerd-config' in namespace {namespace!r}"
    )
    return Verdict(description, Result.WARNING, f"{why}; name Linkerd's namespace with -L")
