"""CustomResourceDefinitions generated from the models: structural schema, CEL rules, printer columns, short names.

`python -m steward.resources.definitions DIRECTORY` writes one file a kind; a test compares them with the models.
"""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

import yaml

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.resources import KINDS
from steward.resources.base import GROUP, Resource

Schema: TypeAlias = JsonObject

# Keywords that pydantic writes and a structural schema does not know, or that say nothing here.
_DROPPED = {"title", "$defs", "propertyNames"}
_HEADER = "# Generated from common/steward/resources by `make manifests`; edit the models instead.\n"


def definition(kind: type[Resource]) -> JsonObject:
    """The CustomResourceDefinition of `kind`, as the API server takes it."""
    schema = _structural(kind)
    version: JsonObject = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {
                "name": column.name,
                "type": column.type,
                "jsonPath": column.json_path,
                **({"priority": column.priority} if column.priority else {}),
            }
            for column in kind.columns
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "linkerd-steward"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind_name,
                "listKind": f"{kind.kind_name}List",
                "plural": kind.plural,
                "singular": kind.kind_name.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["steward"],
            },
            "versions": [version],
        },
    }


def _structural(kind: type[Resource]) -> Schema:
    raw: JsonObject = kind.model_json_schema(by_alias=True, mode="validation")
    whole = _Structural(table(raw, "$defs")).convert(raw)
    properties = table(whole, "properties")
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    # Where every member of the spec has a default, an object without a spec is a whole one.
    if kind.model_fields["spec"].is_required():
        whole["required"] = ["spec"]
    whole["description"] = kind.description
    return whole


class _Structural:
    """Pydantic's JSON Schema → the subset that a CustomResourceDefinition allows."""

    def __init__(self, definitions: JsonObject) -> None:
        self._definitions = definitions

    def convert(self, schema: Schema) -> Schema:
        """`schema` without references, unions with null, and keywords that are not allowed."""
        schema = self._resolve(schema)
        converted = {key: value for key, value in schema.items() if key not in _DROPPED}
        if "const" in converted:
            converted["enum"] = [converted.pop("const")]
        if "enum" in converted and "type" not in converted:
            converted["type"] = "string"
        self._convert_members(schema, converted)
        self._convert_bounds(converted)
        return converted

    def _resolve(self, schema: Schema) -> Schema:
        """Follow a reference, and take the one alternative of an optional member that is not null."""
        reference = text(schema, "$ref")
        if reference:
            target = table(self._definitions, reference.removeprefix("#/$defs/"))
            return self._resolve({**target, **{key: value for key, value in schema.items() if key != "$ref"}})
        alternatives = [each for each in rows(schema, "anyOf") if text(each, "type") != "null"]
        if not alternatives:
            return schema
        # An enum beside free text is free text: the union only helps the Python side.
        resolved = [self._resolve(each) for each in alternatives]
        chosen = next((each for each in resolved if "enum" not in each), resolved[0])
        kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return {**chosen, **kept}

    def _convert_members(self, schema: Schema, converted: Schema) -> None:
        if "properties" in schema:
            converted["properties"] = {
                name: self.convert(member)
                for name, member in table(schema, "properties").items()
                if isinstance(member, dict)
            }
        if isinstance(schema.get("items"), dict):
            converted["items"] = self.convert(table(schema, "items"))
        if isinstance(schema.get("additionalProperties"), dict):
            converted["additionalProperties"] = self.convert(table(schema, "additionalProperties"))
        else:
            converted.pop("additionalProperties", None)
        if converted.get("default", ...) is None:
            del converted["default"]
        elif "default" in converted:
            converted["default"] = _without_nulls(converted["default"])

    def _convert_bounds(self, converted: Schema) -> None:
        match text(converted, "type"):
            case "integer":
                converted.setdefault("format", "int64")
            case "number":
                converted.setdefault("format", "double")
            case "string" if "enum" not in converted and "format" not in converted:
                # CEL's cost estimate needs a bound on everything it may walk through.
                converted.setdefault("maxLength", 4096)
            case _:
                pass


def _without_nulls(value: Json) -> Json:
    """An absent member is left out of a default: null is no string."""
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    return value


def write(directory: Path) -> list[Path]:
    """Write every definition into `directory`; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in KINDS:
        path = directory / f"{kind.plural}.yaml"
        path.write_text(rendered(definition(kind)))
        written.append(path)
    return written


def rendered(definition: JsonObject) -> str:
    """The definition as a YAML file."""
    return _HEADER + yaml.safe_dump(_sorted(definition), sort_keys=False, width=120, allow_unicode=True)


def _sorted(value: Json) -> Json:
    """Members in a stable order, names first as people write them."""
    if isinstance(value, dict):
        first = [key for key in ("apiVersion", "kind", "metadata", "name", "type", "description") if key in value]
        rest = sorted(key for key in value if key not in first)
        return {key: _sorted(value[key]) for key in [*first, *rest]}
    if isinstance(value, list):
        return [_sorted(member) for member in value]
    return value


def main() -> None:
    """Write the definitions into the directory that the command line names."""
    parser = argparse.ArgumentParser(description="Write the CustomResourceDefinitions of Linkerd Steward.")
    parser.add_argument("directory", type=Path)
    for path in write(parser.parse_args().directory):
        sys.stdout.write(f"{path}\n")


def served_schema(definition: JsonObject) -> JsonObject:
    """The schema of the one version that is served."""
    found = dig(definition, "spec", "versions", 0, "schema", "openAPIV3Schema")
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    main()
