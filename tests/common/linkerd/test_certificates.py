"""Certificates as facts: dates, names, and who verifies whom."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from steward.jsonvalue import Json, JsonObject
from steward.linkerd.certificates import (
    CertificateInventory,
    MalformedCertificate,
    WebhookCertificates,
    chains_to,
    parse_base64,
    parse_bundle,
    parse_issuer,
    webhooks_of,
)
from steward.testing.linkerd.certificates import Authority, Trust, Validity

NOW = datetime(2026, 8, 22, tzinfo=UTC)
ROOT = Authority.self_signed("root.linkerd.cluster.local", Validity.around(NOW))
OTHER = Authority.self_signed("root.linkerd.cluster.local", Validity.around(NOW))
ISSUER = ROOT.issue_authority("identity.linkerd.cluster.local", Validity.around(NOW, timedelta(days=30)))
SERVICE = "linkerd-proxy-injector.linkerd.svc"
LEAF = ISSUER.issue_leaf(SERVICE, Validity.around(NOW))


def encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def test_a_certificate_says_what_it_is() -> None:
    (root,) = parse_bundle(ROOT.pair.certificate)
    (leaf,) = parse_bundle(LEAF.certificate)
    assert (root.self_signed, root.authority, root.key) == (True, True, "ec-secp256r1")
    assert (leaf.self_signed, leaf.authority, leaf.names) == (False, False, (SERVICE,))
    assert leaf.issuer == parse_bundle(ISSUER.pair.certificate)[0].subject
    assert root.valid_at(NOW)
    assert not root.valid_at(NOW + timedelta(days=4000))
    assert parse_bundle(ISSUER.pair.certificate)[0].remaining(NOW) <= timedelta(days=30)


def test_a_bundle_in_the_middle_of_a_rotation_has_both_anchors() -> None:
    trust = Trust.for_helm(NOW).with_anchor_added(OTHER.pair.certificate)
    assert len(parse_bundle(trust.anchors)) == 2


def test_a_chain_leads_to_its_anchor_through_its_intermediates() -> None:
    leaf, issuer = parse_bundle(LEAF.certificate), parse_bundle(ISSUER.pair.certificate)
    root, stranger = parse_bundle(ROOT.pair.certificate), parse_bundle(OTHER.pair.certificate)
    assert chains_to((*leaf, *issuer), root)
    assert chains_to(issuer, (*stranger, *root))
    assert not chains_to(leaf, root), "the issuer between them is missing"
    assert not chains_to(issuer, stranger), "the same name is not the same key"
    assert not chains_to((), root)
    assert not chains_to(root, ())


def test_an_issuer_that_is_its_own_anchor_verifies() -> None:
    trust = Trust.for_cli(NOW)
    found = CertificateInventory(parse_bundle(trust.anchors), parse_bundle(trust.issuer.certificate), ())
    assert found.issuer_verifies


def test_an_issuer_of_another_root_does_not_verify() -> None:
    found = CertificateInventory(parse_bundle(OTHER.pair.certificate), parse_bundle(ISSUER.pair.certificate), ())
    assert not found.issuer_verifies


@pytest.mark.parametrize(
    ("bundle", "service", "agree"),
    [
        (ISSUER, SERVICE, True),
        (OTHER, SERVICE, False),
        (ISSUER, "linkerd-sp-validator.linkerd.svc", False),
    ],
)
def test_a_webhook_agrees_when_its_bundle_verifies_its_server_under_its_name(
    bundle: Authority, service: str, agree: bool
) -> None:
    trusted, serving = parse_bundle(bundle.pair.certificate), parse_bundle(LEAF.certificate)
    assert WebhookCertificates("w", "c", service, trusted, serving, "s").agree is agree


def test_a_webhook_whose_certificate_nobody_can_read_does_not_agree() -> None:
    assert not WebhookCertificates("w", "c", SERVICE, parse_bundle(ROOT.pair.certificate), (), "s", "gone").agree


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "text",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----",
        "x" * 2_000_000,
    ],
)
def test_what_is_no_certificate_is_refused(pem: str) -> None:
    with pytest.raises(MalformedCertificate):
        parse_bundle(pem)


def test_a_certificate_with_an_extension_twice_is_refused_as_any_other_that_cannot_be_read() -> None:
    der = x509.load_pem_x509_certificate(LEAF.certificate.encode()).public_bytes(Encoding.DER)
    usage, constraints = bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13")
    pem = base64.encodebytes(der.replace(usage, constraints)).decode()
    with pytest.raises(MalformedCertificate):
        parse_bundle(f"-----BEGIN CERTIFICATE-----\n{pem}-----END CERTIFICATE-----\n")


@pytest.mark.parametrize(
    "value", [None, "", 7, "not base64!", "ümlaut", base64.b64encode(b"\xff\xfe").decode(), encoded("text")]
)
def test_what_is_no_encoded_certificate_is_refused(value: Json) -> None:
    with pytest.raises(MalformedCertificate):
        parse_base64(value)


@pytest.mark.parametrize("key", ["crt.pem", "tls.crt"])
def test_the_issuer_is_read_from_either_scheme_and_never_its_key(key: str) -> None:
    secret: JsonObject = {
        "metadata": {"name": "linkerd-identity-issuer"},
        "data": {key: encoded(ISSUER.pair.certificate), "key.pem": encoded(ISSUER.pair.key)},
    }
    found = parse_issuer(secret)
    assert found == parse_bundle(ISSUER.pair.certificate)
    assert ISSUER.pair.key.splitlines()[1] not in repr(found)


def test_an_issuer_without_a_certificate_says_what_is_missing() -> None:
    with pytest.raises(MalformedCertificate, match=r"neither crt\.pem nor tls\.crt"):
        parse_issuer({"metadata": {"name": "linkerd-identity-issuer"}, "data": {}})


def test_each_webhook_of_a_configuration_is_found() -> None:
    configuration: JsonObject = {
        "webhooks": [
            {"name": "a.linkerd.io", "clientConfig": {"caBundle": "eA==", "service": {"name": "s", "namespace": "n"}}}
        ]
    }
    assert webhooks_of(configuration) == [("a.linkerd.io", "s.n.svc", "eA==")]


def test_a_wildcard_stands_for_one_label() -> None:
    (wild,) = parse_bundle(ISSUER.issue_leaf("*.linkerd.svc", Validity.around(NOW)).certificate)
    assert wild.is_for("linkerd-policy-validator.linkerd.svc")
    assert not wild.is_for("a.b.linkerd.svc")
