"""Who asks and what they may do: bearer tokens with rules. Who brings no token is the administrator."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from steward.jsonvalue import JsonObject, table, text
from steward.kube.resources import Resource
from steward.testing.kubernetes.refusal import forbidden, unauthorized

ADMINISTRATOR = "system:admin"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Rule:
    """As in a Role: `*` stands for everything; `resources` may name subresources (`pods/eviction`)."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ("",)
    resources: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)

    def allows(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether it covers this act."""
        pairs = ((verb, self.verbs), (group, self.groups), (resource, self.resources), (namespace, self.namespaces))
        return all("*" in allowed or asked in allowed for asked, allowed in pairs)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an identity with rules wanted to do, in the words of RBAC, and whether it might."""

    user: str
    verb: str
    group: str
    resource: str
    """With the subresource: `pods/eviction`."""
    namespace: str
    allowed: bool


@dataclass(slots=True)
class Access:
    """The identities that are known."""

    attempts: set[Attempt] = field(default_factory=set)
    """Everything that was asked so far, by all but the administrator; each kind of request once."""
    _users: dict[str, tuple[str, tuple[Rule, ...]]] = field(default_factory=dict)
    _rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)

    def add(self, token: str, user: str, rules: Sequence[Rule]) -> None:
        """From here on `token` is `user`, who may do what `rules` allow and nothing else."""
        self._users[token] = (user, tuple(rules))
        self._rules[user] = tuple(rules)

    def remove(self, token: str) -> None:
        """Nobody knows this token any more."""
        del self._users[token]

    def identify(self, authorization: str) -> str:
        """The user behind an Authorization header."""
        token = authorization.removeprefix("Bearer ").strip()
        if not token:
            return ADMINISTRATOR
        if token not in self._users:
            raise unauthorized()
        return self._users[token][0]

    def allows(self, user: str, verb: str, resource: Resource, namespace: str, subresource: str = "") -> bool:
        """Whether the user may."""
        if user == ADMINISTRATOR:
            return True
        plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
        return any(rule.allows(verb, resource.group, plural, namespace) for rule in self._rules.get(user, ()))

    def must_allow(self, user: str, verb: str, resource: Resource, namespace: str, subresource: str = "") -> None:
        """403 where the user may not."""
        allowed = self.allows(user, verb, resource, namespace, subresource)
        plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
        if user != ADMINISTRATOR:
            self.attempts.add(Attempt(user, verb, resource.group, plural, namespace, allowed))
        if allowed:
            return
        where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
        what = f'User "{user}" cannot {verb} resource "{plural}" in API group "{resource.group}"{where}'
        raise forbidden(resource, "", what)

    def reviewed(self, user: str, review: JsonObject) -> JsonObject:
        """The answer to a SelfSubjectAccessReview."""
        wanted = table(review, "spec", "resourceAttributes")
        asked = Resource(text(wanted, "group"), text(wanted, "version"), text(wanted, "resource"), "")
        allowed = self.allows(user, text(wanted, "verb"), asked, text(wanted, "namespace"), text(wanted, "subresource"))
        return {**review, "status": {"allowed": allowed}}


def verb_of(method: str, *, name: str, watches: bool) -> str:
    """The verb as RBAC calls it."""
    if method == "GET":
        return "watch" if watches else "get" if name else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return _VERBS.get(method, method.lower())
