"""What a schema may become without a new version: members may be added, and nothing else.

Both ways are looked at: yesterday's reader meets today's event, and today's reader meets yesterday's event.
"""

from steward.jsonvalue import Json, JsonObject, dig, strings, table, text

_CONSTRAINTS = (
    "type",
    "const",
    "format",
    "pattern",
    "minimum",
    "exclusiveMinimum",
    "minLength",
    "maxLength",
    "maxItems",
)


def incompatibilities(before: JsonObject, after: JsonObject) -> list[str]:
    """Why `after` cannot take the place of `before`; empty where it can."""
    return _compare(_Schema(before, before), _Schema(after, after), "")


class _Schema:
    """A part of a document together with the document, so that references can be followed."""

    def __init__(self, document: JsonObject, part: JsonObject) -> None:
        self.document = document
        self.part = part
        reference = text(part, "$ref")
        if reference.startswith("#/"):
            found = dig(document, *reference.removeprefix("#/").split("/"))
            self.part = {**(found if isinstance(found, dict) else {}), **{k: v for k, v in part.items() if k != "$ref"}}

    def child(self, part: Json) -> "_Schema":
        return _Schema(self.document, part if isinstance(part, dict) else {})

    def members(self) -> JsonObject:
        return table(self.part, "properties")

    def alternatives(self) -> list["_Schema"]:
        found = self.part.get("anyOf")
        return [self.child(each) for each in found] if isinstance(found, list) else []


def _compare(before: _Schema, after: _Schema, path: str) -> list[str]:
    here = path or "the event"
    problems = [
        f"{here}: {keyword} was {before.part.get(keyword)!r} and is {after.part.get(keyword)!r}"
        for keyword in _CONSTRAINTS
        if before.part.get(keyword) != after.part.get(keyword)
    ]
    # A value that old readers do not know is as bad for them as a missing one is for new readers.
    if set(strings(before.part, "enum")) != set(strings(after.part, "enum")):
        problems.append(f"{here}: its values are not the same")
    problems += _compare_members(before, after, path)
    if isinstance(before.part.get("items"), dict) or isinstance(after.part.get("items"), dict):
        problems += _compare(before.child(before.part.get("items")), after.child(after.part.get("items")), f"{path}[]")
    return problems + _compare_alternatives(before, after, path)


def _compare_members(before: _Schema, after: _Schema, path: str) -> list[str]:
    old, new = before.members(), after.members()
    old_required, new_required = set(strings(before.part, "required")), set(strings(after.part, "required"))
    # What is written always, though nobody need expect it, has a default that today's reader puts in its place.
    added = {name for name in new_required - set(old) if "default" not in table(new, name)}
    problems = [f"{path}{name}: was removed" for name in sorted(set(old) - set(new))]
    problems += [f"{path}{name}: is new and required" for name in sorted(added)]
    problems += [f"{path}{name}: is not required any more" for name in sorted((old_required - new_required) & set(new))]
    problems += [f"{path}{name}: became required" for name in sorted((new_required - old_required) & set(old))]
    for name in sorted(set(old) & set(new)):
        problems += _compare(before.child(old[name]), after.child(new[name]), f"{path}{name}.")
    return problems


def _compare_alternatives(before: _Schema, after: _Schema, path: str) -> list[str]:
    old, new = before.alternatives(), after.alternatives()
    if len(old) != len(new):
        return [f"{path or 'the event'}: has {len(new)} alternatives and had {len(old)}"]
    return [problem for one, other in zip(old, new, strict=True) for problem in _compare(one, other, path)]
