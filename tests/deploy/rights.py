"""The rights in deploy/, as they bind each ServiceAccount."""

from dataclasses import dataclass

from steward.jsonvalue import JsonObject, dig, rows, strings, text
from steward.testing.kubernetes.access import Rule
from tests.deploy.kustomize import DEPLOY, objects


@dataclass(frozen=True, slots=True)
class Granted:
    """One rule that holds for an account: in `namespace`, or everywhere where that is empty."""

    namespace: str
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...]

    def simulated(self) -> Rule:
        """The same for the fake API server, which knows no names: `escalate` and `bind` mean nothing to it."""
        return Rule(self.verbs, self.groups, self.resources, (self.namespace,) if self.namespace else ("*",))


def granted(account: str) -> list[Granted]:
    """Every rule of the account."""
    parts = objects((DEPLOY / "base" / account / "rights.yaml").read_text(encoding="utf-8"))
    roles = {_key(part): part for part in parts if text(part, "kind") in ("Role", "ClusterRole")}
    found = []
    for binding in parts:
        if text(binding, "kind") not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        (subject,) = rows(binding, "subjects")
        assert (text(subject, "name"), text(subject, "namespace")) == (account, "linkerd-steward")
        kind, namespace = text(binding, "roleRef", "kind"), text(binding, "metadata", "namespace")
        role = roles.pop((kind, namespace, text(binding, "roleRef", "name")))
        found += [_rule(rule, namespace) for rule in rows(role, "rules")]
    assert not roles, "a role that nobody has"
    return found


def _key(role: JsonObject) -> tuple[str, str, str]:
    return text(role, "kind"), text(role, "metadata", "namespace"), text(role, "metadata", "name")


def _rule(rule: JsonObject, namespace: str) -> Granted:
    groups, resources, verbs, names = (
        tuple(strings(dig(rule, member))) for member in ("apiGroups", "resources", "verbs", "resourceNames")
    )
    return Granted(namespace, groups, resources, verbs, names)
