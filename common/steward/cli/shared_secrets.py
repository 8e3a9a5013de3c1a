"""The secrets that parts of Steward share: made once, kept, and completed where a newer version has more parts."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from steward.cli.connection import NATS_ROUTES, NATS_SECRET, NATS_USERS
from steward.jsonvalue import JsonObject, texts

_BYTES = 32


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """One Secret, and what must be in it."""

    name: str
    entries: tuple[str, ...]
    title: str
    """What it holds, in the plural."""

    def kept(self, found: JsonObject | None) -> dict[str, str]:
        """What the Secret in the cluster has of it; an entry that nobody can read counts as missing."""
        encoded = texts(found or {}, "data")
        decoded = {entry: _decoded(encoded[entry]) for entry in self.entries if entry in encoded}
        return {entry: value for entry, value in decoded.items() if value}

    def manifest(self, namespace: str, kept: Mapping[str, str]) -> JsonObject:
        """The Secret with all entries: those that are kept, and new ones."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "linkerd-steward"},
            },
            "type": "Opaque",
            "stringData": {entry: kept.get(entry) or _made() for entry in self.entries},
        }


NATS_PASSWORDS = SharedSecret(NATS_SECRET, (*NATS_USERS, NATS_ROUTES), "NATS passwords")
ALERTMANAGER_TOKEN = SharedSecret("steward-alertmanager", ("token",), "tokens for Alertmanager's webhook")
"""What Alertmanager shows to the service that it tells of alerts."""
SHARED = (NATS_PASSWORDS, ALERTMANAGER_TOKEN)


def _made() -> str:
    """It begins with a letter: nats-server reads `-…` in a variable as a number, and refuses its configuration."""
    return f"p{secrets.token_urlsafe(_BYTES)}"


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
