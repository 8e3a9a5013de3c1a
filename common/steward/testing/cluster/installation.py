"""Linkerd on a test cluster: installed by real helm or by the CLI as a user would, and removed again."""

from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from steward.jsonvalue import JsonObject, rows, text
from steward.testing.cluster.api import ApiRefused
from steward.testing.cluster.artifacts import Artifacts
from steward.testing.cluster.charts import LOOPBACK
from steward.testing.cluster.commands import NAMESPACE, Commands
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.injector import Injector
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.values import merged

_CLUSTER_NETWORKS = f"10.0.0.0/8,{LOOPBACK}"
_LABEL = "linkerd.io/control-plane-ns"
_CLUSTER_SCOPED = (
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,"
    "customresourcedefinitions"
)
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class Linkerd:
    """Sets the stage: the Linkerd that an upgrade then starts from."""

    cluster: Cluster
    commands: Commands
    artifacts: Artifacts
    injector: Injector
    trust: Trust
    directory: Path

    def by_helm(self, version: str, values: JsonObject | None = None) -> Path:
        """Install or upgrade both charts and wait for the control plane; the values file is returned."""
        path = self.values_file(values)
        self.commands.helm_linkerd(self.artifacts[version].charts, path)
        self.until_injecting()
        return path

    def by_cli(self, version: str, *flags: str) -> None:
        """`linkerd install | kubectl apply`, in the two steps of the documentation, and wait for the control plane."""
        linkerd = str(self.artifacts[version].linkerd)
        self._apply_output(linkerd, "install", "--crds")
        self.commands.until_established("--selector", _LABEL)
        networks = self.directory / "networks.yaml"
        networks.write_text(yaml.safe_dump({"clusterNetworks": _CLUSTER_NETWORKS}))
        self._apply_output(linkerd, "install", "--values", str(networks), *flags)
        self.commands.kubectl("rollout", "status", "--namespace", NAMESPACE, "deployment", "--timeout=180s")
        self.until_injecting()

    def values_file(self, values: JsonObject | None = None) -> Path:
        """A Helm values file with this installation's identity, and `values`."""
        issuer: JsonObject = {"crtPEM": self.trust.issuer.certificate, "keyPEM": self.trust.issuer.key}
        identity: JsonObject = {
            "identityTrustAnchorsPEM": self.trust.anchors,
            "identity": {"issuer": {"tls": issuer}},
            "clusterNetworks": _CLUSTER_NETWORKS,
        }
        path = self.directory / "values.yaml"
        path.write_text(yaml.safe_dump(merged(identity, values or {})))
        return path

    def until_injecting(self) -> None:
        """Wait until the injector's double shows the certificate that the API server expects now."""
        secret = self.cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/linkerd-proxy-injector-k8s-tls")
        self.injector.until_settled(b64decode(text(secret, "data", "tls.crt")).decode())

    def config(self) -> JsonObject:
        """The values that `linkerd-config` records."""
        config = self.cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/linkerd-config")
        parsed: JsonObject = yaml.safe_load(text(config, "data", "values"))
        return parsed

    def remove(self) -> None:
        """Take everything away, however it came."""
        kubectl = self.commands.kubectl
        # The webhooks first: nothing that follows should have to ask them.
        kubectl("delete", _CLUSTER_SCOPED, "--selector", _LABEL, "--ignore-not-found", "--wait=false")
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=180s")
        self._until_definitions_are_gone()

    def _until_definitions_are_gone(self) -> None:
        api, stuck = self.cluster.api, _stuck_definitions
        while left := api.until(
            "CRDs gone or stuck", _DEFINITIONS, lambda items: not items or bool(stuck(items)), labels=_LABEL
        ):
            for definition in stuck(left):
                # Deleting several kinds of one group at once, the API server may find one's storage "(re)initializing"
                # and look again minutes later. Any change to the definition makes it look now.
                name = text(definition, "metadata", "name")
                nudge: JsonObject = {
                    "testing.steward.linkerd.io/nudged": text(definition, "metadata", "resourceVersion")
                }
                with suppress(ApiRefused):  # it may have gone just now
                    api.merge(f"{_DEFINITIONS}/{name}", {"metadata": {"annotations": nudge}})

    def _apply_output(self, *argv: str) -> None:
        self.commands.apply(self.commands.run(argv))


def _stuck_definitions(definitions: list[JsonObject]) -> list[JsonObject]:
    """Those whose deletion the API server has given up for now."""
    return [
        definition
        for definition in definitions
        for condition in rows(definition, "status", "conditions")
        if text(condition, "reason") == "InstanceDeletionFailed"
    ]
