"""Who may do what: AuthorizationPolicies with their authentications, ServerAuthorizations, default policies."""

from collections.abc import Iterator

from steward.jsonvalue import JsonObject, dig, flag, rows, strings, table, text
from steward.testing.dataplane.config import Authorization, Meta, Network
from steward.testing.dataplane.control.kinds import AUTHORIZATION_POLICIES, MESH_TLS, NETWORKS, SERVER_AUTHORIZATIONS
from steward.testing.dataplane.control.world import World, labels_of, name_of, namespace_of
from steward.testing.kubernetes.selectors import selects

EVERYWHERE = (Network("0.0.0.0/0"), Network("::/0"))
ANYBODY = ("*",)
DEFAULTS = (
    "all-unauthenticated",
    "all-authenticated",
    "cluster-unauthenticated",
    "cluster-authenticated",
    "all-tls-unauthenticated",
    "cluster-tls-unauthenticated",
    "deny",
    "audit",
)


class Authorizations:
    """Reads policies of one namespace at a time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def default(self, policy: str) -> tuple[Authorization, ...]:
        """What a default policy grants; `deny`, `audit` and what is unknown grant nothing."""
        if policy not in DEFAULTS or policy in ("deny", "audit"):
            return ()
        in_cluster = tuple(Network(cidr) for cidr in self._world.values.cluster_networks)
        networks = in_cluster if policy.startswith("cluster-") else EVERYWHERE
        identities = None if policy.endswith("-unauthenticated") and "-tls-" not in policy else ANYBODY
        return (Authorization(Meta("", "default", policy), networks, identities),)

    def of_server(self, server: JsonObject) -> tuple[Authorization, ...]:
        """Policies whose target is the Server, or its whole namespace, and ServerAuthorizations."""
        return (*self._policies(server), *self._legacy(server))

    def of_route(self, route: JsonObject) -> tuple[Authorization, ...]:
        """Policies whose target is the route."""
        return tuple(self._policies(route, whole_namespace=False))

    def _policies(self, target: JsonObject, *, whole_namespace: bool = True) -> Iterator[Authorization]:
        namespace = namespace_of(target)
        for policy in self._world.all(AUTHORIZATION_POLICIES, namespace):
            reference = table(policy, "spec", "targetRef")
            kind, name = text(reference, "kind"), text(reference, "name")
            group = text(reference, "group")
            mine = kind == text(target, "kind") and name == name_of(target)
            mine = mine and group in ("", text(target, "apiVersion").partition("/")[0])
            at_home = whole_namespace and kind == "Namespace" and name in ("", namespace)
            if mine or at_home:
                found = self._required(policy)
                if found is not None:
                    networks, identities = found
                    yield Authorization(_named(policy), networks, identities)

    def _required(self, policy: JsonObject) -> tuple[tuple[Network, ...], tuple[str, ...] | None] | None:
        """Networks and identities that are all asked for; None where a reference leads nowhere."""
        networks: tuple[Network, ...] = EVERYWHERE
        identities: tuple[str, ...] | None = None
        for reference in rows(policy, "spec", "requiredAuthenticationRefs"):
            kind, name = text(reference, "kind"), text(reference, "name")
            namespace = text(reference, "namespace") or namespace_of(policy)
            if kind == "ServiceAccount":
                identities = (self._world.identity(name, namespace),)
                continue
            found = self._world.find(MESH_TLS if kind == MESH_TLS.kind else NETWORKS, name, namespace)
            if found is None:
                return None
            if kind == MESH_TLS.kind:
                identities = tuple(self._identities(found))
            else:
                networks = tuple(network_of(one) for one in rows(found, "spec", "networks"))
        return networks, identities

    def _identities(self, authentication: JsonObject) -> Iterator[str]:
        yield from strings(authentication, "spec", "identities")
        for reference in rows(authentication, "spec", "identityRefs"):
            name = text(reference, "name")
            if text(reference, "kind") == "Namespace":
                yield "*" + self._world.identity("", name or namespace_of(authentication))
            else:
                yield self._world.identity(name, text(reference, "namespace") or namespace_of(authentication))

    def _legacy(self, server: JsonObject) -> Iterator[Authorization]:
        for one in self._world.all(SERVER_AUTHORIZATIONS, namespace_of(server)):
            wanted = table(one, "spec", "server")
            named = text(wanted, "name") == name_of(server)
            selector = dig(wanted, "selector")
            if named or (isinstance(selector, dict) and selects(selector, labels_of(server))):
                client = table(one, "spec", "client")
                networks = tuple(network_of(network) for network in rows(client, "networks"))
                yield Authorization(_named(one), networks or EVERYWHERE, self._legacy_identities(client, one))

    def _legacy_identities(self, client: JsonObject, authorization: JsonObject) -> tuple[str, ...] | None:
        if flag(client, "unauthenticated"):
            return None
        mesh = table(client, "meshTLS")
        if flag(mesh, "unauthenticatedTLS"):
            return ANYBODY
        home = namespace_of(authorization)
        accounts = (
            self._world.identity(text(one, "name"), text(one, "namespace") or home)
            for one in rows(mesh, "serviceAccounts")
        )
        return (*strings(mesh, "identities"), *accounts)


def network_of(declared: JsonObject) -> Network:
    """A network with its exceptions."""
    return Network(text(declared, "cidr"), tuple(strings(declared, "except")))


def _named(policy: JsonObject) -> Meta:
    group = text(policy, "apiVersion").partition("/")[0]
    return Meta(group, text(policy, "kind").lower(), name_of(policy), namespace_of(policy))
