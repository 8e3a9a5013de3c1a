"""The objects of a Linkerd installation, as a release renders them.

trust = Trust.for_cli(now)
for thing in [*crds("edge-26.8.3"), *control_plane("edge-26.8.3", trust, now)]:
    ...
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime

from steward.jsonvalue import JsonObject, flag, table
from steward.testing.linkerd import access, deployments, services, webhooks
from steward.testing.linkerd.certificates import Pair, Trust, webhook_pair
from steward.testing.linkerd.definitions import DEFINITIONS, of_definition
from steward.testing.linkerd.objects import CONTROL_PLANE_NS, CREATED_BY, labelled, labels_of, secret, thing
from steward.testing.linkerd.proxy import TRUST_ROOTS
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import HIGH_AVAILABILITY, NAMESPACE, Installation, Method, merged

OVERRIDES_SECRET = "linkerd-config-overrides"
ISSUER_SECRET = "linkerd-identity-issuer"

MakePair = Callable[[str], Pair]
"""How the serving certificate of a webhook's Service is made."""


def crds(version: str, method: Method = Method.CLI) -> list[JsonObject]:
    """The ten CustomResourceDefinitions."""
    release = Release(version)
    # By Helm the CRD chart has no version input for this annotation, by the CLI no chart version for the label.
    created_by = f"linkerd/cli {version}" if method is Method.CLI else "linkerd/helm %!s(<nil>)"
    chart = "0.0.0-undefined" if method is Method.CLI else release.chart
    return [of_definition(definition, created_by, chart) for definition in DEFINITIONS]


def control_plane(
    version: str,
    trust: Trust,
    now: datetime,
    *,
    method: Method = Method.CLI,
    ha: bool = False,
    overrides: JsonObject | None = None,
) -> list[JsonObject]:
    """The control plane of `version`, with webhook certificates made for this one render, as upstream does."""
    changed = merged(HIGH_AVAILABILITY if ha else {}, overrides or {})
    installation = Installation.planned(Release(version), trust, method, changed)
    return rendered(installation, lambda service: webhook_pair(service, now))


def rendered(installation: Installation, make_pair: MakePair) -> list[JsonObject]:
    """Every object of `installation`, in the order the charts have."""
    created_by = installation.created_by
    hooks = {
        webhook: webhooks.of_webhook(webhook, make_pair(webhook.service), installation) for webhook in webhooks.WEBHOOKS
    }
    rendered: list[JsonObject] = [_namespace()] if installation.method is Method.CLI else []
    rendered += access.of_component("identity", access.IDENTITY_RULES)
    rendered += access.of_component("destination", access.DESTINATION_RULES)
    rendered += hooks[webhooks.PROFILE_VALIDATOR] + hooks[webhooks.POLICY_VALIDATOR]
    rendered += access.of_policy()
    rendered += access.of_heartbeat()
    rendered += access.of_component("proxy-injector", access.INJECTOR_RULES)
    rendered += hooks[webhooks.INJECTOR]
    rendered += _configuration(installation)
    rendered += [services.of_service(shape, created_by) for shape in services.SERVICES]
    rendered += _workloads(installation, hooks)
    if installation.method is Method.CLI:
        overrides = secret(OVERRIDES_SECRET, {OVERRIDES_SECRET: installation.stored_overrides})
        rendered.append(labelled(overrides, labels_of()))
    return rendered


def as_helm_leaves_them(objects: Sequence[JsonObject], chart: str) -> list[JsonObject]:
    """Copies of `objects` with the marks that helm puts on whatever it applies for release `chart`."""
    marked: list[JsonObject] = []
    for one in objects:
        copy = deepcopy(one)
        metadata = table(copy, "metadata")
        metadata["labels"] = {**table(metadata, "labels"), "app.kubernetes.io/managed-by": "Helm"}
        metadata["annotations"] = {
            **table(metadata, "annotations"),
            "meta.helm.sh/release-name": chart,
            "meta.helm.sh/release-namespace": NAMESPACE,
        }
        marked.append(copy)
    return marked


def _namespace() -> JsonObject:
    labels: JsonObject = {
        "linkerd.io/is-control-plane": "true",
        "config.linkerd.io/admission-webhooks": "disabled",
        CONTROL_PLANE_NS: NAMESPACE,
        "pod-security.kubernetes.io/enforce": "privileged",
    }
    return labelled(thing("v1", "Namespace", NAMESPACE, namespaced=False), labels, {"linkerd.io/inject": "disabled"})


def _configuration(installation: Installation) -> list[JsonObject]:
    created = {CREATED_BY: installation.created_by}
    config = labelled(thing("v1", "ConfigMap", "linkerd-config"), labels_of("controller"), created)
    config["data"] = {
        "linkerd-crds-chart-version": "linkerd-crds-1.0.0-edge",
        "values": installation.config_values,
    }
    issuer = secret(
        ISSUER_SECRET, {"crt.pem": installation.trust.issuer.certificate, "key.pem": installation.trust.issuer.key}
    )
    roots = labelled(thing("v1", "ConfigMap", TRUST_ROOTS), labels_of("identity"), created)
    roots["data"] = {"ca-bundle.crt": installation.trust.anchors}
    return [
        config,
        access.of_extensions(installation.created_by),
        labelled(issuer, labels_of("identity"), created),
        roots,
    ]


def _workloads(installation: Installation, hooks: dict[webhooks.Webhook, list[JsonObject]]) -> list[JsonObject]:
    made: list[JsonObject] = []
    for component in deployments.COMPONENTS:
        own = [hook for hook in hooks if hook.component == component.name]
        # The pods must come up anew with each certificate: the servers read it, the checksum restarts them.
        checksum_of = "".join(str(hooks[hook][0].get("data")) for hook in own)
        made.append(deployments.of_component(component, installation, checksum_of))
    if not flag(installation.values, "disableHeartBeat"):
        made.append(deployments.of_heartbeat(installation))
    if flag(installation.values, "enablePodDisruptionBudget"):
        names = {"identity": "linkerd-identity", "destination": "linkerd-dst"}
        for component in deployments.COMPONENTS:
            name = names.get(component.name, f"linkerd-{component.name}")
            made.append(deployments.of_disruption_budget(component.name, name, installation.values))
    return made
