"""Where recorded output of the real Linkerd lies, beside the repository; tests that need it skip without it."""

import json
import os
from pathlib import Path

import pytest
import yaml

from steward.jsonvalue import JsonObject

SHARED = Path(os.environ.get("STEWARD_SHARED", Path(__file__).parents[4] / "shared"))  # noqa: TID251  (a test's own)
VERSIONS = ("edge-25.10.7", "edge-26.6.3", "edge-26.8.3")


def path(*parts: str) -> Path:
    """The file below the shared folder; skip the test where it is not there."""
    found = SHARED.joinpath(*parts)
    if not found.exists():
        pytest.skip(f"needs recorded output of the real Linkerd: {found} is absent (STEWARD_SHARED names the folder)")
    return found


def documents(*parts: str) -> list[JsonObject]:
    """The YAML documents of a file, lists of objects unfolded."""
    loaded: list[JsonObject] = []
    for document in yaml.load_all(path(*parts).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(document, dict):
            loaded += document["items"] if str(document.get("kind", "")).endswith("List") else [document]
    return loaded


def stream(text: str) -> list[JsonObject]:
    """JSON documents written one after the other."""
    found: list[JsonObject] = []
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found
