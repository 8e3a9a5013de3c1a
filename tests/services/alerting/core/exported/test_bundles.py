"""Bundles as people leave them: nothing that anybody writes keeps us from the certificates that are there."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.core.exported.bundles import read_bundle, read_encoded
from steward.jsonvalue import Json
from steward.linkerd.certificates import parse_bundle
from steward.testing.linkerd.certificates import Authority, Validity

NOW = datetime(2026, 8, 22, tzinfo=UTC)
ROOTS = [
    Authority.self_signed(f"root-{number}", Validity.around(NOW, timedelta(days=30 * number))) for number in range(1, 4)
]
PEMS = [each.pair.certificate for each in ROOTS]
DER = ROOTS[0].pair.parsed.public_bytes(Encoding.DER)
RUBBISH = (
    "",
    "\n\n",
    "# a comment\n",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n",
    "\x00\ufffd",
)


def test_every_certificate_of_a_bundle_is_read_in_its_order_and_comments_are_none() -> None:
    found = read_bundle(f"# ours\n{PEMS[0]}# the old one, until Friday\n{PEMS[1]}\n\n{PEMS[2]}")
    assert found.certificates == tuple(each for pem in PEMS for each in parse_bundle(pem))
    assert found.problems == ()


def test_one_unreadable_certificate_hides_no_other_and_is_reported() -> None:
    found = read_bundle(PEMS[0] + RUBBISH[3] + PEMS[1])
    assert [each.subject for each in found.certificates] == ["CN=root-1", "CN=root-2"]
    (problem,) = found.problems
    assert problem.startswith("block 2 of 3: ")


def test_a_certificate_that_was_cut_off_is_reported() -> None:
    found = read_bundle(PEMS[0] + PEMS[1][:200])
    assert len(found.certificates) == 1
    assert len(found.problems) == 1


@pytest.mark.parametrize("text", ["", "\n", "no certificate at all", "-----END CERTIFICATE-----"])
def test_a_bundle_without_certificates_says_so(text: str) -> None:
    assert read_bundle(text).problems == ("it holds no certificate",)


def test_a_private_key_in_a_bundle_is_named_and_nothing_of_it_is_repeated() -> None:
    found = read_bundle(PEMS[0] + ROOTS[0].pair.key)
    assert len(found.certificates) == 1
    (problem,) = found.problems
    assert "block 2 of 2 is a EC PRIVATE KEY" in problem
    assert ROOTS[0].pair.key.splitlines()[1] not in repr(found)


def test_a_bundle_that_no_kubernetes_can_hold_is_not_read() -> None:
    assert read_bundle(PEMS[0] * 3000).problems[0].endswith("bytes are more than Kubernetes stores")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "it is empty"),
        ("", "it is empty"),
        (7, "it is empty"),
        ("not base64!", "it is not the base64 of a text"),
        (base64.b64encode(b"\xff\xfe").decode(), "it is not the base64 of a text"),
        (base64.b64encode(b"text").decode(), "it holds no certificate"),
    ],
)
def test_what_is_no_base64_of_certificates_says_why(value: Json, problem: str) -> None:
    assert read_encoded(value).problems == (problem,)


@given(st.lists(st.sampled_from([*PEMS, *RUBBISH]), max_size=12))
def test_of_any_mixture_all_certificates_are_read_and_all_blocks_are_accounted_for(parts: list[str]) -> None:
    text = "\n".join(parts)
    found = read_bundle(text)
    assert len(found.certificates) == sum(part in PEMS for part in parts)
    assert len(found.certificates) + len(found.problems) == max(1, text.count("-----BEGIN"))


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert read_bundle(text).certificates == ()
    assert read_encoded(text).certificates == ()


@given(st.integers(0, len(DER) - 1), st.integers(0, 255), st.integers(0, 8))
def test_a_certificate_with_broken_bytes_raises_nothing_and_hides_no_other(place: int, byte: int, cut: int) -> None:
    broken = bytearray(DER)
    broken[place] = byte
    del broken[place : place + cut]
    pem = base64.encodebytes(bytes(broken)).decode()
    found = read_bundle(f"-----BEGIN CERTIFICATE-----\n{pem}-----END CERTIFICATE-----\n{PEMS[1]}")
    assert len(found.certificates) + len(found.problems) == 2
    assert found.certificates[-1].subject == "CN=root-2"
