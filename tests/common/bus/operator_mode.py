"""A NATS operator with one account and one user, signed on the spot, for tests of `.creds` files."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import nkeys

from steward.jsonvalue import JsonObject

_UNLIMITED: JsonObject = dict.fromkeys(
    (
        "subs",
        "data",
        "payload",
        "imports",
        "exports",
        "conn",
        "leaf",
        "mem_storage",
        "disk_storage",
        "streams",
        "consumer",
    ),
    -1,
)


def seed(prefix: int) -> bytes:
    """A fresh seed of a kind of key."""
    return bytes(nkeys.encode_seed(secrets.token_bytes(32), prefix))


def public(of: bytes) -> str:
    """The public key of a seed."""
    return str(nkeys.from_seed(bytearray(of)).public_key.decode())


def user_seed() -> bytes:
    """A fresh seed of a user."""
    return seed(nkeys.PREFIX_BYTE_USER)


@dataclass(frozen=True, slots=True)
class Operator:
    """What the server is told, and what the user has in its file."""

    server_configuration: str
    credentials: str


def operator() -> Operator:
    """An operator, its system account, an account with JetStream, and a user of that."""
    top, system, account, user = (
        seed(nkeys.PREFIX_BYTE_OPERATOR),
        seed(nkeys.PREFIX_BYTE_ACCOUNT),
        seed(nkeys.PREFIX_BYTE_ACCOUNT),
        user_seed(),
    )
    operator_jwt = _sign(top, public(top), "operator", {"type": "operator", "version": 2})
    preload = {
        public(each): _sign(top, public(each), name, {"type": "account", "version": 2, "limits": limits})
        for each, name, limits in (
            (system, "SYS", {**_UNLIMITED, "wildcards": True, "streams": 0, "mem_storage": 0, "disk_storage": 0}),
            (account, "STEWARD", {**_UNLIMITED, "wildcards": True}),
        )
    }
    user_jwt = _sign(
        account, public(user), "steward", {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
    )
    lines = [
        f"operator: {operator_jwt}",
        f"system_account: {public(system)}",
        "resolver: MEMORY",
        "resolver_preload: {",
    ]
    lines += [f"  {key}: {jwt}" for key, jwt in preload.items()]
    credentials = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.decode()}\n------END USER NKEY SEED------\n"
    )
    return Operator("\n".join([*lines, "}"]), credentials)


def write(folder: Path, name: str, content: str) -> Path:
    """A file with a secret in it."""
    path = folder / name
    path.write_text(content)
    return path


def _sign(issuer: bytes, subject: str, name: str, nats: JsonObject) -> str:
    claims: JsonObject = {"iss": public(issuer), "sub": subject, "name": name, "iat": 1_700_000_000, "nats": nats}
    claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
    head = _text(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    body = _text(json.dumps(claims).encode())
    signature = nkeys.from_seed(bytearray(issuer)).sign(f"{head}.{body}".encode())
    return f"{head}.{body}.{_text(bytes(signature))}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
