"""Validation that the schema itself carries: CEL rules with a message that a person understands."""

from pydantic import JsonValue


def rules(*pairs: tuple[str, str]) -> dict[str, JsonValue]:
    """`json_schema_extra` with one validation for each (CEL rule, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def map_list(*keys: str) -> dict[str, JsonValue]:
    """`json_schema_extra` of a list whose members are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def atomic() -> dict[str, JsonValue]:
    """`json_schema_extra` of a list that is replaced as a whole."""
    return {"x-kubernetes-list-type": "atomic"}


RANGE = r"^\s*(>=|<=|>|<|=)?[0-9]+(\.[0-9]+)*([\s,]+(>=|<=|>|<|=)?[0-9]+(\.[0-9]+)*)*\s*$"
RELEASE = r"^[a-z]+-[0-9]+(\.[0-9]+)*(-[A-Za-z0-9.]+)*$"
LOGICAL = r"^[0-9]+\.[0-9]+$"
CHANNEL = r"^[a-z][A-Za-z]*$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
