"""Nothing secret is left in a message, however it was cut, and nothing useful is lost."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.upgrader.edges.redaction import redact


def _keys() -> list[str]:
    pairs = (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048))
    formats = (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8)
    return [
        key.private_bytes(Encoding.PEM, format, NoEncryption()).decode().strip() for key in pairs for format in formats
    ]


def _secrets_of(pem: str) -> set[str]:
    body = [line for line in pem.splitlines() if not line.startswith("-----")]
    return {line[at : at + 24] for line in body for at in range(0, len(line) - 24, 8)}


@pytest.mark.parametrize("pem", _keys(), ids=["ec", "ec-pkcs8", "rsa", "rsa-pkcs8"])
def test_a_private_key_is_gone_wherever_the_text_was_cut(pem: str) -> None:
    message = f"rendering failed:\n{pem}\nat line 7"
    for start in range(0, len(message), 7):
        for end in (len(message), len(message) - 20, start + 200):
            shown = redact(message[start:end])
            assert not [piece for piece in _secrets_of(pem) if piece in shown]


@pytest.mark.parametrize("pem", _keys(), ids=["ec", "ec-pkcs8", "rsa", "rsa-pkcs8"])
def test_a_private_key_in_base64_or_on_one_line_is_gone(pem: str) -> None:
    encoded = base64.b64encode(pem.encode()).decode()
    for message in (f'"key.pem": "{encoded}"', f"keyPEM: {encoded[:90]}", repr(pem), pem.replace("\n", "\n      ")):
        shown = redact(message)
        assert encoded[:24] not in shown
        assert not [piece for piece in _secrets_of(pem) if piece in shown]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer [removed]"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWIifQ.c2ln is expired", "token [token removed] is expired"),
        ("https://me:secret@charts.example.org/x.tgz", "https://[removed]@charts.example.org/x.tgz"),
        ("password: hunter2", "password: [removed]"),
    ],
)
def test_tokens_and_passwords_are_gone(said: str, shown: str) -> None:
    assert redact(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        'Error: UPGRADE FAILED: "linkerd-control-plane" has no deployed releases',
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 is not the digest",
        "/usr/local/lib/python/site/packages/linkerd/steward/services/upgrader/edges is no folder",
        "Deployment linkerd/linkerd-destination-7d9f8c6b5d-abcde: FailedScheduling, 0/3 nodes are available",
        'Secret "linkerd-config-overrides" not found',
    ],
)
def test_what_an_error_is_about_stays(said: str) -> None:
    assert redact(said) == said
