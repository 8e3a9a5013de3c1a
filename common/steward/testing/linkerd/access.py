"""Who may do what: the ServiceAccounts, roles and bindings of a control plane, as data."""

from dataclasses import dataclass

from steward.jsonvalue import Json, JsonObject
from steward.testing.linkerd.objects import CREATED_BY, labelled, labels_of, thing
from steward.testing.linkerd.values import NAMESPACE

RBAC = "rbac.authorization.k8s.io"
_API = f"{RBAC}/v1"
_PART_OF = {"app.kubernetes.io/part-of": "Linkerd"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role, words separated by spaces; `core` stands for the group without a name."""

    groups: str
    resources: str
    verbs: str
    names: str = ""

    @property
    def json(self) -> JsonObject:
        """As RBAC writes it."""
        groups: list[Json] = ["" if group == "core" else group for group in self.groups.split()]
        rule: JsonObject = {
            "apiGroups": groups,
            "resources": list[Json](self.resources.split()),
            "verbs": list[Json](self.verbs.split()),
        }
        if self.names:
            rule["resourceNames"] = list[Json](self.names.split())
        return rule


_WATCH = "list get watch"
_POLICY = (
    "authorizationpolicies httplocalratelimitpolicies httproutes meshtlsauthentications networkauthentications "
    "servers serverauthorizations egressnetworks"
)
_ROUTES = "httproutes grpcroutes tlsroutes tcproutes"

IDENTITY_RULES = (
    Rule("authentication.k8s.io", "tokenreviews", "create"),
    Rule("core", "events", "create patch"),
)
DESTINATION_RULES = (
    Rule("apps", "replicasets", _WATCH),
    Rule("batch", "jobs", _WATCH),
    Rule("core", "pods endpoints services nodes", _WATCH),
    Rule("linkerd.io", "serviceprofiles", _WATCH),
    Rule("workload.linkerd.io", "externalworkloads", _WATCH),
    Rule("coordination.k8s.io", "leases", "create get update patch"),
    Rule("discovery.k8s.io", "endpointslices", f"{_WATCH} create update patch delete"),
)
POLICY_RULES = (
    Rule("core", "pods", "get list watch"),
    Rule("apps", "deployments", "get"),
    Rule("policy.linkerd.io", _POLICY, "get list watch"),
    Rule("gateway.networking.k8s.io", _ROUTES, "get list watch"),
    Rule("policy.linkerd.io", "httproutes/status httplocalratelimitpolicies/status egressnetworks/status", "patch"),
    Rule("gateway.networking.k8s.io", " ".join(f"{route}/status" for route in _ROUTES.split()), "patch"),
    Rule("workload.linkerd.io", "externalworkloads", "get list watch"),
    Rule("coordination.k8s.io", "leases", "create get patch"),
)
INJECTOR_RULES = (
    Rule("core", "events", "create patch"),
    Rule("core", "namespaces replicationcontrollers", _WATCH),
    Rule("core", "pods", "list watch"),
    Rule("extensions apps", "deployments replicasets daemonsets statefulsets", _WATCH),
    Rule("extensions batch", "cronjobs jobs", _WATCH),
)
HEARTBEAT_RULES = (Rule("core", "namespaces", "list"), Rule("linkerd.io", "serviceprofiles", "list"))
SECRETS_RULES = (Rule("core", "secrets", "get list watch"),)
CONFIG_RULES = (Rule("core", "configmaps", "get", "linkerd-config"),)


def cluster_role(name: str, labels: dict[str, Json], rules: tuple[Rule, ...]) -> JsonObject:
    """A ClusterRole."""
    role = labelled(thing(_API, "ClusterRole", name, namespaced=False), labels)
    role["rules"] = [rule.json for rule in rules]
    return role


def role(name: str, labels: dict[str, Json], rules: tuple[Rule, ...]) -> JsonObject:
    """A Role in the control plane's namespace."""
    result = labelled(thing(_API, "Role", name), labels)
    result["rules"] = [rule.json for rule in rules]
    return result


def binding(name: str, labels: dict[str, Json], account: str, *, role: str = "", cluster: bool = True) -> JsonObject:
    """A binding of `account` to the role of the same name, or to `role`."""
    kind = "ClusterRoleBinding" if cluster else "RoleBinding"
    result = labelled(thing(_API, kind, name, namespaced=not cluster), labels)
    of = "ClusterRole" if cluster else "Role"
    result["roleRef"] = {"apiGroup": RBAC, "kind": of, "name": role or name}
    result["subjects"] = [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
    return result


def account(component: str) -> JsonObject:
    """The ServiceAccount of a component."""
    return labelled(thing("v1", "ServiceAccount", f"linkerd-{component}"), labels_of(component))


def of_component(component: str, rules: tuple[Rule, ...]) -> list[JsonObject]:
    """ClusterRole, binding and ServiceAccount of one controller."""
    name = f"linkerd-{NAMESPACE}-{component}"
    return [
        cluster_role(name, labels_of(component), rules),
        binding(name, labels_of(component), f"linkerd-{component}"),
        account(component),
    ]


def of_policy() -> list[JsonObject]:
    """What the policy controller may, which runs as the destination's account."""
    labels = labels_of("destination") | _PART_OF
    return [
        cluster_role("linkerd-policy", labels, POLICY_RULES),
        binding("linkerd-destination-policy", labels, "linkerd-destination", role="linkerd-policy"),
        role("remote-discovery", labels, SECRETS_RULES),
        binding(
            "linkerd-destination-remote-discovery",
            labels,
            "linkerd-destination",
            role="remote-discovery",
            cluster=False,
        ),
    ]


def of_heartbeat() -> list[JsonObject]:
    """What the daily heartbeat may."""
    return [
        role("linkerd-heartbeat", labels_of(), CONFIG_RULES),
        binding("linkerd-heartbeat", labels_of(), "linkerd-heartbeat", cluster=False),
        cluster_role("linkerd-heartbeat", labels_of(), HEARTBEAT_RULES),
        binding("linkerd-heartbeat", labels_of(), "linkerd-heartbeat"),
        account("heartbeat"),
    ]


def of_extensions(created_by: str) -> JsonObject:
    """The role through which extensions may read `linkerd-config`."""
    result = role("ext-namespace-metadata-linkerd-config", labels_of(), CONFIG_RULES)
    return labelled(result, labels_of(), {CREATED_BY: created_by})
