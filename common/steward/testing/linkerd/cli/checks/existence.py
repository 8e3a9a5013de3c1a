"""Is everything there, and do the pods of the control plane run? `linkerd-existence` and `linkerd-config`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from steward.jsonvalue import JsonObject, flag, rows, strings, text
from steward.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    VALIDATING_WEBHOOKS,
    Resource,
)
from steward.testing.linkerd.cli.checks.check import Check, Section, Skipped
from steward.testing.linkerd.cli.seen import Seen, component_of, pod_name
from steward.testing.linkerd.definitions import DEFINITIONS

_DEPLOYMENTS = ("linkerd-destination", "linkerd-identity", "linkerd-proxy-injector")


def _has_config(seen: Seen) -> str:
    return "" if seen.config is not None else 'configmaps "linkerd-config" not found'


def _missing(seen: Seen, resource: Resource, names: Sequence[str]) -> str:
    namespace = seen.options.control_plane if resource.namespaced else ""
    there = {text(one, "metadata", "name") for one in seen.all(resource, namespace)}
    absent = [name for name in names if name not in there]
    return f"missing {resource.kind}s: {', '.join(absent)}" if absent else ""


def _exist(resource: Resource, *names: str) -> Callable[[Seen], str]:
    return lambda seen: _missing(seen, resource, names)


def _heartbeat_account(seen: Seen) -> str:
    if flag(seen.values, "disableHeartBeat"):
        raise Skipped
    return _missing(seen, SERVICE_ACCOUNTS, ["linkerd-heartbeat"])


def _replica_sets(seen: Seen) -> str:
    failures = [
        f"{text(condition, 'reason')}: {text(condition, 'message')}"
        for one in seen.all(REPLICA_SETS, seen.options.control_plane)
        for condition in rows(one, "status", "conditions")
        if (text(condition, "type"), text(condition, "status")) == ("ReplicaFailure", "True")
    ]
    return "\n   ".join(failures)


def _schedulable(seen: Seen) -> str:
    waiting = [
        f"{pod_name(pod)}: {text(condition, 'message')}"
        for pod in seen.control_plane_pods
        for condition in rows(pod, "status", "conditions")
        if (text(condition, "type"), text(condition, "status"), text(condition, "reason"))
        == ("PodScheduled", "False", "Unschedulable")
    ]
    return "\n    ".join(waiting)


def _pods_ready(seen: Seen) -> str:
    running = [pod for pod in seen.control_plane_pods if text(pod, "status", "phase") == "Running"]
    for deployment in _DEPLOYMENTS:
        mine = [pod for pod in running if component_of(pod) == deployment]
        if not mine:
            return f'No running pods for "{deployment}"'
        problems = [_first_unready(pod) for pod in mine]
        # One good pod of a component is enough here.
        if all(problems):
            return problems[0]
    return ""


def _first_unready(pod: JsonObject) -> str:
    for status in rows(pod, "status", "containerStatuses"):
        if not flag(status, "ready"):
            return f"pod/{pod_name(pod)} container {text(status, 'name')} is not ready"
    return ""


def _outside(seen: Seen, addresses: Iterable[tuple[str, str]]) -> str:
    networks = [ip_network(word.strip(), strict=False) for word in text(seen.values, "clusterNetworks").split(",")]
    for what, address in addresses:
        if not any(ip_address(address) in network for network in networks):
            listed = text(seen.values, "clusterNetworks").replace(",", " ")
            return f"the Linkerd clusterNetworks [{listed!r}] do not include {what} ({address})"
    return ""


def _node_networks(seen: Seen) -> str:
    ranges = [
        (f"node {text(node, 'metadata', 'name')}", network.partition("/")[0])
        for node in seen.all(NODES)
        for network in strings(node, "spec", "podCIDRs") or [text(node, "spec", "podCIDR")]
        if network
    ]
    if not ranges:
        raise Skipped
    return _outside(seen, ranges)


def _pod_addresses(seen: Seen) -> Iterator[tuple[str, str]]:
    for pod in seen.all(PODS):
        address = text(pod, "status", "podIP")
        if address and not flag(pod, "spec", "hostNetwork"):
            yield f"pod {text(pod, 'metadata', 'namespace')}/{pod_name(pod)}", address


def _service_addresses(seen: Seen) -> Iterator[tuple[str, str]]:
    for service in seen.all(SERVICES):
        address = text(service, "spec", "clusterIP")
        if address not in ("", "None"):
            name = f"svc {text(service, 'metadata', 'namespace')}/{text(service, 'metadata', 'name')}"
            yield name, address


def _namespace(seen: Seen) -> str:
    name = seen.options.control_plane
    return "" if seen.named(NAMESPACES, name) else f'The "{name}" namespace does not exist'


def definitions_exist(seen: Seen) -> str:
    """All ten of Linkerd's definitions with the version this release needs."""
    wrong = []
    for definition in DEFINITIONS:
        found = seen.definition(definition.name)
        if found is None:
            wrong.append(f"missing {definition.name}")
        elif definition.stored not in [text(one, "name") for one in rows(found, "spec", "versions")]:
            wrong.append(f"CRD {definition.name} is missing version {definition.stored}")
    return ", ".join(wrong)


def _docker(seen: Seen) -> str:
    on_docker = [
        node
        for node in seen.all(NODES)
        if text(node, "status", "nodeInfo", "containerRuntimeVersion").startswith("docker:")
    ]
    if on_docker and not flag(seen.values, "proxyInit", "runAsRoot"):
        return (
            "there are nodes using the docker container runtime and proxy-init container must run as root user.\n"
            "try installing linkerd via --set proxyInit.runAsRoot=true"
        )
    return ""


EXISTENCE = Section(
    "linkerd-existence",
    (
        Check("'linkerd-config' config map exists", "l5d-existence-linkerd-config", _has_config, fatal=True),
        Check("heartbeat ServiceAccount exist", "l5d-existence-sa", _heartbeat_account, fatal=True),
        Check(
            "control plane replica sets are ready", "l5d-existence-replicasets", _replica_sets, fatal=True, retried=True
        ),
        Check("no unschedulable pods", "l5d-existence-unschedulable-pods", _schedulable, warning=True),
        Check("control plane pods are ready", "l5d-api-control-ready", _pods_ready, fatal=True, retried=True),
        Check("cluster networks contains all node podCIDRs", "l5d-cluster-networks-cidr", _node_networks),
        Check(
            "cluster networks contains all pods",
            "l5d-cluster-networks-pods",
            lambda seen: _outside(seen, _pod_addresses(seen)),
        ),
        Check(
            "cluster networks contains all services",
            "l5d-cluster-networks-pods",
            lambda seen: _outside(seen, _service_addresses(seen)),
        ),
    ),
)

_ROLES = ("linkerd-linkerd-identity", "linkerd-linkerd-proxy-injector")
CONFIG = Section(
    "linkerd-config",
    (
        Check("control plane Namespace exists", "l5d-existence-ns", _namespace, fatal=True),
        Check("control plane ClusterRoles exist", "l5d-existence-cr", _exist(CLUSTER_ROLES, *_ROLES), fatal=True),
        Check(
            "control plane ClusterRoleBindings exist",
            "l5d-existence-crb",
            _exist(CLUSTER_ROLE_BINDINGS, *_ROLES),
            fatal=True,
        ),
        Check(
            "control plane ServiceAccounts exist",
            "l5d-existence-sa",
            _exist(SERVICE_ACCOUNTS, *_DEPLOYMENTS),
            fatal=True,
        ),
        Check("control plane CustomResourceDefinitions exist", "l5d-existence-crd", definitions_exist, fatal=True),
        Check(
            "control plane MutatingWebhookConfigurations exist",
            "l5d-existence-mwc",
            _exist(MUTATING_WEBHOOKS, "linkerd-proxy-injector-webhook-config"),
            fatal=True,
        ),
        Check(
            "control plane ValidatingWebhookConfigurations exist",
            "l5d-existence-vwc",
            _exist(
                VALIDATING_WEBHOOKS, "linkerd-sp-validator-webhook-config", "linkerd-policy-validator-webhook-config"
            ),
            fatal=True,
        ),
        Check(
            "proxy-init container runs as root user if docker container runtime is used",
            "l5d-proxy-init-run-as-root",
            _docker,
        ),
    ),
)
DEFINITIONS_ONLY = Section(
    "linkerd-crd",
    (Check("control plane CustomResourceDefinitions exist", "l5d-existence-crd", definitions_exist, fatal=True),),
)
