"""Proof that no secret is in what was written."""

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from steward.jsonvalue import Json, walk


def reveals(document: Json | str, secrets: Iterable[str]) -> tuple[str, ...]:
    """Those of `secrets` that stand in `document`: as they are, as Kubernetes encodes them, or as an address does.

    A secret that is found must be replaced, not only the document. An empty one is in everything, and is left out.
    """
    said = "\n".join(_texts(document))
    return tuple(secret for secret in dict.fromkeys(secrets) if secret and any(each in said for each in _forms(secret)))


def _forms(secret: str) -> tuple[str, ...]:
    plain = secret.encode("utf-8", errors="surrogatepass")
    # The padding depends on what comes after, so it is no part of what is looked for.
    encoded = base64.b64encode(plain).decode().rstrip("=")
    stable = encoded[: len(encoded) - len(encoded) % 4] or encoded
    return (secret, secret.strip() or secret, stable, quote(plain, safe=""), json.dumps(secret)[1:-1])


def _texts(document: Json | str) -> Iterable[str]:
    for each in walk(document):
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            yield from each
