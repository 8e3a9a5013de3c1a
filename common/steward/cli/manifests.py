"""The rendered manifests that come with the package, one file an overlay; `make manifests` writes them from deploy/."""

from collections.abc import Sequence
from enum import StrEnum
from importlib.resources import files

import yaml

from steward.cli.explain import Refusal
from steward.jsonvalue import Json, JsonObject, dig, rows, text


class Overlay(StrEnum):
    """What an installation is made for."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def read(overlay: Overlay) -> str:
    """The manifest of `overlay` as it was rendered."""
    source = files("steward.cli") / "manifests" / f"{overlay}.yaml"
    try:
        return source.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Refusal(
            f"this installation of linkerd-steward comes without the manifest of overlay {overlay.value!r}",
            "in a checkout run: make manifests; else install the package anew",
        ) from error


def objects(manifest: str) -> list[JsonObject]:
    """Every object of a manifest, in its order."""
    documents: list[Json] = list(yaml.safe_load_all(manifest))
    return [document for document in documents if isinstance(document, dict) and document]


def written(parts: Sequence[JsonObject]) -> str:
    """Objects as a manifest."""
    return yaml.safe_dump_all(parts, sort_keys=False, allow_unicode=True, explicit_start=True, width=120)


def is_definition(part: JsonObject) -> bool:
    """Whether the object is a CustomResourceDefinition, which has to be there before its objects."""
    return text(part, "kind") == "CustomResourceDefinition"


def is_custom(part: JsonObject) -> bool:
    """Whether the object is one of our own kinds."""
    return text(part, "apiVersion").startswith("steward.linkerd.io/")


def with_image(part: JsonObject, old: str, new: str) -> JsonObject:
    """The object with `new` wherever a container has the image `old`, or is told to run it elsewhere."""
    for group in ("initContainers", "containers"):
        for container in rows(part, "spec", "template", "spec", group):
            if text(container, "image") == old:
                container["image"] = new
            for variable in rows(container, "env"):
                if text(variable, "value") == old:
                    variable["value"] = new
    return part


def service_image(parts: Sequence[JsonObject]) -> str:
    """The image that the services run."""
    for part in parts:
        if text(part, "kind") == "Deployment" and isinstance(dig(part, "spec", "template"), dict):
            for container in rows(part, "spec", "template", "spec", "containers"):
                return text(container, "image")
    raise Refusal("the manifest has no Deployment, so there is no image to replace", "install the package anew")
