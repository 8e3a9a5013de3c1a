"""What `linkerd-config` says: the merged values of the installation, of which only what is decided upon is kept."""

from dataclasses import dataclass

from steward.jsonvalue import JsonObject, dig, flag, rows, strings, table, text, whole
from steward.yamlvalue import MalformedYaml, parse_yaml

CONFIG_MAP = "linkerd-config"
TRUST_ROOTS = "linkerd-identity-trust-roots"
BUNDLE = "ca-bundle.crt"

_LARGEST_VALUES = 1_048_576
"""Kubernetes itself stores no larger object."""


class UnreadableConfig(ValueError):
    """linkerd-config has no values that can be read."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...]

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether an object with `labels` meets it; an operator that Kubernetes does not have is never met."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return False


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """The installation as it is configured, which can be ahead of what runs. No key material is ever read."""

    version: str
    proxy_version: str
    """The proxy that new pods get."""
    proxy_image: str
    controller_image: str
    native_sidecar: bool | None
    """Whether new proxies are init containers; None where the values do not say."""
    high_availability: bool
    cni: bool
    heartbeat: bool
    external_ca: bool
    issuer_scheme: str
    trust_anchors: str
    """PEM of the anchors in the values: public, and not always the same as the ConfigMap that proxies get."""
    trust_domain: str
    cluster_domain: str
    webhook_failure_policy: str
    injection: tuple[Requirement, ...]
    """What the injector's webhook asks of a namespace's labels."""
    controller_replicas: int = 0
    """How many pods each Deployment of the control plane should have; 0 where the values do not say."""


def parse_config(config_map: JsonObject) -> MeshConfig:
    """The values in the ConfigMap `linkerd-config`. Raise UnreadableConfig where there are none."""
    raw = text(config_map, "data", "values")
    if not raw:
        raise UnreadableConfig("ConfigMap linkerd-config has no key 'values'")
    if len(raw) > _LARGEST_VALUES:
        raise UnreadableConfig(f"ConfigMap linkerd-config has {len(raw)} bytes of values, more than Kubernetes stores")
    try:
        values = parse_yaml(raw)
    except MalformedYaml as error:
        raise UnreadableConfig(f"the values of ConfigMap linkerd-config are not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UnreadableConfig("the values of ConfigMap linkerd-config are not a mapping")
    return _config(values)


def _config(values: JsonObject) -> MeshConfig:
    version = text(values, "linkerdVersion")
    if not version:
        raise UnreadableConfig("the values of ConfigMap linkerd-config name no linkerdVersion")
    native = dig(values, "proxy", "nativeSidecar")
    return MeshConfig(
        version=version,
        proxy_version=text(values, "proxy", "image", "version") or version,
        proxy_image=text(values, "proxy", "image", "name"),
        controller_image=text(values, "controllerImage"),
        native_sidecar=native if isinstance(native, bool) else None,
        high_availability=flag(values, "highAvailability"),
        cni=flag(values, "cniEnabled"),
        heartbeat=not flag(values, "disableHeartBeat"),
        external_ca=flag(values, "identity", "externalCA"),
        issuer_scheme=text(values, "identity", "issuer", "scheme", default="linkerd.io/tls"),
        trust_anchors=text(values, "identityTrustAnchorsPEM"),
        trust_domain=text(values, "identityTrustDomain") or text(values, "clusterDomain"),
        cluster_domain=text(values, "clusterDomain", default="cluster.local"),
        webhook_failure_policy=text(values, "webhookFailurePolicy", default="Ignore"),
        injection=_requirements(table(values, "proxyInjector", "namespaceSelector")),
        controller_replicas=max(0, whole(values, "controllerReplicas")),
    )


def _requirements(selector: JsonObject) -> tuple[Requirement, ...]:
    labels = table(selector, "matchLabels")
    exact = tuple(Requirement(key, "In", (value,)) for key, value in labels.items() if isinstance(value, str))
    return exact + tuple(
        Requirement(text(each, "key"), text(each, "operator"), tuple(strings(each, "values")))
        for each in rows(selector, "matchExpressions")
    )
