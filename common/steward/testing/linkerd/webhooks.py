"""The three webhooks of a control plane: certificate Secret and configuration of each, as data."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Literal

from steward.jsonvalue import Json, JsonObject, table, text
from steward.testing.linkerd.certificates import Pair
from steward.testing.linkerd.objects import CREATED_BY, labelled, labels_of, secret, thing
from steward.testing.linkerd.values import NAMESPACE, Installation


@dataclass(frozen=True, slots=True)
class Watched:
    """What a webhook is called for, words separated by spaces."""

    operations: str
    groups: str
    versions: str
    resources: str
    scope: str = ""

    @property
    def json(self) -> JsonObject:
        """As the configuration writes it."""
        rule: JsonObject = {
            "operations": list[Json](self.operations.split()),
            "apiGroups": ["" if group == "core" else group for group in self.groups.split()],
            "apiVersions": list[Json](self.versions.split()),
            "resources": list[Json](self.resources.split()),
        }
        if self.scope:
            rule["scope"] = self.scope
        return rule


@dataclass(frozen=True, slots=True)
class Webhook:
    """One of Linkerd's admission webhooks."""

    service: str
    component: str
    kind: Literal["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
    values_key: str
    watched: tuple[Watched, ...]
    timeout_seconds: int | None = None

    @property
    def configuration(self) -> str:
        """Name of its configuration object."""
        return f"{self.service}-webhook-config"

    @property
    def secret(self) -> str:
        """Name of the Secret with its serving certificate."""
        return f"{self.service}-k8s-tls"


INJECTOR = Webhook(
    "linkerd-proxy-injector",
    "proxy-injector",
    "MutatingWebhookConfiguration",
    "proxyInjector",
    (Watched("CREATE", "core", "v1", "pods services", "Namespaced"),),
    timeout_seconds=10,
)
PROFILE_VALIDATOR = Webhook(
    "linkerd-sp-validator",
    "destination",
    "ValidatingWebhookConfiguration",
    "profileValidator",
    (Watched("CREATE UPDATE", "linkerd.io", "v1alpha1 v1alpha2", "serviceprofiles"),),
)
POLICY_VALIDATOR = Webhook(
    "linkerd-policy-validator",
    "destination",
    "ValidatingWebhookConfiguration",
    "policyValidator",
    (
        Watched(
            "CREATE UPDATE",
            "policy.linkerd.io",
            "*",
            "authorizationpolicies httplocalratelimitpolicies httproutes networkauthentications "
            "meshtlsauthentications serverauthorizations servers egressnetworks",
        ),
        Watched("CREATE UPDATE", "gateway.networking.k8s.io", "*", "httproutes grpcroutes tlsroutes tcproutes"),
    ),
)
WEBHOOKS = (INJECTOR, PROFILE_VALIDATOR, POLICY_VALIDATOR)


def of_webhook(webhook: Webhook, pair: Pair, installation: Installation) -> list[JsonObject]:
    """The Secret with the serving pair and the configuration that trusts it."""
    certificate = secret(webhook.secret, {"tls.crt": pair.certificate, "tls.key": pair.key}, kind="kubernetes.io/tls")
    labels = labels_of(webhook.component)
    return [
        labelled(certificate, labels, {CREATED_BY: installation.created_by}),
        _configuration(webhook, pair, installation.values),
    ]


def _configuration(webhook: Webhook, pair: Pair, values: JsonObject) -> JsonObject:
    result = thing("admissionregistration.k8s.io/v1", webhook.kind, webhook.configuration, namespaced=False)
    entry: JsonObject = {
        "name": f"{webhook.service}.linkerd.io",
        "namespaceSelector": table(values, webhook.values_key, "namespaceSelector"),
        "clientConfig": {
            "service": {"name": webhook.service, "namespace": NAMESPACE, "path": "/"},
            "caBundle": b64encode(pair.certificate.encode()).decode(),
        },
        "failurePolicy": text(values, "webhookFailurePolicy", default="Ignore"),
        "admissionReviewVersions": ["v1", "v1beta1"],
        "rules": [watched.json for watched in webhook.watched],
        "sideEffects": "None",
    }
    if webhook.timeout_seconds is not None:
        entry["timeoutSeconds"] = webhook.timeout_seconds
    result["webhooks"] = [entry]
    return labelled(result, labels_of(webhook.component))
