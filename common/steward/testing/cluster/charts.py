"""Helm charts made of rendered manifests: real Linkerd objects, installed and upgraded by real helm.

The objects travel as a file of the chart, so that braces inside them mean nothing to helm. A small template puts back
what upstream's chart takes from values (trust anchors, issuer, replicas, failure policy, …) and what it makes anew at
each render (the three webhook certificates and everything derived from them).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from steward.jsonvalue import Json, JsonObject, table, text, texts
from steward.linkerd.version import Version, VersionRange

CRDS = "linkerd-crds"
CONTROL_PLANE = "linkerd-control-plane"
LOOPBACK = "127.0.0.0/8"

_CLUSTER_NETWORKS = "@cluster-networks@"  # stands in the objects where the template puts the value of that name
_TEMPLATES = Path(__file__).parent / "chart_templates"
# What each range of versions demands of Kubernetes, as upstream's Chart.yaml says it.
_KUBE_VERSIONS = (
    (VersionRange.parse(">=26.5.1"), ">=1.31.0-0"),
    (VersionRange.parse(">=25.2.3 <26.5.1"), ">=1.23.0-0"),
    (VersionRange.parse("<25.2.3"), ">=1.22.0-0"),
)
# The CLI renders these and a chart does not: the namespace is helm's affair, the overrides are the CLI's own record.
_ONLY_BY_CLI = (("Namespace", "linkerd"), ("Secret", "linkerd-config-overrides"))


@dataclass(frozen=True, slots=True)
class Manifests:
    """What one version consists of: its CRDs and its control plane, as rendered by its CLI with default values."""

    crds: tuple[JsonObject, ...]
    control_plane: tuple[JsonObject, ...]

    @classmethod
    def read(cls, directory: Path) -> "Manifests":
        """From `crds.yaml` and `control-plane.yaml`."""
        return cls(_documents(directory / "crds.yaml"), _documents(directory / "control-plane.yaml"))

    @classmethod
    def present(cls, directory: Path) -> bool:
        """Whether `directory` has both files."""
        return (directory / "crds.yaml").is_file() and (directory / "control-plane.yaml").is_file()


def write_charts(directory: Path, version: Version, manifests: Manifests) -> None:
    """The folders `linkerd-crds` and `linkerd-control-plane` for `helm install`."""
    _write(directory, CRDS, version, manifests.crds, {})
    objects = [item for item in manifests.control_plane if _identity(item) not in _ONLY_BY_CLI]
    values = _default_values(objects)
    rendered = json.dumps(objects).replace(text(values, "clusterNetworks"), _CLUSTER_NETWORKS)
    # Services have loopback addresses on the throwaway cluster, and `linkerd check` wants them inside these networks.
    values["clusterNetworks"] = f"{text(values, 'clusterNetworks')},{LOOPBACK}"
    _write(directory, CONTROL_PLANE, version, json.loads(rendered), values)


def kube_version(version: Version) -> str:
    """The constraint on Kubernetes in the charts of `version`."""
    return next(constraint for versions, constraint in _KUBE_VERSIONS if versions.contains(version))


def _write(directory: Path, name: str, version: Version, objects: Iterable[JsonObject], values: JsonObject) -> None:
    chart = directory / name
    (chart / "templates").mkdir(parents=True)
    (chart / "files").mkdir()
    about: JsonObject = {
        "apiVersion": "v2",
        "name": name,
        "version": version.chart or version.number,
        "kubeVersion": kube_version(version),
        "type": "application",
        "description": f"{name} of {version}, wrapped from rendered manifests",
    }
    if name == CONTROL_PLANE:
        # Upstream's CRD chart has no appVersion.
        about["appVersion"] = str(version)
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about, sort_keys=False))
    (chart / "values.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (chart / "files" / "objects.json").write_text(json.dumps(list(objects)))
    (chart / "templates" / "objects.yaml").write_text((_TEMPLATES / f"{name}.yaml").read_text())


def _default_values(objects: Iterable[JsonObject]) -> JsonObject:
    """The chart's defaults: what `linkerd-config` records, less the identity that each installation brings."""
    config = next(item for item in objects if _identity(item) == ("ConfigMap", "linkerd-config"))
    values: JsonObject = dict(table(yaml.safe_load(text(config, "data", "values"))))
    values.pop("cliVersion", None)
    values["identityTrustAnchorsPEM"] = ""
    table(values, "identity", "issuer")["tls"] = {"crtPEM": "", "keyPEM": ""}
    return values


def _identity(item: JsonObject) -> tuple[str, str]:
    return text(item, "kind"), texts(item, "metadata").get("name", "")


def _documents(path: Path) -> tuple[JsonObject, ...]:
    parsed: Iterable[Json] = yaml.safe_load_all(path.read_text())
    return tuple(document for document in parsed if isinstance(document, dict))
