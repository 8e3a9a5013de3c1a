"""Rendered manifests as objects, in the order in which they can be applied."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import yaml

from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, rows, text

# libyaml reads Linkerd's CRDs in a fraction of the second that the pure loader takes.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LARGEST = 32 * 1024 * 1024
# What others refer to comes first. Webhooks come last: they begin to be called the moment they exist.
_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "PodDisruptionBudget",
    "*",
    "Deployment",
    "DaemonSet",
    "CronJob",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object: enough to find it, and to name it."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    @classmethod
    def of(cls, raw: JsonObject) -> "Identity":
        """As the object names itself."""
        return cls(
            text(raw, "apiVersion"),
            text(raw, "kind"),
            text(raw, "metadata", "name"),
            text(raw, "metadata", "namespace"),
        )

    @property
    def group(self) -> str:
        """The API group, empty for the core's."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


def parse_manifests(output: str, source: str) -> tuple[JsonObject, ...]:
    """The objects in a stream of YAML documents, the members of a List one by one; an empty stream is empty.

    Raise ToolError, naming `source`, where something in it is no object.
    """
    if len(output) > _LARGEST:
        raise ToolError(f"{source} wrote {len(output)} characters of manifests, more than {_LARGEST}")
    try:
        documents = cast("list[Json]", list(yaml.load_all(output, Loader=_LOADER)))
    except (yaml.YAMLError, RecursionError) as error:
        # A YAML error quotes the lines around it, and these may be a key's.
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise ToolError(f"{source} wrote something that is no YAML{line}") from None
    return tuple(_objects(documents, source))


def in_order(objects: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """The objects so that each finds what it refers to; within a kind as they came."""
    rest = _ORDER.index("*")
    return tuple(
        sorted(objects, key=lambda raw: _ORDER.index(text(raw, "kind")) if text(raw, "kind") in _ORDER else rest)
    )


def _objects(documents: Iterable[Json], source: str) -> Iterable[JsonObject]:
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ToolError(f"{source} wrote a document that is no object")
        if text(document, "kind") == "List":
            yield from _objects(rows(document, "items"), source)
            continue
        identity = Identity.of(document)
        if not (identity.api_version and identity.kind and identity.name):
            raise ToolError(f"{source} wrote an object without apiVersion, kind or name: {identity}")
        yield document
