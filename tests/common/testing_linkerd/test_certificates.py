"""Stand-in certificates against the recorded real ones, and against openssl's rules through `cryptography`."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from steward.testing.linkerd.certificates import Authority, Trust, Validity, webhook_pair
from tests.common.testing_linkerd import recorded

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def test_the_issuer_of_a_cli_installation_is_its_own_anchor() -> None:
    trust = Trust.for_cli(NOW)
    assert trust.anchors == trust.issuer.certificate
    assert subject(trust.issuer.parsed) == "CN=identity.linkerd."
    trust.issuer.parsed.verify_directly_issued_by(trust.issuer.parsed)


def test_the_issuer_of_a_helm_installation_is_signed_by_the_anchor() -> None:
    trust = Trust.for_helm(NOW)
    anchor = x509.load_pem_x509_certificate(trust.anchors.encode())
    trust.issuer.parsed.verify_directly_issued_by(anchor)
    assert anchor.not_valid_after_utc > trust.issuer.parsed.not_valid_after_utc


def test_a_foreign_issuer_is_not_signed_by_the_anchor() -> None:
    trust = Trust.for_helm(NOW).with_issuer(Trust.for_helm(NOW).issuer)
    anchor = x509.load_pem_x509_certificate(trust.anchors.encode())
    with pytest.raises(Exception, match=r"^$"):
        trust.issuer.parsed.verify_directly_issued_by(anchor)


@pytest.mark.parametrize(
    ("validity", "valid"),
    [
        pytest.param(Validity.around(NOW), True, id="a year"),
        pytest.param(Validity.around(NOW, timedelta(days=-1)), False, id="expired yesterday"),
        pytest.param(Validity.later(NOW, timedelta(days=1)), False, id="valid from tomorrow"),
    ],
)
def test_validity_is_what_the_fault_asks_for(validity: Validity, *, valid: bool) -> None:
    certificate = Authority.self_signed("x", validity).pair.parsed
    assert (certificate.not_valid_before_utc <= NOW <= certificate.not_valid_after_utc) is valid
    assert certificate.not_valid_before_utc < certificate.not_valid_after_utc


def test_two_renders_have_different_webhook_certificates() -> None:
    one, other = (webhook_pair("linkerd-proxy-injector", NOW) for _ in range(2))
    assert one.certificate != other.certificate


def test_webhook_certificates_look_like_the_recorded_ones() -> None:
    text = recorded.path("recordings", "identity", "certificates.txt").read_text()
    pair = webhook_pair("linkerd-proxy-injector", NOW)
    assert f"subject=CN = {subject(pair.parsed).removeprefix('CN=')}" in text
    assert "key alg: Public Key Algorithm: rsaEncryption" in text
    assert isinstance(pair.parsed.public_key(), rsa.RSAPublicKey)
    names = pair.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["linkerd-proxy-injector.linkerd.svc"]


def test_the_issuer_looks_like_the_recorded_one() -> None:
    text = recorded.path("recordings", "identity", "certificates.txt").read_text()
    issuer = Trust.for_cli(NOW).issuer.parsed
    assert f"issuer=CN = {subject(issuer).removeprefix('CN=')}\n" in text
    assert isinstance(issuer.public_key(), ec.EllipticCurvePublicKey)
    usage = issuer.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign) == (True, True)
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_digest_is_of_the_bundle_byte_for_byte() -> None:
    trust = Trust.for_cli(NOW)
    assert trust.digest != Trust(trust.anchors + "\n", trust.issuer).digest
