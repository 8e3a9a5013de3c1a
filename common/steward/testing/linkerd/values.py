"""The values an installation is rendered from, and how they are kept in the cluster.

`linkerd-config` holds the merged values without private keys; a CLI installation keeps what differs from the chart's
defaults, keys included, in the Secret `linkerd-config-overrides`.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import cast

import yaml

from steward.jsonvalue import Json, JsonObject, flag, table, text, whole
from steward.testing.linkerd.certificates import Pair, Trust
from steward.testing.linkerd.release import INIT_IMAGE_BEFORE_MERGE, Release

NAMESPACE = "linkerd"


class Method(StrEnum):
    """The tool that installs, and leaves its marks."""

    HELM = "helm"
    CLI = "cli"


@cache
def _shipped() -> JsonObject:
    document = files("steward.testing.linkerd").joinpath("defaults.yaml").read_text(encoding="utf-8")
    return cast("JsonObject", yaml.safe_load(document))


def chart_defaults(release: Release) -> JsonObject:
    """The values of the control-plane chart of `release` before anybody changed one."""
    values = deepcopy(_shipped())
    values["linkerdVersion"] = release.version
    table(values, "proxy")["nativeSidecar"] = release.native_sidecars
    table(values, "debugContainer", "image")["version"] = release.version
    if not release.init_inside_proxy_image:
        name, _, version = INIT_IMAGE_BEFORE_MERGE.rpartition(":")
        table(values, "proxyInit")["image"] = {"name": name, "pullPolicy": "", "version": version}
    return values


HIGH_AVAILABILITY: JsonObject = {
    "controllerReplicas": 3,
    "enablePodAntiAffinity": True,
    "enablePodDisruptionBudget": True,
    "highAvailability": True,
    "webhookFailurePolicy": "Fail",
    "deploymentStrategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
}
"""What `values-ha.yaml` and `linkerd install --ha` change, as far as it shows in objects and checks."""


def merged(base: JsonObject, changes: JsonObject) -> JsonObject:
    """`base` overlaid by `changes`, tables merged, everything else replaced; both stay as they are."""
    result = dict(base)
    for key, change in changes.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(change, dict):
            result[key] = merged(below, change)
        else:
            result[key] = deepcopy(change)
    return result


def difference(base: JsonObject, values: JsonObject) -> JsonObject:
    """The smallest overlay that turns `base` into `values`; keys that `values` lacks are not mentioned."""
    result: JsonObject = {}
    for key, value in values.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            inner = difference(below, value)
            if inner:
                result[key] = inner
        elif key not in base or below != value:
            result[key] = deepcopy(value)
    return result


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything that decides how the objects of a control plane look."""

    release: Release
    trust: Trust
    method: Method
    values: JsonObject
    """The merged values, with the anchors and the issuer's certificate and key."""

    @classmethod
    def planned(
        cls, release: Release, trust: Trust, method: Method, overrides: JsonObject | None = None
    ) -> "Installation":
        """`release` with what the user changed, as a Helm values file would say it."""
        values = merged(chart_defaults(release), overrides or {})
        values["cliVersion"] = f"linkerd/{method.value} {release.version}"
        values["identityTrustAnchorsPEM"] = trust.anchors
        issuer = table(values, "identity", "issuer", "tls")
        issuer["crtPEM"], issuer["keyPEM"] = trust.issuer.certificate, trust.issuer.key
        return cls(release, trust, method, values)

    @classmethod
    def stored(cls, release: Release, overrides: JsonObject) -> "Installation":
        """What the content of `linkerd-config-overrides` describes, at `release`."""
        issuer = table(overrides, "identity", "issuer", "tls")
        pair = Pair(text(issuer, "crtPEM"), text(issuer, "keyPEM"))
        trust = Trust(text(overrides, "identityTrustAnchorsPEM"), pair)
        return cls.planned(release, trust, Method.CLI, overrides)

    @property
    def created_by(self) -> str:
        """The annotation `linkerd.io/created-by` on the control plane's objects."""
        return f"linkerd/{self.method.value} {self.release.version}"

    @property
    def control_plane_version(self) -> str:
        """The version of the controllers, which a user may override apart from the proxy's."""
        return text(self.values, "controllerImageVersion") or text(self.values, "linkerdVersion")

    @property
    def config_values(self) -> str:
        """The key `values` of ConfigMap `linkerd-config`: everything but private keys, as YAML."""
        values = deepcopy(self.values)
        table(values, "identity", "issuer", "tls").pop("keyPEM", None)
        return dump(values)

    @property
    def changed(self) -> JsonObject:
        """What differs from the chart's defaults, certificates and private keys included."""
        kept = difference(chart_defaults(self.release), self.values)
        kept.pop("cliVersion", None)
        return kept

    @property
    def stored_overrides(self) -> str:
        """The key of Secret `linkerd-config-overrides`: what the CLI needs to render this installation again."""
        return dump(self.changed)


@dataclass(frozen=True, slots=True)
class ProxyValues:
    """The values that decide how an injected proxy looks."""

    values: JsonObject

    @property
    def image(self) -> str:
        """The proxy's image without anybody's pin."""
        return f"{self.image_name}:{self.version}"

    @property
    def image_name(self) -> str:
        """The image without its tag."""
        return text(self.values, "proxy", "image", "name")

    @property
    def version(self) -> str:
        """The tag: the proxy's own where one is set, else that of the installation."""
        return text(self.values, "proxy", "image", "version") or text(self.values, "linkerdVersion")

    @property
    def native(self) -> bool:
        """Whether the proxy is a native sidecar by default."""
        return flag(self.values, "proxy", "nativeSidecar")

    @property
    def cni(self) -> bool:
        """Whether the CNI plugin redirects the traffic of pods, so that no init container must."""
        return flag(self.values, "cniEnabled")

    @property
    def release(self) -> Release:
        """The release whose injector renders these values."""
        return Release(text(self.values, "linkerdVersion"))

    def number(self, *path: str, default: int) -> int:
        """A whole number below `proxy`."""
        return whole(self.values, "proxy", *path, default=default)

    def word(self, *path: str, default: str = "") -> str:
        """A text below `proxy`."""
        return text(self.values, "proxy", *path, default=default)


def dump(value: Json) -> str:
    """`value` as YAML with sorted keys, long texts as blocks."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=True, default_flow_style=False, width=4096)


def dump_all(documents: Iterable[JsonObject]) -> str:
    """Objects as one YAML stream."""
    return "".join(f"---\n{dump(document)}" for document in documents)


def load_all(stream: str) -> list[JsonObject]:
    """Every table in a YAML stream."""
    found = yaml.load_all(stream, Loader=yaml.CSafeLoader)
    return [cast("JsonObject", one) for one in found if isinstance(one, dict)]


def load(document: str) -> JsonObject:
    """The table in a YAML document; anything else is an empty one."""
    value = yaml.load(document, Loader=yaml.CSafeLoader)
    return cast("JsonObject", value) if isinstance(value, dict) else {}


class _Dumper(yaml.CSafeDumper):
    """Blocks for texts of several lines, no anchors for repeated tables."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _as_text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _as_text)
