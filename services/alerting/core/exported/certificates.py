"""Trust anchors, issuer and webhooks: when each certificate ends, when it is renewed, and whether they fit together.

Of a Secret nothing but its certificate is looked at. Where something is not there, the other half of it disagrees;
where it could not be read, nothing is said of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from services.alerting.core.exported.bundles import Bundle, read_bundle, read_encoded
from services.alerting.core.exported.renewals import Renewal, renewed
from services.alerting.core.exported.samples import Sample, Samples, truth
from steward.jsonvalue import JsonObject, dig, text
from steward.linkerd.certificates import ISSUER_SECRET, CertificateFacts, WebhookCertificates, chains_to, webhooks_of
from steward.linkerd.mesh_config import BUNDLE, TRUST_ROOTS

_NOTHING = Bundle()
_MOST = 64
"""Series for one object: a bundle of everybody's authorities is no reason for thousands."""


class Kind(StrEnum):
    """What a certificate is for."""

    TRUST_ANCHOR = "TrustAnchor"
    ISSUER = "Issuer"
    WEBHOOK = "Webhook"


class Standing(StrEnum):
    """Whether an object could be looked at."""

    THERE = "There"
    ABSENT = "Absent"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Holding:
    """A ConfigMap or Secret that holds certificates."""

    kind: Kind
    namespace: str
    name: str
    standing: Standing
    bundle: Bundle = _NOTHING

    def __str__(self) -> str:
        kind = "ConfigMap" if self.kind is Kind.TRUST_ANCHOR else "Secret"
        return f"{kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever calls a webhook, and whom it trusts."""

    webhook: str
    """Its name in the configuration, such as `linkerd-proxy-injector.linkerd.io`."""
    configuration: str
    service: str
    """DNS name by which it is called."""
    namespace: str
    """Where the Secret of the one who is called is."""
    secret: str
    trusted: Bundle


@dataclass(frozen=True, slots=True)
class CertificatesSeen:
    """What one look at the certificates of an installation brought."""

    holdings: tuple[Holding, ...] = ()
    callers: tuple[Caller, ...] = ()
    renewals: tuple[Renewal, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateGauges:
    """The numbers, and what is wrong with what they were read from."""

    not_after: Samples
    """{kind, namespace, name, serial}"""
    not_before: Samples
    """{kind, namespace, name, serial}"""
    renewal: Samples
    """{kind, namespace, name}, for what cert-manager renews"""
    ready: Samples
    """{kind, namespace, name}, for what cert-manager renews"""
    webhook_agrees: Samples
    """{webhook, name}"""
    issuer_agrees: Samples
    """One without labels, or none where it cannot be told"""
    problems: tuple[str, ...] = field(default=())


def anchors_in(config_map: JsonObject | None, namespace: str) -> Holding:
    """The trust anchors in the ConfigMap that proxies get."""
    if config_map is None:
        return Holding(Kind.TRUST_ANCHOR, namespace, TRUST_ROOTS, Standing.ABSENT)
    bundle = read_bundle(text(config_map, "data", BUNDLE))
    return Holding(Kind.TRUST_ANCHOR, namespace, TRUST_ROOTS, Standing.THERE, bundle)


def issuer_in(secret: JsonObject | None, namespace: str) -> Holding:
    """The issuer's certificate, with its intermediates, in either layout of its Secret."""
    if secret is None:
        return Holding(Kind.ISSUER, namespace, ISSUER_SECRET, Standing.ABSENT)
    # A Secret that changed its owner may hold both; its type says which one the identity controller reads.
    first = ("tls.crt", "crt.pem") if text(secret, "type") == "kubernetes.io/tls" else ("crt.pem", "tls.crt")
    found = next((key for key in first if dig(secret, "data", key) is not None), None)
    bundle = Bundle(problems=("it has neither crt.pem nor tls.crt",))
    if found is not None:
        bundle = read_encoded(dig(secret, "data", found))
    return Holding(Kind.ISSUER, namespace, ISSUER_SECRET, Standing.THERE, bundle)


def serving_in(secret: JsonObject | None, namespace: str, name: str) -> Holding:
    """What a webhook's server shows."""
    if secret is None:
        return Holding(Kind.WEBHOOK, namespace, name, Standing.ABSENT)
    return Holding(Kind.WEBHOOK, namespace, name, Standing.THERE, read_encoded(dig(secret, "data", "tls.crt")))


def callers_in(configuration: JsonObject, namespace: str, secret: str) -> tuple[Caller, ...]:
    """Each webhook of a configuration whose server has its certificate from that Secret."""
    name = text(configuration, "metadata", "name")
    return tuple(
        Caller(webhook, name, service, namespace, secret, read_encoded(encoded))
        for webhook, service, encoded in webhooks_of(configuration)
    )


def caller_of_api(service: JsonObject, namespace: str, secret: str) -> Caller:
    """The API server as it calls an extension API, such as viz's tap."""
    name = text(service, "metadata", "name")
    address = f"{text(service, 'spec', 'service', 'name')}.{text(service, 'spec', 'service', 'namespace')}.svc"
    return Caller(name, name, address, namespace, secret, read_encoded(dig(service, "spec", "caBundle")))


def certificate_gauges(seen: CertificatesSeen) -> CertificateGauges:
    """Everything that the certificates say in numbers."""
    shown = [(holding, each) for holding in seen.holdings for each in _shown(holding.bundle.certificates)]
    plans = [
        (holding, plan)
        for holding in seen.holdings
        if holding.kind is not Kind.TRUST_ANCHOR
        and (plan := renewed(seen.renewals, holding.namespace, holding.name)) is not None
    ]
    return CertificateGauges(
        not_after=tuple(Sample(_series(*each), each[1].not_after.timestamp()) for each in shown),
        not_before=tuple(Sample(_series(*each), each[1].not_before.timestamp()) for each in shown),
        renewal=tuple(
            Sample(_object(holding), plan.planned.timestamp()) for holding, plan in plans if plan.planned is not None
        ),
        ready=tuple(truth(*_object(holding), so=plan.ready) for holding, plan in plans),
        webhook_agrees=_webhooks(seen),
        issuer_agrees=_issuer(seen.holdings),
        problems=tuple(_problems(seen)),
    )


def _shown(certificates: Iterable[CertificateFacts]) -> list[CertificateFacts]:
    """One for each serial number, those first that end first: of two with one number that one counts."""
    found: dict[int, CertificateFacts] = {}
    for each in sorted(certificates, key=lambda one: (one.not_after, one.sha256)):
        found.setdefault(each.serial, each)
    return list(found.values())[:_MOST]


def _object(holding: Holding) -> tuple[str, str, str]:
    return holding.kind.value, holding.namespace, holding.name


def _series(holding: Holding, certificate: CertificateFacts) -> tuple[str, ...]:
    return (*_object(holding), f"{certificate.serial:x}")


def _webhooks(seen: CertificatesSeen) -> Samples:
    servers = {(each.namespace, each.name): each for each in seen.holdings if each.kind is Kind.WEBHOOK}
    found: dict[tuple[str, str], bool] = {}
    for caller in seen.callers:
        server = servers.get((caller.namespace, caller.secret))
        if server is None or server.standing is Standing.UNKNOWN:
            continue
        both = WebhookCertificates(
            webhook=caller.webhook,
            configuration=caller.configuration,
            service=caller.service,
            ca_bundle=caller.trusted.certificates,
            serving=server.bundle.certificates,
            secret=caller.secret,
        )
        key = (caller.webhook, caller.secret)
        found[key] = found.get(key, True) and both.agree
    return tuple(truth(*key, so=agree) for key, agree in found.items())


def _issuer(holdings: Iterable[Holding]) -> Samples:
    by_kind = {each.kind: each for each in holdings}
    anchors, issuer = by_kind.get(Kind.TRUST_ANCHOR), by_kind.get(Kind.ISSUER)
    if anchors is None or issuer is None:
        return ()
    standings = {anchors.standing, issuer.standing}
    if Standing.UNKNOWN in standings or standings == {Standing.ABSENT}:
        return ()
    return (truth(so=chains_to(issuer.bundle.certificates, anchors.bundle.certificates)),)


def _problems(seen: CertificatesSeen) -> Iterable[str]:
    there = any(each.standing is Standing.THERE for each in seen.holdings)
    for holding in seen.holdings:
        if holding.standing is Standing.ABSENT and there:
            yield f"{holding} does not exist"
        yield from (f"{holding}: {problem}" for problem in holding.bundle.problems)
        different = len({each.serial for each in holding.bundle.certificates})
        if different > _MOST:
            yield f"{holding}: of {different} certificates the {_MOST} that end first are shown"
    for caller in seen.callers:
        for problem in caller.trusted.problems:
            yield f"caBundle of {caller.webhook} in {caller.configuration}: {problem}"
