"""Throwaway certificates: authorities, servers, clients, and the broken ones that tests ask for."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_WEEK = timedelta(days=7)
# Clocks of one machine agree, but a certificate made in this very second must already be valid for a rounded reader.
_EARLIER = timedelta(minutes=5)


class KeyPair(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """The two as files `name.crt` and `name.key`."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_text(self.certificate)
        key.touch(mode=0o600)
        key.write_text(self.key)
        return certificate, key


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate holds."""

    start: datetime
    end: datetime

    @classmethod
    def around(cls, now: datetime, lasting: timedelta = _WEEK) -> "Validity":
        """From a little before `now`, for `lasting`."""
        return cls(now - _EARLIER, now + lasting)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that signs leaves and further authorities."""

    pair: KeyPair

    @classmethod
    def create(cls, name: str, validity: Validity) -> "Authority":
        """A self-signed root."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return cls(_sign(_authority(subject, key, validity), subject, key, key))

    def authority(self, name: str, validity: Validity) -> "Authority":
        """An authority below this one, as Linkerd's identity issuer is below its trust anchor."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return Authority(_sign(_authority(subject, key, validity), *self._signer(), key))

    def server(self, name: str, validity: Validity, *, alternatives: Sequence[str] = ()) -> KeyPair:
        """A serving certificate for `name` and `alternatives`, which are DNS names or addresses."""
        names = [_alternative(alternative) for alternative in (name, *alternatives)]
        return self._leaf(name, (), validity, x509.SubjectAlternativeName(names), ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str, validity: Validity, *, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate: `name` is the user and `groups` the groups that the API server sees."""
        return self._leaf(name, groups, validity, None, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _leaf(
        self,
        name: str,
        groups: Sequence[str],
        validity: Validity,
        alternatives: x509.SubjectAlternativeName | None,
        usage: x509.ObjectIdentifier,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        builder = (
            _certificate(x509.Name(attributes), key, validity)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return _sign(builder, *self._signer(), key)

    def _signer(self) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
        key = serialization.load_pem_private_key(self.pair.key.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("an authority's key is always an elliptic curve key here")
        return x509.load_pem_x509_certificate(self.pair.certificate.encode()).subject, key


def signing_key() -> tuple[str, str]:
    """A private key for ServiceAccount tokens, and its public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _private_pem(key), public.decode()


def _certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.start)
        .not_valid_after(validity.end)
    )


def _authority(subject: x509.Name, key: ec.EllipticCurvePrivateKey, validity: Validity) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _certificate(subject, key, validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
) -> KeyPair:
    # Strict verifiers, Python's own since 3.13, want to be told which key signed.
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    signed = builder.issuer_name(issuer).add_extension(signer, critical=False).sign(issuer_key, hashes.SHA256())
    return KeyPair(signed.public_bytes(serialization.Encoding.PEM).decode(), _private_pem(key))


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    # The traditional format is the one that every Kubernetes component and Linkerd's issuer read.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
