"""The rights in deploy/, as they bind each ServiceAccount."""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.jsonvalue import JsonObject, dig, rows, strings, text
from steward.testing.cluster.gate import Call
from steward.testing.kubernetes.access import Rule, verb_of
from tests.deploy.kustomize import DEPLOY, objects


@dataclass(frozen=True, slots=True)
class Granted:
    """One rule of `role` that holds for an account: in `namespace`, or everywhere where that is empty."""

    role: str
    namespace: str
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...]

    def simulated(self) -> Rule:
        """The same for the fake API server, which knows no names: `escalate` and `bind` mean nothing to it."""
        return Rule(self.verbs, self.groups, self.resources, (self.namespace,) if self.namespace else ("*",))


ALERTING_BY_FILES = ("alerting-service", "alerting")
ALERTING_BY_OPERATOR = ("alerting-service", "alerting-operator")
_FOLDERS = {"alerting": ALERTING_BY_FILES}


def granted(account: str, *folders: str) -> list[Granted]:
    """Every rule of the account, by the files in its folder, or in those that are named: alerting has two ways."""
    parts = [part for folder in folders or _FOLDERS.get(account, (account,)) for part in _files(folder)]
    roles = {_key(part): part for part in parts if text(part, "kind") in ("Role", "ClusterRole")}
    found, bound = [], set[tuple[str, str, str]]()
    for binding in parts:
        if text(binding, "kind") not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        (subject,) = rows(binding, "subjects")
        assert (text(subject, "name"), text(subject, "namespace")) == (account, "linkerd-steward")
        kind, namespace = text(binding, "roleRef", "kind"), text(binding, "metadata", "namespace")
        key = (kind, namespace if kind == "Role" else "", text(binding, "roleRef", "name"))
        bound.add(key)
        found += [_rule(rule, text(roles[key], "metadata", "name"), namespace) for rule in rows(roles[key], "rules")]
    assert bound == set(roles), "a role that nobody has"
    return found


def _files(folder: str) -> list[JsonObject]:
    paths = sorted(DEPLOY.glob(f"*/{folder}/*.yaml"))
    return [part for path in paths for part in objects(path.read_text(encoding="utf-8"))]


def _key(role: JsonObject) -> tuple[str, str, str]:
    return text(role, "kind"), text(role, "metadata", "namespace"), text(role, "metadata", "name")


def _rule(rule: JsonObject, role: str, namespace: str) -> Granted:
    groups, resources, verbs, names = (
        tuple(strings(dig(rule, member))) for member in ("apiGroups", "resources", "verbs", "resourceNames")
    )
    return Granted(role, namespace, groups, resources, verbs, names)


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did, in the words of RBAC."""

    verb: str
    resource: str
    group: str
    namespace: str

    @classmethod
    def of(cls, call: Call) -> "Act | None":
        """The act that a request is; None for what concerns no resource, such as discovery."""
        parts = call.path.strip("/").split("/")
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1] if len(parts) > 1 else "", parts[3:])
        if parts[0] not in ("api", "apis") or not rest:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource, name = "/".join((rest[0], *rest[2:])), rest[1:2]
        watches = "watch=" in call.query and "watch=0" not in call.query
        return cls(verb_of(call.method, name="".join(name), watches=watches), resource, group, namespace)


def unused(account: str, role: str, namespace: str, acts: Iterable[Act]) -> set[str]:
    """What `role` grants in `namespace` (empty: everywhere) and nobody did, `verb resource`."""
    done = set(acts)
    return {
        f"{verb} {resource}"
        for rule in granted(account)
        if (rule.role, rule.namespace) == (role, namespace)
        for resource in rule.resources
        for verb in rule.verbs
        if not any(
            (act.verb, act.resource) == (verb, resource)
            and act.group in rule.groups
            and namespace in ("", act.namespace)
            for act in done
        )
    }
