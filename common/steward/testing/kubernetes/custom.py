"""CustomResourceDefinitions: from the object to kinds that are served."""

from typing import cast

from steward.jsonvalue import JsonObject, dig, flag, rows, strings, table, text
from steward.kube.resources import CRDS, Resource
from steward.testing.kubernetes.kinds import Kind, ScalePaths
from steward.testing.kubernetes.refusal import Finding, invalid

_ANYTHING: JsonObject = {"x-kubernetes-preserve-unknown-fields": True}


def kinds_of(definition: JsonObject) -> list[Kind]:
    """One kind for each served version."""
    names = table(definition, "spec", "names")
    return [
        Kind(
            Resource(
                text(definition, "spec", "group"),
                text(version, "name"),
                text(names, "plural"),
                text(names, "kind"),
                namespaced=text(definition, "spec", "scope") == "Namespaced",
            ),
            status=dig(version, "subresources", "status") is not None,
            generation=True,
            scale=_scale_of(version),
            schema=_with_object_fields(table(version, "schema", "openAPIV3Schema")),
            short_names=tuple(strings(names, "shortNames")),
        )
        for version in rows(definition, "spec", "versions")
        if flag(version, "served")
    ]


def established(definition: JsonObject, now: str) -> None:
    """The status that the API server writes once it serves the resource."""
    names = dict(table(definition, "spec", "names"))
    names.setdefault("singular", text(names, "kind").lower())
    names.setdefault("listKind", text(names, "kind") + "List")
    cast("JsonObject", definition["spec"])["names"] = names
    cast("JsonObject", definition["spec"]).setdefault("conversion", {"strategy": "None"})
    stored = [version["name"] for version in rows(definition, "spec", "versions") if flag(version, "storage")]
    previous = [*strings(definition, "status", "storedVersions")]
    definition["status"] = {
        "acceptedNames": names,
        "conditions": [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
            _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
        ],
        "storedVersions": [*previous, *(name for name in stored if name not in previous)],
    }


def check_definition(definition: JsonObject) -> None:
    """The rules a definition breaks most often."""
    group, plural = text(definition, "spec", "group"), text(definition, "spec", "names", "plural")
    name = text(definition, "metadata", "name")
    found: list[Finding] = []
    if name != f"{plural}.{group}":
        wanted = f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        found.append(Finding("metadata.name", "FieldValueInvalid", wanted))
    versions = rows(definition, "spec", "versions")
    if sum(flag(version, "storage") for version in versions) != 1:
        message = "Invalid value: must have exactly one version marked as storage version"
        found.append(Finding("spec.versions", "FieldValueInvalid", message))
    for at, version in enumerate(versions):
        schema = table(version, "schema", "openAPIV3Schema")
        if text(schema, "type") != "object":
            where = f"spec.versions[{at}].schema.openAPIV3Schema"
            found.append(
                Finding(f"{where}.type", "FieldValueRequired", "Required value: must not be empty at the root")
            )
    if found:
        raise invalid(CRDS, name, found)


def _condition(kind: str, reason: str, message: str, now: str) -> JsonObject:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}


def _scale_of(version: JsonObject) -> ScalePaths | None:
    scale = table(version, "subresources", "scale")
    if not scale:
        return None
    paths = [text(scale, name).lstrip(".") for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")]
    return ScalePaths(*paths)


def _with_object_fields(schema: JsonObject) -> JsonObject:
    known: JsonObject = {"apiVersion": _ANYTHING, "kind": _ANYTHING, "metadata": _ANYTHING}
    return {**schema, "properties": {**table(schema, "properties"), **known}}
