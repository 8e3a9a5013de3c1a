"""Who we are to NATS, and how the connection is encrypted. Secrets go from their file into the client, nowhere else."""

import ssl
from pathlib import Path
from typing import TypedDict

from steward.bus.settings import BusSettings
from steward.errors import ConfigurationError


class Authentication(TypedDict, total=False):
    """What nats-py wants to know, by its names."""

    user: str
    password: str
    token: str
    user_credentials: str
    nkeys_seed: str


def authentication(settings: BusSettings) -> Authentication:
    """The one way in that `settings` give, or none. Files are read again at every connection, so they may rotate."""
    if settings.user is not None and settings.password is not None:
        return {"user": settings.user, "password": settings.password.get_secret_value()}
    if settings.token is not None:
        return {"token": settings.token.get_secret_value()}
    if settings.credentials_file is not None:
        _check_key_file(settings.credentials_file, "BEGIN USER NKEY SEED", "a .creds file of nsc")
        return {"user_credentials": str(settings.credentials_file)}
    if settings.nkey_seed_file is not None:
        _check_key_file(settings.nkey_seed_file, "SU", "a file that holds one user seed, which begins with SU")
        return {"nkeys_seed": str(settings.nkey_seed_file)}
    return {}


def _check_key_file(file: Path, mark: str, expected: str) -> None:
    try:
        import nkeys  # noqa: F401 - an extra: only who authenticates by key needs it
    except ImportError:
        raise ConfigurationError(f"{file} needs the package nkeys: pip install 'linkerd-steward[nkeys]'") from None
    try:
        content = file.read_text(errors="replace")
    except OSError as error:
        raise ConfigurationError(f"the credentials in {file} cannot be read: {error.strerror}") from None
    if mark not in content:
        raise ConfigurationError(f"{file} holds no credentials: expected {expected}")


def tls(settings: BusSettings) -> ssl.SSLContext | None:
    """The TLS context that `settings` ask for."""
    if not settings.wants_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.tls_ca) if settings.tls_ca else None)
        if settings.tls_cert is not None and settings.tls_key is not None:
            context.load_cert_chain(str(settings.tls_cert), str(settings.tls_key))
    except OSError as error:
        files = ", ".join(str(each) for each in (settings.tls_ca, settings.tls_cert, settings.tls_key) if each)
        raise ConfigurationError(f"the TLS files {files} cannot be used: {error}") from None
    return context
