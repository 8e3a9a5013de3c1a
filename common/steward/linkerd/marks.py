"""The labels and annotations by which Linkerd, its installers and Steward mark objects.

Objects of other people are read, never trusted: an unknown value of a mark is the same as no mark.
"""

from collections.abc import Mapping
from enum import StrEnum

# What the injector and the charts write.
CONTROL_PLANE_NS = "linkerd.io/control-plane-ns"
COMPONENT = "linkerd.io/control-plane-component"
IS_CONTROL_PLANE = "linkerd.io/is-control-plane"
EXTENSION = "linkerd.io/extension"
CREATED_BY = "linkerd.io/created-by"
PROXY_VERSION = "linkerd.io/proxy-version"
TRUST_ROOT = "linkerd.io/trust-root-sha256"
PROXY_OWNER_PREFIX = "linkerd.io/proxy-"

# What people ask of the injector.
INJECT = "linkerd.io/inject"
ADMISSION_WEBHOOKS = "config.linkerd.io/admission-webhooks"
PIN_VERSION = "config.linkerd.io/proxy-version"
PIN_IMAGE = "config.linkerd.io/proxy-image"
NATIVE_SIDECAR = (
    "config.linkerd.io/proxy-enable-native-sidecar",
    "config.beta.linkerd.io/proxy-enable-native-sidecar",
    "config.alpha.linkerd.io/proxy-enable-native-sidecar",
)
"""The most stable form wins over the deprecated ones."""

# What people ask of Steward, and what it writes.
PROXY_UPGRADE = "steward.linkerd.io/proxy-upgrade"
ORDER = "steward.linkerd.io/order"
HOLD = "steward.linkerd.io/hold"
HOLD_UNTIL = "steward.linkerd.io/hold-until"
PROXY_TARGET = "steward.linkerd.io/proxy-target"
LAST_OPERATION = "steward.linkerd.io/last-operation"

# What installers write.
MANAGED_BY = "app.kubernetes.io/managed-by"
HELM_RELEASE = "meta.helm.sh/release-name"
HELM_RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
HELM_CHART = "helm.sh/chart"
ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
ARGO_INSTANCE = "argocd.argoproj.io/instance"
FLUX_HELM = "helm.toolkit.fluxcd.io/name"
FLUX_KUSTOMIZE = "kustomize.toolkit.fluxcd.io/name"

PROXY_CONTAINER = "linkerd-proxy"
FOREIGN_SIDECARS = ("istio-proxy",)

_KEPT_DOMAINS = ("linkerd.io", "argoproj.io", "fluxcd.io", "helm.sh")
_KEPT_KEYS = frozenset({MANAGED_BY, "app.kubernetes.io/instance", "kubectl.kubernetes.io/restartedAt"})


class Inject(StrEnum):
    """What somebody asked of the injector. Anything else than these three words injects nothing."""

    ENABLED = "enabled"
    INGRESS = "ingress"
    DISABLED = "disabled"

    @classmethod
    def read(cls, value: str | None) -> "Inject | None":
        """The wish in an annotation; None where there is none, `disabled` for a word the injector does not know."""
        if value is None:
            return None
        return cls(value) if value in cls._value2member_map_ else cls.DISABLED

    @property
    def wanted(self) -> bool:
        """Whether a proxy is asked for."""
        return self is not Inject.DISABLED


def kept(marks: Mapping[str, str]) -> dict[str, str]:
    """The marks that any decision of Steward reads: a cache of ten thousand workloads holds no others."""
    return {key: value for key, value in marks.items() if key in _KEPT_KEYS or _domain_is_kept(key)}


def _domain_is_kept(key: str) -> bool:
    domain, slash, _ = key.partition("/")
    return bool(slash) and any(domain == kept_one or domain.endswith("." + kept_one) for kept_one in _KEPT_DOMAINS)


def native_sidecar_wish(annotations: Mapping[str, str]) -> bool | None:
    """What the annotations say of native sidecars, None where they say nothing."""
    for key in NATIVE_SIDECAR:
        value = annotations.get(key)
        if value is not None:
            return value.strip().lower() == "true"
    return None
