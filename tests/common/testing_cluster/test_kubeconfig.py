"""Throwaway certificates and the kubeconfigs made of them."""

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.cluster.pki import Authority, KeyPair, Validity

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_VALIDITY = Validity.around(_NOW)


def _verified(authority: Authority, pair: KeyPair, name: str, when: datetime) -> bool:
    store = Store([x509.load_pem_x509_certificate(authority.pair.certificate.encode())])
    verifier = PolicyBuilder().store(store).time(when).build_server_verifier(x509.DNSName(name))
    try:
        verifier.verify(x509.load_pem_x509_certificate(pair.certificate.encode()), [])
    except VerificationError:
        return False
    return True


def test_a_serving_certificate_holds_for_its_names_and_its_time() -> None:
    authority = Authority.create("test", _VALIDITY)
    pair = authority.server("api", _VALIDITY, alternatives=("api.default.svc", "127.0.0.1"))

    assert _verified(authority, pair, "api.default.svc", _NOW)
    assert not _verified(authority, pair, "elsewhere", _NOW)
    assert not _verified(authority, pair, "api", _NOW + timedelta(days=30))
    assert not _verified(Authority.create("test", _VALIDITY), pair, "api", _NOW)


def test_a_client_certificate_carries_user_and_groups() -> None:
    pair = Authority.create("test", _VALIDITY).client("admin", _VALIDITY, groups=("system:masters", "people"))
    subject = x509.load_pem_x509_certificate(pair.certificate.encode()).subject

    assert subject.rfc4514_string() == "CN=admin,O=people,O=system:masters"


def test_a_kubeconfig_file_is_for_its_owner_only(tmp_path: Path) -> None:
    authority = Authority.create("test", _VALIDITY)
    access = Kubeconfig("https://127.0.0.1:1", authority.pair.certificate, authority.client("admin", _VALIDITY))
    path = access.write(tmp_path / "kubeconfig")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["current-context"] == "test"


@pytest.mark.parametrize("kind", ["token", "proxy"])
def test_another_way_in_does_not_carry_the_certificate_along(kind: str) -> None:
    authority = Authority.create("test", _VALIDITY)
    access = Kubeconfig("https://127.0.0.1:1", authority.pair.certificate, authority.client("admin", _VALIDITY))
    other = access.as_token("t") if kind == "token" else access.by_way_of("http://127.0.0.1:2")

    assert other.pair is None
    assert other.token == ("t" if kind == "token" else "")


def test_the_tls_context_trusts_one_authority_only() -> None:
    authority = Authority.create("test", _VALIDITY)
    context = Kubeconfig("https://127.0.0.1:1", authority.pair.certificate).tls()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [one["subject"] for one in context.get_ca_certs()] == [((("commonName", "test"),),)]
