"""Certificates as Go's verifier judges them, in its words."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

SOON = timedelta(days=60)
_UNKNOWN = "x509: certificate signed by unknown authority"


class Unreadable(ValueError):
    """No certificate in the text."""


def read(pem: str) -> list[x509.Certificate]:
    """Every certificate in a bundle; `Unreadable` where there is none."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise Unreadable("not PEM-encoded") from error


def common_name(certificate: x509.Certificate) -> str:
    """The CN of its subject."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def stamp(moment: datetime) -> str:
    """RFC 3339, as messages show it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def invalid_at(certificate: x509.Certificate, now: datetime) -> str:
    """Why it does not hold at `now`."""
    if certificate.not_valid_before_utc > now:
        return f"not valid before: {stamp(certificate.not_valid_before_utc)}"
    if certificate.not_valid_after_utc < now:
        return f"not valid anymore. Expired on {stamp(certificate.not_valid_after_utc)}"
    return ""


def expires_soon(certificate: x509.Certificate, now: datetime) -> str:
    """When it ends, if that is within sixty days."""
    if certificate.not_valid_after_utc >= now + SOON:
        return ""
    return f"will expire on {stamp(certificate.not_valid_after_utc)}"


def named(certificate: x509.Certificate) -> str:
    """Serial number and name, as lists show an anchor."""
    return f"* {certificate.serial_number} {common_name(certificate)}"


def unsupported(certificate: x509.Certificate) -> str:
    """Why its key is none that Linkerd's identities can use."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1):
            return ""
        return f"must use P-256 curve for public key, instead P-{key.curve.key_size} was used"
    if isinstance(key, rsa.RSAPublicKey):
        return (
            ""
            if key.key_size in (2048, 4096)
            else f"RSA must use at least 2084 bit public key, instead {key.key_size} bit public key was used"
        )
    return "unsupported key type"


def not_issued(certificate: x509.Certificate, anchors: list[x509.Certificate], name: str = "") -> str:
    """Why `certificate` (for `name`, where one is given) does not lead to one of `anchors`."""
    if name:
        wrong = _wrong_name(certificate, name)
        if wrong:
            return wrong
    candidates = [anchor for anchor in anchors if anchor.subject == certificate.issuer]
    for anchor in candidates:
        try:
            certificate.verify_directly_issued_by(anchor)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return ""
    if not candidates:
        return _UNKNOWN
    last = candidates[-1]
    failure = "x509: ECDSA verification failure" if _is_elliptic(last) else "crypto/rsa: verification error"
    return (
        f'{_UNKNOWN} (possibly because of "{failure}" while trying to verify candidate authority certificate '
        f'"{common_name(last)}")'
    )


def _is_elliptic(certificate: x509.Certificate) -> bool:
    return isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def _wrong_name(certificate: x509.Certificate, name: str) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return "x509: certificate relies on legacy Common Name field, use SANs instead"
    names = extension.value.get_values_for_type(x509.DNSName)
    return "" if name in names else f"x509: certificate is valid for {', '.join(names)}, not {name}"
