"""Trust anchors, issuer and webhook certificates: `linkerd-identity` and `linkerd-webhooks-and-apisvc-tls`."""

from base64 import b64decode
from collections.abc import Iterable

from cryptography import x509

from steward.jsonvalue import JsonObject, dig, flag, text
from steward.kube.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from steward.testing.linkerd.cli.checks import x509rules
from steward.testing.linkerd.cli.checks.check import Check, Section
from steward.testing.linkerd.cli.seen import Seen
from steward.testing.linkerd.webhooks import INJECTOR, WEBHOOKS, Webhook


def _anchors(seen: Seen) -> list[x509.Certificate]:
    """Of linkerd-config, as long as Linkerd was given them by value; only an external CA's come from the ConfigMap."""
    external = flag(seen.values, "identity", "externalCA")
    return x509rules.read(seen.anchors if external else text(seen.values, "identityTrustAnchorsPEM"))


def _issuer(seen: Seen) -> x509.Certificate:
    content = seen.secret("linkerd-identity-issuer")
    return x509rules.read(content.get("crt.pem") or content.get("tls.crt", ""))[0]


def _valid_config(seen: Seen) -> str:
    content = seen.secret("linkerd-identity-issuer")
    if not content:
        return 'secrets "linkerd-identity-issuer" not found'
    scheme = text(seen.values, "identity", "issuer", "scheme")
    wanted = ("tls.crt", "tls.key") if scheme == "kubernetes.io/tls" else ("crt.pem", "key.pem")
    absent = [key for key in wanted if key not in content]
    if absent:
        return f"key {absent[0]} containing the issuer needs to exist in secret linkerd-identity-issuer"
    try:
        _anchors(seen)
        _issuer(seen)
    except x509rules.Unreadable as error:
        return str(error)
    return ""


def _listed(title: str, problems: Iterable[tuple[x509.Certificate, str]]) -> str:
    found = [f"{x509rules.named(one)} {problem}" for one, problem in problems if problem]
    return f"{title}:\n\t" + "\n\t".join(found) if found else ""


def _anchors_crypto(seen: Seen) -> str:
    return _listed("Invalid trustAnchors", ((one, x509rules.unsupported(one)) for one in _anchors(seen)))


def _anchors_valid(seen: Seen) -> str:
    return _listed("Invalid anchors", ((one, x509rules.invalid_at(one, seen.now)) for one in _anchors(seen)))


def _anchors_last(seen: Seen) -> str:
    return _listed("Anchors expiring soon", ((one, x509rules.expires_soon(one, seen.now)) for one in _anchors(seen)))


def _issuer_crypto(seen: Seen) -> str:
    problem = x509rules.unsupported(_issuer(seen))
    return f"issuer certificate {problem}" if problem else ""


def _issuer_valid(seen: Seen) -> str:
    problem = x509rules.invalid_at(_issuer(seen), seen.now)
    return f"issuer certificate is {problem}" if problem else ""


def _issuer_lasts(seen: Seen) -> str:
    problem = x509rules.expires_soon(_issuer(seen), seen.now)
    return f"issuer certificate {problem}" if problem else ""


def _issued(seen: Seen) -> str:
    return x509rules.not_issued(_issuer(seen), _anchors(seen))


def _data_plane_trusts(seen: Seen) -> str:
    current = seen.anchors.strip()
    stale = []
    for pod in seen.meshed_pods:
        carried = carried_bundle(pod)
        if carried is not None and carried.strip() != current:
            name = text(pod, "metadata", "name")
            where = f"{text(pod, 'metadata', 'namespace')}/" if not seen.options.namespace else ""
            stale.append(f"* {where}{name}")
    if not stale:
        return ""
    return "Some pods do not have the current trust bundle and must be restarted:\n\t" + "\n\t".join(stale)


def carried_bundle(pod: JsonObject) -> str | None:
    """The trust anchors in the environment of a proxy, or None where they are not there by value."""
    for kind in ("initContainers", "containers"):
        containers = dig(pod, "spec", kind)
        for container in containers if isinstance(containers, list) else []:
            variables = dig(container, "env")
            for variable in variables if isinstance(variables, list) else []:
                if text(variable, "name") == "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS":
                    return text(variable, "value") or None
    return None


def _serving(seen: Seen, webhook: Webhook) -> list[x509.Certificate]:
    content = seen.secret(webhook.secret)
    return x509rules.read(content.get("tls.crt") or content.get("crt.pem", ""))


def _trusted(seen: Seen, webhook: Webhook) -> list[x509.Certificate]:
    resource = MUTATING_WEBHOOKS if webhook is INJECTOR else VALIDATING_WEBHOOKS
    configuration = seen.named(resource, webhook.configuration) or {}
    bundle = text(configuration, "webhooks", 0, "clientConfig", "caBundle")
    try:
        return x509rules.read(b64decode(bundle).decode())
    except ValueError as error:
        raise x509rules.Unreadable(f"the caBundle of {webhook.configuration} is not PEM-encoded") from error


def _webhook_valid(webhook: Webhook) -> Check:
    name = webhook.service.removeprefix("linkerd-")

    def find(seen: Seen) -> str:
        try:
            serving, anchors = _serving(seen, webhook)[0], _trusted(seen, webhook)
        except x509rules.Unreadable as error:
            return str(error)
        dead = _listed(
            "anchors not within their validity period", ((one, x509rules.invalid_at(one, seen.now)) for one in anchors)
        )
        if dead:
            return dead
        problem = x509rules.invalid_at(serving, seen.now)
        if problem:
            return f"certificate is {problem}"
        problem = x509rules.not_issued(serving, anchors, f"{webhook.service}.{seen.options.control_plane}.svc")
        return f"cert is not issued by the trust anchor: {problem}" if problem else ""

    return Check(f"{name} webhook has valid cert", f"l5d-{name}-webhook-cert-valid", find, fatal=True)


def _webhook_lasts(webhook: Webhook) -> Check:
    name = webhook.service.removeprefix("linkerd-")

    def find(seen: Seen) -> str:
        problem = x509rules.expires_soon(_serving(seen, webhook)[0], seen.now)
        return f"certificate {problem}" if problem else ""

    hint = f"l5d-{name}-webhook-cert-not-expiring-soon"
    return Check(f"{name} cert is valid for at least 60 days", hint, find, warning=True)


IDENTITY = Section(
    "linkerd-identity",
    (
        Check("certificate config is valid", "l5d-identity-cert-config-valid", _valid_config, fatal=True),
        Check(
            "trust anchors are using supported crypto algorithm",
            "l5d-identity-trustAnchors-use-supported-crypto",
            _anchors_crypto,
            fatal=True,
        ),
        Check(
            "trust anchors are within their validity period",
            "l5d-identity-trustAnchors-are-time-valid",
            _anchors_valid,
            fatal=True,
        ),
        Check(
            "trust anchors are valid for at least 60 days",
            "l5d-identity-trustAnchors-not-expiring-soon",
            _anchors_last,
            warning=True,
        ),
        Check(
            "issuer cert is using supported crypto algorithm",
            "l5d-identity-issuer-cert-uses-supported-crypto",
            _issuer_crypto,
            fatal=True,
        ),
        Check(
            "issuer cert is within its validity period",
            "l5d-identity-issuer-cert-is-time-valid",
            _issuer_valid,
            fatal=True,
        ),
        Check(
            "issuer cert is valid for at least 60 days",
            "l5d-identity-issuer-cert-not-expiring-soon",
            _issuer_lasts,
            warning=True,
        ),
        Check("issuer cert is issued by the trust anchor", "l5d-identity-issuer-cert-issued-by-trust-anchor", _issued),
    ),
)
WEBHOOK_CERTIFICATES = Section(
    "linkerd-webhooks-and-apisvc-tls",
    tuple(check for webhook in WEBHOOKS for check in (_webhook_valid(webhook), _webhook_lasts(webhook))),
)
DATA_PLANE_IDENTITY = Section(
    "linkerd-identity-data-plane",
    (
        Check(
            "data plane proxies certificate match CA",
            "l5d-identity-data-plane-proxies-certs-match-ca",
            _data_plane_trusts,
            warning=True,
        ),
    ),
)
