"""Validation that the schema itself carries: CEL rules with a message that a person understands."""

from pydantic import JsonValue


def rules(*pairs: tuple[str, str]) -> dict[str, JsonValue]:
    """`json_schema_extra` with one validation for each (CEL rule, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def reads_as(pattern: str, message: str) -> dict[str, JsonValue]:
    """`json_schema_extra` of a text with a pattern: what it should look like, for those who do not read patterns.

    Raise ValueError for a pattern with an apostrophe, which would end the literal that CEL reads it from.
    """
    if "'" in pattern:
        raise ValueError(f"{pattern!r} holds an apostrophe, which no API server would take: write \\x27")
    return rules((f"self.matches(r'{pattern}')", message))


def once(what: str) -> tuple[str, str]:
    """The rule that no member of a short list comes twice."""
    return "self.all(one, self.exists_one(other, other == one))", f"{what} twice: once is enough"


def map_list(*keys: str) -> dict[str, JsonValue]:
    """`json_schema_extra` of a list whose members are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def atomic() -> dict[str, JsonValue]:
    """`json_schema_extra` of a list that is replaced as a whole."""
    return {"x-kubernetes-list-type": "atomic"}


def atomic_object() -> dict[str, JsonValue]:
    """`json_schema_extra` of an object that is replaced as a whole."""
    return {"x-kubernetes-map-type": "atomic"}


STEP_NAME = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
BOUND = r"^v?[0-9]+(\.[0-9]+)*$"
RANGE = r"^\s*(>=|<=|>|<|=)?[0-9]+(\.[0-9]+)*([\s,]+(>=|<=|>|<|=)?[0-9]+(\.[0-9]+)*)*\s*$"
RELEASE = r"^[a-z]+-[0-9]+(\.[0-9]+)*(-[A-Za-z0-9.]+)*$"
LOGICAL = r"^[0-9]+\.[0-9]+$"
CHANNEL = r"^[a-z][A-Za-z]*$"
DIGEST = r"^sha256:[0-9a-f]{64}$"

SAYS_RANGE = reads_as(RANGE, "a range is written like `>=25.10.7 <26.6.3`, without the channel")
SAYS_RELEASE = reads_as(RELEASE, "a release is written with its channel, like `edge-26.8.3`")
SAYS_LOGICAL = reads_as(LOGICAL, "a logical version is written like `2.19`")
SAYS_CHANNEL = reads_as(CHANNEL, "a channel is written in letters, like `edge`")
SAYS_BOUND = reads_as(BOUND, "a bound is a version like `1.31`")
SAYS_STEP_NAME = reads_as(STEP_NAME, "a name begins with a small letter and goes on with those, digits and dashes")
