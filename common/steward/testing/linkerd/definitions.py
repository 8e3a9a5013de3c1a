"""The ten CustomResourceDefinitions of Linkerd: real names, groups and versions, and schemas that let everything in."""

from dataclasses import dataclass

from steward.jsonvalue import Json, JsonObject, table
from steward.testing.linkerd.objects import CONTROL_PLANE_NS, CREATED_BY, labelled, thing
from steward.testing.linkerd.values import NAMESPACE


@dataclass(frozen=True, slots=True)
class Definition:
    """One kind. `versions` oldest first; the last one is stored. A version ending in `!` is deprecated."""

    group: str
    kind: str
    plural: str
    versions: str
    short: str = ""
    status: bool = False
    categories: str = ""

    @property
    def name(self) -> str:
        """The object's name."""
        return f"{self.plural}.{self.group}"

    @property
    def stored(self) -> str:
        """The version that etcd keeps, which is the newest."""
        return self.versions.split()[-1]


_POLICY = "policy.linkerd.io"
DEFINITIONS = (
    Definition(_POLICY, "AuthorizationPolicy", "authorizationpolicies", "v1alpha1", "authzpolicy"),
    Definition(_POLICY, "EgressNetwork", "egressnetworks", "v1alpha1", status=True, categories="policy"),
    Definition(_POLICY, "HTTPLocalRateLimitPolicy", "httplocalratelimitpolicies", "v1alpha1", status=True),
    Definition(_POLICY, "HTTPRoute", "httproutes", "v1alpha1 v1beta1 v1beta2 v1beta3", status=True),
    Definition(_POLICY, "MeshTLSAuthentication", "meshtlsauthentications", "v1alpha1", "meshtlsauthn"),
    Definition(_POLICY, "NetworkAuthentication", "networkauthentications", "v1alpha1", "netauthn networkauthn"),
    Definition(_POLICY, "ServerAuthorization", "serverauthorizations", "v1alpha1! v1beta1", "saz serverauthz srvauthz"),
    Definition(_POLICY, "Server", "servers", "v1alpha1! v1beta1! v1beta2 v1beta3", "srv"),
    Definition("linkerd.io", "ServiceProfile", "serviceprofiles", "v1alpha1 v1alpha2", "sp"),
    Definition(
        "workload.linkerd.io",
        "ExternalWorkload",
        "externalworkloads",
        "v1alpha1 v1beta1",
        status=True,
        categories="external",
    ),
)


_GATEWAY = "gateway.networking.k8s.io"
_STANDARD = (
    Definition(_GATEWAY, "GRPCRoute", "grpcroutes", "v1", status=True),
    Definition(_GATEWAY, "HTTPRoute", "httproutes", "v1beta1 v1", status=True),
)
_EXPERIMENTAL = (
    Definition(_GATEWAY, "TLSRoute", "tlsroutes", "v1alpha2", status=True),
    Definition(_GATEWAY, "TCPRoute", "tcproutes", "v1alpha2", status=True),
)


def gateway_api(*, experimental: bool = False) -> list[JsonObject]:
    """The definitions of the Gateway API that Linkerd reads: the two it needs, or those of the experimental channel."""
    made = []
    for route in _EXPERIMENTAL if experimental else _STANDARD:
        definition = of_definition(route, "", "")
        table(definition, "metadata").pop("labels")
        # The API server refuses definitions of a protected group that do not name their approval.
        annotations: JsonObject = {
            "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/3328",
            "gateway.networking.k8s.io/bundle-version": "v1.2.1",
            "gateway.networking.k8s.io/channel": "experimental" if experimental else "standard",
        }
        table(definition, "metadata")["annotations"] = annotations
        made.append(definition)
    return made


def of_definition(definition: Definition, created_by: str, chart: str) -> JsonObject:
    """The CustomResourceDefinition; `chart` is the version its label names."""
    result = thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", definition.name, namespaced=False)
    labels: JsonObject = {"helm.sh/chart": f"linkerd-crds-{chart}", CONTROL_PLANE_NS: NAMESPACE}
    names: JsonObject = {
        "kind": definition.kind,
        "listKind": f"{definition.kind}List",
        "plural": definition.plural,
        "singular": definition.kind.lower(),
    }
    if definition.short:
        names["shortNames"] = list[Json](definition.short.split())
    if definition.categories:
        names["categories"] = list[Json](definition.categories.split())
    result["spec"] = {
        "group": definition.group,
        "names": names,
        "scope": "Namespaced",
        "versions": [_version(word, definition) for word in definition.versions.split()],
    }
    return labelled(result, labels, {CREATED_BY: created_by})


def _version(word: str, definition: Definition) -> JsonObject:
    name = word.rstrip("!")
    anything: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties: JsonObject = {"spec": dict(anything)}
    version: JsonObject = {"name": name, "served": True, "storage": word == definition.stored}
    if word.endswith("!"):
        version["deprecated"] = True
    if definition.status:
        properties["status"] = dict(anything)
        # The oldest versions came before the controllers wrote a status, except for the routes.
        if definition.kind == "HTTPRoute" or word == definition.stored:
            version["subresources"] = {"status": {}}
    version["schema"] = {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": properties}}
    return version
