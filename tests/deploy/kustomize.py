"""The overlays of deploy/, rendered as `kubectl kustomize` renders them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import yaml

from steward.jsonvalue import JsonObject, rows, text
from steward.testing.cluster.binaries import cached
from steward.testing.cluster.settings import ClusterTestSettings

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
OVERLAYS = ("development", "production")


class KubectlMissing(Exception):
    """Neither the cache of the cluster tests nor the PATH has a kubectl."""


class DoesNotRender(AssertionError):
    """kustomize refuses it."""


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
    return built(DEPLOY / "overlays" / overlay)


def built(folder: Path) -> str:
    """The manifest of a kustomization. Raise DoesNotRender with the reason."""
    done = subprocess.run([str(kubectl()), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DoesNotRender(f"{folder} does not render:\n{done.stderr}")
    return done.stdout


def objects(manifest: str) -> list[JsonObject]:
    """The objects of a manifest, in its order."""
    # The parser in C: the definitions have ten thousand lines.
    return [document for document in yaml.load_all(manifest, Loader=yaml.CSafeLoader) if document]


def named(parts: list[JsonObject], kind: str, name: str) -> JsonObject:
    """The one object of that kind and name."""
    (found,) = (part for part in parts if text(part, "kind") == kind and text(part, "metadata", "name") == name)
    return found


def workload(parts: list[JsonObject], name: str) -> JsonObject:
    """The Deployment or StatefulSet of that name, of which there is one."""
    kinds = ("Deployment", "StatefulSet")
    (found,) = (part for part in parts if text(part, "kind") in kinds and text(part, "metadata", "name") == name)
    return found


def container(parts: list[JsonObject], name: str, inner: str = "") -> JsonObject:
    """A container of that workload: the one called like it, unless `inner` names another."""
    containers = rows(workload(parts, name), "spec", "template", "spec", "containers")
    (found,) = (each for each in containers if text(each, "name") == (inner or name))
    return found
