"""One look at the certificates of an installation. Of a Secret nothing but its certificate leaves this module."""

from collections.abc import Callable

from steward.jsonvalue import JsonObject, dig, text
from steward.kube.client import Kube
from steward.kube.resources import CONFIG_MAPS, MUTATING_WEBHOOKS, SECRETS, VALIDATING_WEBHOOKS, Resource
from steward.linkerd.certificates import (
    ISSUER_SECRET,
    CertificateFacts,
    CertificateInventory,
    MalformedCertificate,
    WebhookCertificates,
    parse_base64,
    parse_bundle,
    parse_issuer,
    webhooks_of,
)
from steward.linkerd.mesh_config import BUNDLE, TRUST_ROOTS

WEBHOOKS: tuple[tuple[Resource, str, str], ...] = (
    (MUTATING_WEBHOOKS, "linkerd-proxy-injector-webhook-config", "linkerd-proxy-injector-k8s-tls"),
    (VALIDATING_WEBHOOKS, "linkerd-policy-validator-webhook-config", "linkerd-policy-validator-k8s-tls"),
    (VALIDATING_WEBHOOKS, "linkerd-sp-validator-webhook-config", "linkerd-sp-validator-k8s-tls"),
)
"""(resource, name) of each webhook configuration of the control plane, and the Secret of its server."""

_Certificates = tuple[tuple[CertificateFacts, ...], str]


async def gather_certificates(kube: Kube, namespace: str = "linkerd") -> CertificateInventory:
    """Trust anchors, issuer and webhook certificates of the control plane in `namespace`."""
    trust_roots = await kube.find(CONFIG_MAPS, TRUST_ROOTS, namespace)
    issuer_secret = await kube.find(SECRETS, ISSUER_SECRET, namespace)
    anchors, no_anchors = _read(f"ConfigMap {namespace}/{TRUST_ROOTS}", trust_roots, _bundle)
    issuer, no_issuer = _read(f"Secret {namespace}/{ISSUER_SECRET}", issuer_secret, parse_issuer)
    hooks: tuple[WebhookCertificates, ...] = ()
    for configuration in WEBHOOKS:
        hooks += await _webhook(kube, namespace, *configuration)
    problems = (no_anchors, no_issuer, *(hook.problem for hook in hooks))
    return CertificateInventory(anchors, issuer, hooks, tuple(problem for problem in problems if problem))


async def _webhook(
    kube: Kube, namespace: str, resource: Resource, name: str, secret: str
) -> tuple[WebhookCertificates, ...]:
    configuration = await kube.find(resource, name)
    found = await kube.find(SECRETS, secret, namespace)
    if configuration is None:
        problem = f"{resource.kind} {name} does not exist"
        return (WebhookCertificates(name, name, "", (), (), secret, problem),)
    serving, no_serving = _read(f"Secret {namespace}/{secret}", found, _serving)
    hooks = []
    for hook, service, encoded in webhooks_of(configuration):
        bundle, no_bundle = _read(
            f"caBundle of webhook {hook} in {resource.kind} {name}", {"bundle": encoded}, _bundle_of
        )
        hooks.append(WebhookCertificates(hook, name, service, bundle, serving, secret, no_serving or no_bundle))
    return tuple(hooks)


def _read(
    what: str, found: JsonObject | None, parse: Callable[[JsonObject], tuple[CertificateFacts, ...]]
) -> _Certificates:
    if found is None:
        return (), f"{what} does not exist"
    try:
        return parse(found), ""
    except MalformedCertificate as error:
        return (), f"{what}: {error}"


def _bundle(config_map: JsonObject) -> tuple[CertificateFacts, ...]:
    return parse_bundle(text(config_map, "data", BUNDLE))


def _serving(secret: JsonObject) -> tuple[CertificateFacts, ...]:
    return parse_base64(dig(secret, "data", "tls.crt"))


def _bundle_of(hook: JsonObject) -> tuple[CertificateFacts, ...]:
    return parse_base64(dig(hook, "bundle"))
