"""`linkerd prune` and `linkerd uninstall`: print names, delete nothing."""

import sys
from collections.abc import Iterable
from http import HTTPStatus

from steward.clock import Clock
from steward.jsonvalue import JsonObject, text
from steward.kube import resources
from steward.kube.resources import Resource
from steward.testing.linkerd.cli.api import ApiRefused
from steward.testing.linkerd.cli.checking import Executable
from steward.testing.linkerd.cli.flags import Command, Flag, Parsed
from steward.testing.linkerd.cli.installing import control_plane, definitions, look
from steward.testing.linkerd.cli.seen import Seen, proxy_of
from steward.testing.linkerd.cli.stored import Refused, stored_installation
from steward.testing.linkerd.objects import CONTROL_PLANE_NS, identity
from steward.testing.linkerd.values import dump

PRUNE = Command("prune", (Flag("output", "string", "Output format. One of: json|yaml", "o", "yaml"),))
UNINSTALL = Command("uninstall", (Flag("force", "bool", "Force uninstall even if there exist non-control-plane pods"),))


def _of_policy(plural: str, kind: str, version: str = "v1alpha1") -> Resource:
    return Resource("policy.linkerd.io", version, plural, kind)


NAMESPACED = (
    resources.CONFIG_MAPS,
    resources.CRON_JOBS,
    resources.DAEMON_SETS,
    resources.DEPLOYMENTS,
    resources.JOBS,
    _of_policy("meshtlsauthentications", "MeshTLSAuthentication"),
    _of_policy("networkauthentications", "NetworkAuthentication"),
    Resource("", "v1", "replicationcontrollers", "ReplicationController"),
    resources.SECRETS,
    resources.SERVICES,
    Resource("linkerd.io", "v1alpha2", "serviceprofiles", "ServiceProfile"),
    resources.STATEFUL_SETS,
    resources.ROLES,
    resources.ROLE_BINDINGS,
    resources.SERVICE_ACCOUNTS,
    resources.DISRUPTION_BUDGETS,
    _of_policy("servers", "Server", "v1beta3"),
    _of_policy("serverauthorizations", "ServerAuthorization", "v1beta1"),
    _of_policy("authorizationpolicies", "AuthorizationPolicy"),
    _of_policy("httproutes", "HTTPRoute", "v1beta3"),
)
CLUSTER_WIDE = (
    resources.CLUSTER_ROLES,
    resources.CLUSTER_ROLE_BINDINGS,
    resources.API_SERVICES,
    resources.MUTATING_WEBHOOKS,
    resources.VALIDATING_WEBHOOKS,
    resources.CRDS,
)
"""What prune looks through: every kind that some release of the charts has rendered."""


def prune(executable: Executable, parsed: Parsed, clock: Clock) -> int:
    """Print what carries Linkerd's label and is not rendered by this release."""
    with look(executable, parsed, clock) as seen:
        installation = stored_installation(seen, parsed)
        kept = {identity(one) for one in (*definitions(executable), *control_plane(executable, installation, clock))}
        labelled = [one for kind in (*NAMESPACED, *CLUSTER_WIDE) for one in _labelled(seen, kind)]
    _print(one for one in labelled if identity(one) not in kept)
    return 0


def uninstall(executable: Executable, parsed: Parsed, clock: Clock) -> int:
    """Print everything of Linkerd's outside its namespace, and the namespace; refuse while pods are meshed."""
    with look(executable, parsed, clock) as seen:
        meshed = [pod for pod in seen.meshed_pods if proxy_of(pod)]
        if meshed and not parsed.on("force"):
            names = "".join(f"\t* {text(pod, 'metadata', 'name')}\n" for pod in meshed)
            raise Refused(f"Please uninject the following pods before uninstalling the control-plane:\n{names}")
        whole = (*CLUSTER_WIDE, resources.ROLES, resources.ROLE_BINDINGS, resources.NAMESPACES)
        _print(one for kind in whole for one in _labelled(seen, kind))
    return 0


def _labelled(seen: Seen, resource: Resource) -> list[JsonObject]:
    try:
        return seen.all(resource, "", f"{CONTROL_PLANE_NS}={seen.options.control_plane}")
    except ApiRefused as refused:
        if refused.code == HTTPStatus.FORBIDDEN:
            # What the real one may not list, it leaves out without a word.
            return []
        raise


def _print(objects: Iterable[JsonObject]) -> None:
    for one in objects:
        metadata: JsonObject = {"name": text(one, "metadata", "name")}
        if text(one, "metadata", "namespace"):
            metadata["namespace"] = text(one, "metadata", "namespace")
        named: JsonObject = {"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": metadata}
        sys.stdout.write(dump(named) + "---\n")
