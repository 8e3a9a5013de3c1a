"""Certificates as facts: how long they are valid, who signed them, whom they verify. Private keys are never read."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from steward.jsonvalue import Json, JsonObject, dig, rows, text

ISSUER_SECRET = "linkerd-identity-issuer"
_LARGEST_BUNDLE = 1_048_576
_LONGEST_CHAIN = 8
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises of a certificate that is none, or that no standard knows."""


class MalformedCertificate(ValueError):
    """The text holds no certificate that can be read."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate. `der` is the public certificate itself, for verifying others with it."""

    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    authority: bool
    """Whether it may sign others."""
    names: tuple[str, ...]
    """DNS names it is for."""
    key: str
    """Kind of its public key, such as `ec-secp256r1` or `rsa-2048`."""
    sha256: str
    der: bytes

    @property
    def self_signed(self) -> bool:
        """Whether its own key verifies it, which makes it a root."""
        return self.signed_by(self)

    def signed_by(self, signer: "CertificateFacts") -> bool:
        """Whether the key of `signer` made this certificate's signature, and the names agree."""
        try:
            x509.load_der_x509_certificate(self.der).verify_directly_issued_by(
                x509.load_der_x509_certificate(signer.der)
            )
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True

    def remaining(self, now: datetime) -> timedelta:
        """How long it is still valid; negative once it is not."""
        return self.not_after - now

    def valid_at(self, now: datetime) -> bool:
        """Whether `now` is within its dates."""
        return self.not_before <= now < self.not_after

    def is_for(self, name: str) -> bool:
        """Whether it is for that DNS name; a wildcard stands for exactly one label."""
        _, _, parent = name.partition(".")
        return name in self.names or f"*.{parent}" in self.names


@dataclass(frozen=True, slots=True)
class WebhookCertificates:
    """What a webhook's caller trusts, and what its server shows."""

    webhook: str
    configuration: str
    service: str
    """DNS name by which the API server calls it."""
    ca_bundle: tuple[CertificateFacts, ...]
    serving: tuple[CertificateFacts, ...]
    secret: str
    """Name of the Secret that the server's certificate was read from."""
    problem: str = ""
    """Why one of the two could not be read, empty where both could."""

    @property
    def agree(self) -> bool:
        """Whether the caller's bundle verifies the server's certificate for the name it is called by."""
        if not self.serving or not self.ca_bundle:
            return False
        return self.serving[0].is_for(self.service) and chains_to(self.serving, self.ca_bundle)


@dataclass(frozen=True, slots=True)
class CertificateInventory:
    """The certificates of an installation. What could not be read is a problem, never an empty success."""

    anchors: tuple[CertificateFacts, ...]
    issuer: tuple[CertificateFacts, ...]
    """The issuer's certificate, followed by its intermediates."""
    webhooks: tuple[WebhookCertificates, ...]
    problems: tuple[str, ...] = ()

    @property
    def issuer_verifies(self) -> bool:
        """Whether some anchor verifies the issuer."""
        return bool(self.issuer) and chains_to(self.issuer, self.anchors)


def parse_bundle(pem: str) -> tuple[CertificateFacts, ...]:
    """Every certificate of a PEM bundle. Raise MalformedCertificate where there is none, or one cannot be read."""
    if len(pem) > _LARGEST_BUNDLE:
        raise MalformedCertificate(f"a bundle of {len(pem)} bytes is larger than any that Kubernetes stores")
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
        return tuple(_facts(each) for each in certificates)
    except _UNREADABLE as error:
        raise MalformedCertificate(f"expected PEM certificates: {error}") from error


def parse_base64(encoded: Json) -> tuple[CertificateFacts, ...]:
    """The same for the base64 of a Secret's value or of a caBundle."""
    if not isinstance(encoded, str) or not encoded:
        raise MalformedCertificate("expected base64 of PEM certificates, found nothing")
    try:
        pem = base64.b64decode(encoded, validate=True).decode()
    except ValueError as error:
        raise MalformedCertificate(f"expected base64 of PEM certificates: {error}") from error
    return parse_bundle(pem)


def parse_issuer(secret: JsonObject) -> tuple[CertificateFacts, ...]:
    """The issuer's certificate in its Secret: `crt.pem` of Linkerd's own scheme, `tls.crt` of Kubernetes'."""
    for key in ("crt.pem", "tls.crt"):
        if dig(secret, "data", key) is not None:
            return parse_base64(dig(secret, "data", key))
    raise MalformedCertificate(f"Secret {text(secret, 'metadata', 'name')} has neither crt.pem nor tls.crt")


def webhooks_of(configuration: JsonObject) -> list[tuple[str, str, Json]]:
    """(name, DNS name of its service, caBundle) of each webhook in a webhook configuration."""
    return [
        (
            text(hook, "name"),
            f"{text(hook, 'clientConfig', 'service', 'name')}.{text(hook, 'clientConfig', 'service', 'namespace')}.svc",
            dig(hook, "clientConfig", "caBundle"),
        )
        for hook in rows(configuration, "webhooks")
    ]


def chains_to(chain: tuple[CertificateFacts, ...], anchors: Iterable[CertificateFacts]) -> bool:
    """Whether the first certificate of `chain` leads to an anchor, through the others where it must.

    An anchor that is the certificate itself counts, as it does in TLS: the CLI's own issuer is its own anchor.
    Dates are not looked at; `valid_at` says those.
    """
    trusted = tuple(anchors)
    here = chain[0] if chain else None
    for _ in range(_LONGEST_CHAIN):
        if here is None:
            return False
        if any(here.sha256 == anchor.sha256 or here.signed_by(anchor) for anchor in trusted):
            return True
        here = next((each for each in chain[1:] if each.sha256 != here.sha256 and here.signed_by(each)), None)
    return False


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    der = certificate.public_bytes(Encoding.DER)
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        authority=_authority(certificate),
        names=_names(certificate),
        key=_key(certificate),
        sha256=hashlib.sha256(der).hexdigest(),
        der=der,
    )


def _authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return ()
    if not isinstance(extension, x509.SubjectAlternativeName):
        return ()
    return tuple(extension.get_values_for_type(x509.DNSName))


def _key(certificate: x509.Certificate) -> str:
    public = certificate.public_key()
    match public:
        case ec.EllipticCurvePublicKey():
            return f"ec-{public.curve.name}"
        case rsa.RSAPublicKey():
            return f"rsa-{public.key_size}"
        case _:
            return type(public).__name__.removesuffix("PublicKey").lower()
