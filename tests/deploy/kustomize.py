"""The overlays of deploy/, rendered as `kubectl kustomize` renders them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import yaml

from steward.jsonvalue import JsonObject, text
from steward.testing.cluster.binaries import cached
from steward.testing.cluster.settings import ClusterTestSettings

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
OVERLAYS = ("development", "production")


class KubectlMissing(Exception):
    """Neither the cache of the cluster tests nor the PATH has a kubectl."""


def kubectl() -> Path:
    """The kubectl of the cluster tests, else the one on the PATH."""
    built = cached(ClusterTestSettings.from_environment())
    if built.complete():
        return built.path("kubectl")
    found = shutil.which("kubectl")
    if found is None:
        raise KubectlMissing("there is no kubectl to render deploy/ with: run `make binaries`, or put one on the PATH")
    return Path(found)


@cache
def rendered(overlay: str) -> str:
    """The manifest of an overlay."""
    done = subprocess.run(
        [str(kubectl()), "kustomize", str(DEPLOY / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"overlay {overlay!r} does not render:\n{done.stderr}")
    return done.stdout


def objects(manifest: str) -> list[JsonObject]:
    """The objects of a manifest, in its order."""
    # The parser in C: the definitions have ten thousand lines.
    return [document for document in yaml.load_all(manifest, Loader=yaml.CSafeLoader) if document]


def named(parts: list[JsonObject], kind: str, name: str) -> JsonObject:
    """The one object of that kind and name."""
    (found,) = (part for part in parts if text(part, "kind") == kind and text(part, "metadata", "name") == name)
    return found
