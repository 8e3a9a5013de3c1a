"""Throw-away certificates of a Linkerd installation: trust anchor, issuer, and one pair for each webhook.

They have the subjects, algorithms and usages of the real ones, and any validity a fault test asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

YEAR = timedelta(days=365)
ANCHOR_NAME = "root.linkerd.cluster.local"
CLI_ISSUER_NAME = "identity.linkerd."
ISSUER_NAME = "identity.linkerd.cluster.local"
_ALLOWANCE = timedelta(seconds=20)
_FAR_BACK = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate holds."""

    start: datetime
    end: datetime

    @classmethod
    def around(cls, now: datetime, life: timedelta = YEAR) -> "Validity":
        """Valid since a moment ago for `life`; a negative `life` has expired that long ago."""
        now = now.astimezone(UTC)
        start = now - _ALLOWANCE if life > timedelta(0) else now + life - _FAR_BACK
        return cls(start, now + life)

    @classmethod
    def later(cls, now: datetime, delay: timedelta, life: timedelta = YEAR) -> "Validity":
        """Not valid before `delay` has passed."""
        start = now.astimezone(UTC) + delay
        return cls(start, start + life)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM text."""

    certificate: str
    key: str

    @property
    def parsed(self) -> x509.Certificate:
        """The certificate, to be looked at."""
        return x509.load_pem_x509_certificate(self.certificate.encode())


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that can sign."""

    pair: Pair
    signing: SigningKey

    @classmethod
    def self_signed(cls, name: str, validity: Validity) -> "Authority":
        """A root."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _authority(_builder(subject, subject, key, validity), key, path_length=None)
        return cls(_pair(builder.sign(key, hashes.SHA256()), key), key)

    def issue_authority(self, name: str, validity: Validity) -> "Authority":
        """An intermediate, such as Linkerd's issuer."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.pair.parsed.subject, key, validity)
        signed = _authority(builder, key, path_length=0).sign(self.signing, hashes.SHA256())
        return Authority(_pair(signed, key), key)

    def issue_leaf(self, name: str, validity: Validity, *, addresses: Sequence[str] = ()) -> Pair:
        """A serving certificate for `name` and any IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _leaf(_builder(_name(name), self.pair.parsed.subject, key, validity), name, addresses)
        return _pair(builder.sign(self.signing, hashes.SHA256()), key)


@dataclass(frozen=True, slots=True)
class Trust:
    """What an installation is given to issue identities with: the bundle of anchors and the issuer's pair."""

    anchors: str
    """The PEM bundle, byte for byte as the ConfigMap `linkerd-identity-trust-roots` holds it."""
    issuer: Pair

    @classmethod
    def for_cli(cls, now: datetime, *, life: timedelta = YEAR) -> "Trust":
        """What `linkerd install` makes when it is given nothing: an issuer that is its own anchor."""
        root = Authority.self_signed(CLI_ISSUER_NAME, Validity.around(now, life))
        return cls(root.pair.certificate, root.pair)

    @classmethod
    def for_helm(cls, now: datetime, *, anchor_life: timedelta = 10 * YEAR, issuer_life: timedelta = YEAR) -> "Trust":
        """What a careful person passes to Helm: a long-lived anchor and an issuer signed by it."""
        root = Authority.self_signed(ANCHOR_NAME, Validity.around(now, anchor_life))
        return cls(root.pair.certificate, root.issue_authority(ISSUER_NAME, Validity.around(now, issuer_life)).pair)

    @property
    def digest(self) -> str:
        """What the injector writes as `linkerd.io/trust-root-sha256`."""
        return sha256(self.anchors.encode()).hexdigest()

    def with_issuer(self, issuer: Pair) -> "Trust":
        """The same anchors, another issuer: a foreign or an expired one."""
        return replace(self, issuer=issuer)

    def with_anchor_added(self, certificate: str) -> "Trust":
        """The bundle in the middle of a rotation."""
        return replace(self, anchors=self.anchors.rstrip("\n") + "\n" + certificate)


def webhook_pair(
    service: str, now: datetime, *, life: timedelta = YEAR, name: str | None = None, quick: bool = False
) -> Pair:
    """The self-signed certificate of a webhook, as each render of the charts makes it anew.

    `name` instead of the service's own makes the wrong one that a fault test needs. `quick` takes an elliptic key
    instead of the 2048 bits of RSA that Helm's `genSelfSignedCert` makes in a tenth of a second.
    """
    common_name = name or f"{service}.linkerd.svc"
    key: SigningKey = (
        ec.generate_private_key(ec.SECP256R1())
        if quick
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    subject = _name(common_name)
    builder = _leaf(_builder(subject, subject, key, Validity.around(now, life)), common_name, ())
    return _pair(builder.sign(key, hashes.SHA256()), key)


def _name(common_name: str) -> x509.Name:
    # A common name has room for no more; whoever has a longer one is known by the alternative name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _builder(subject: x509.Name, issuer: x509.Name, key: SigningKey, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.start)
        .not_valid_after(validity.end)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
    )


def _authority(
    builder: x509.CertificateBuilder, key: SigningKey, *, path_length: int | None
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _leaf(builder: x509.CertificateBuilder, name: str, addresses: Sequence[str]) -> x509.CertificateBuilder:
    names: list[x509.GeneralName] = [x509.DNSName(name), *(x509.IPAddress(ip_address(one)) for one in addresses)]
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: SigningKey) -> Pair:
    pem_key = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), pem_key.decode())
