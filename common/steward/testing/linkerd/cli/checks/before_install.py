"""May Linkerd be installed here? `pre-kubernetes-setup`, shown by `--pre`."""

from collections.abc import Callable
from datetime import datetime, timedelta

from steward.jsonvalue import JsonObject, flag, rows, text
from steward.kube.resources import (
    ACCESS_REVIEWS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CRON_JOBS,
    DEPLOYMENTS,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    VALIDATING_WEBHOOKS,
    Resource,
)
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.cli.checks.check import Check, Section
from steward.testing.linkerd.cli.seen import Seen
from steward.testing.linkerd.manifests import rendered
from steward.testing.linkerd.values import Installation, Method

_CLUSTER_WIDE = {
    one.kind: one for one in (NAMESPACES, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)
}
_SKEW = timedelta(minutes=5)


def _no_namespace(seen: Seen) -> str:
    name = seen.options.control_plane
    return f'The "{name}" namespace already exists' if seen.named(NAMESPACES, name) else ""


def _cluster_wide(seen: Seen) -> str:
    """A dry run of what has no namespace; certificates do not matter for it."""
    trust = Trust.for_cli(seen.now)
    installation = Installation.planned(seen.options.release, trust, Method.CLI)
    refused = []
    for thing in rendered(installation, lambda _: trust.issuer):
        resource = _CLUSTER_WIDE.get(text(thing, "kind"))
        problem = seen.cluster.would_create(resource, thing) if resource else ""
        if problem:
            refused.append(f"cannot create {text(thing, 'kind')}/{text(thing, 'metadata', 'name')}: {problem}")
    return "\n    ".join(refused)


def _may(verb: str, resource: Resource, namespace: str = "", name: str = "") -> Callable[[Seen], str]:
    def find(seen: Seen) -> str:
        attributes: JsonObject = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "namespace": namespace or seen.options.control_plane,
        }
        if name:
            attributes["name"] = name
        review: JsonObject = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"resourceAttributes": attributes},
        }
        answer = seen.cluster.post(ACCESS_REVIEWS.path(), review)
        return "" if flag(answer, "status", "allowed") else f"not authorized to access {resource}"

    return find


def _clocks(seen: Seen) -> str:
    off = [
        text(node, "metadata", "name")
        for node in seen.all(NODES)
        for condition in rows(node, "status", "conditions")
        if text(condition, "type") == "Ready" and _is_off(text(condition, "lastHeartbeatTime"), seen.now)
    ]
    return f"clock skew detected for node(s): {', '.join(off)}" if off else ""


def _is_off(heartbeat: str, now: datetime) -> bool:
    """A heartbeat from the future; an old one only says that the node is quiet."""
    try:
        return datetime.fromisoformat(heartbeat) - now > _SKEW
    except (ValueError, TypeError):
        return False


SETUP = Section(
    "pre-kubernetes-setup",
    (
        Check("control plane namespace does not already exist", "pre-ns", _no_namespace),
        Check("can create non-namespaced resources", "pre-k8s-cluster-k8s", _cluster_wide),
        *(
            Check(f"can create {resource.kind}s", "pre-k8s", _may("create", resource))
            for resource in (SERVICE_ACCOUNTS, SERVICES, DEPLOYMENTS, CRON_JOBS, CONFIG_MAPS, SECRETS)
        ),
        Check("can read Secrets", "pre-k8s", _may("get", SECRETS)),
        Check(
            "can read extension-apiserver-authentication configmap",
            "pre-k8s",
            _may("get", CONFIG_MAPS, "kube-system", "extension-apiserver-authentication"),
        ),
        Check("no clock skew detected", "pre-k8s-clock-skew", _clocks, warning=True),
    ),
)
