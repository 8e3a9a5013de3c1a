"""The committed CustomResourceDefinitions are those of the models, and structural."""

from pathlib import Path

import pytest
import yaml

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, walk
from steward.resources import KINDS
from steward.resources.base import Resource
from steward.resources.definitions import definition, rendered, served_schema
from steward.resources.rules import reads_as

CRDS = Path(__file__).parents[3] / "deploy" / "crds"
FORBIDDEN = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title", "exclusiveMinimum"}
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)


@each_kind
def test_the_committed_definition_is_the_one_of_the_models(kind: type[Resource]) -> None:
    committed = (CRDS / f"{kind.plural}.yaml").read_text()

    assert committed == rendered(definition(kind)), "run `make manifests`"


def test_every_committed_definition_has_a_model() -> None:
    files = {path.stem for path in CRDS.glob("*.yaml")} - {"kustomization"}

    assert files == {kind.plural for kind in KINDS}


@each_kind
def test_a_schema_is_structural(kind: type[Resource]) -> None:
    schema = served_schema(definition(kind))

    for part in _schemas(schema):
        assert not set(part) & FORBIDDEN, part
        assert "type" in part, part
        assert not ("properties" in part and "additionalProperties" in part), part


@each_kind
def test_every_rule_has_a_message_for_people(kind: type[Resource]) -> None:
    found = [
        rule for part in _schemas(served_schema(definition(kind))) for rule in rows(part, "x-kubernetes-validations")
    ]

    assert found or kind.kind_name == "ReleaseCatalog"
    assert all(text(rule, "message") for rule in found)


@each_kind
def test_a_column_points_at_something_that_exists(kind: type[Resource]) -> None:
    schema = served_schema(definition(kind))

    for column in kind.columns:
        head = column.json_path.lstrip(".").replace("[0]", "").split("[")[0].split(".")
        if head[0] != "metadata":
            assert _member(schema, head), column.json_path


def test_short_names_are_not_taken_twice() -> None:
    names = [name for kind in KINDS for name in (*kind.short_names, kind.plural)]

    assert len(names) == len(set(names))


def _member(schema: JsonObject, path: list[str]) -> bool:
    here: JsonObject = schema
    for step in path:
        if text(here, "type") == "array":
            here = table(here, "items")
        found = dig(here, "properties", step)
        if not isinstance(found, dict):
            return False
        here = found
    return True


def _schemas(value: Json) -> list[JsonObject]:
    """Every schema inside a schema: what stands under properties, items and additionalProperties."""
    found: list[JsonObject] = []
    if isinstance(value, dict):
        found.append(value)
        for member in table(value, "properties").values():
            found += _schemas(member)
        for keyword in ("items", "additionalProperties"):
            found += _schemas(value.get(keyword))
    return found


def test_nothing_foreign_is_written() -> None:
    for kind in KINDS:
        for value in walk(definition(kind)):
            if isinstance(value, dict):
                yaml.safe_dump(value)


def test_a_pattern_that_no_api_server_would_read_is_refused() -> None:
    with pytest.raises(ValueError, match="apostrophe"):
        reads_as("^[^']+$", "no apostrophes")
