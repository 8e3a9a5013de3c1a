"""The three classic patch types: JSON patch (RFC 6902), JSON merge patch (RFC 7396), strategic merge patch."""

from collections.abc import Sequence
from typing import cast

from steward.jsonvalue import Json, JsonObject, text
from steward.testing.kubernetes.lists import BuiltInShapes, Keyed, Path, Whole, member_key
from steward.testing.kubernetes.refusal import Refusal, bad_request

_SHAPES = BuiltInShapes()


def merge_patched(target: Json, patch: Json) -> Json:
    """RFC 7396: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patched(result.get(name), value)
    return result


def strategic_patched(target: Json, patch: Json, path: Path = ()) -> Json:
    """As merge patch, but lists with a merge key merge member by member, and `$patch` directives are obeyed."""
    if not isinstance(patch, dict):
        return patch
    directive = text(patch, "$patch")
    if directive == "delete":
        return None
    base: JsonObject = dict(target) if isinstance(target, dict) and directive != "replace" else {}
    for name, value in patch.items():
        if name.startswith(("$setElementOrder/", "$deleteFromPrimitiveList/", "$patch")):
            continue
        if name == "$retainKeys":
            base = {key: kept for key, kept in base.items() if key in (value if isinstance(value, list) else [])}
        elif value is None:
            base.pop(name, None)
        elif isinstance(value, list):
            base[name] = _strategic_list(base.get(name), value, (*path, name))
        else:
            base[name] = strategic_patched(base.get(name), value, (*path, name))
    _delete_from_primitive_lists(base, patch)
    return base


def _strategic_list(target: Json, patch: list[Json], path: Path) -> Json:
    shape = _SHAPES.of_list(path)
    old = target if isinstance(target, list) else []
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    if shape is Whole.SET:
        return [*old, *(item for item in patch if item not in old)]
    if not isinstance(shape, Keyed):
        return patch
    return _merged_by_key(old, patch, path, shape.keys[:1])


def _merged_by_key(old: Sequence[Json], patch: Sequence[Json], path: Path, keys: Sequence[str]) -> Json:
    result = list(old)
    for item in patch:
        key = member_key(item, keys)
        at = next((place for place, member in enumerate(result) if member_key(member, keys) == key), None)
        if isinstance(item, dict) and item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic_patched({}, item, path))
        else:
            result[at] = strategic_patched(result[at], item, path)
    return result


def _delete_from_primitive_lists(base: JsonObject, patch: JsonObject) -> None:
    prefix = "$deleteFromPrimitiveList/"
    for name, value in patch.items():
        found = base.get(name.removeprefix(prefix))
        if name.startswith(prefix) and isinstance(found, list) and isinstance(value, list):
            base[name.removeprefix(prefix)] = [item for item in found if item not in value]


def json_patched(target: JsonObject, operations: Json) -> JsonObject:
    """RFC 6902 on a copy the caller made."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result: Json = target
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request("json: cannot unmarshal into Go value of type jsonpatch.Operation")
        result = _operate(result, operation)
    return cast("JsonObject", result)


def _operate(root: Json, operation: JsonObject) -> Json:
    steps = _pointer(text(operation, "path"))
    value = operation.get("value")
    match text(operation, "op"):
        case "add":
            return _put(root, steps, value, insert=True)
        case "replace":
            # The API server's library adds what is not there to be replaced, RFC 6902 notwithstanding.
            return _put(root, steps, value, insert=False)
        case "remove":
            return _take(root, steps)
        case "test":
            if _read(root, steps, missing_ok=True) != value:
                raise _unprocessable()
            return root
        case "copy":
            return _put(root, steps, _read(root, _pointer(text(operation, "from"))), insert=True)
        case "move":
            moved = _read(root, _pointer(text(operation, "from")))
            return _put(_take(root, _pointer(text(operation, "from"))), steps, moved, insert=True)
        case other:
            raise bad_request(f"unexpected kind: {other}")


def _pointer(path: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _unprocessable() -> Refusal:
    return Refusal(422, "Invalid", "the server rejected our request due to an error in our request", details={})


def _index(holder: list[Json], step: str, *, insert: bool) -> int:
    if step == "-" and insert:
        return len(holder)
    if not step.isdigit() or int(step) > len(holder) - (0 if insert else 1):
        raise _unprocessable()
    return int(step)


def _read(here: Json, steps: Sequence[str], *, missing_ok: bool = False) -> Json:
    for step in steps:
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list):
            here = here[_index(here, step, insert=False)]
        elif missing_ok:
            return None
        else:
            raise _unprocessable()
    return here


def _put(root: Json, steps: Sequence[str], value: Json, *, insert: bool) -> Json:
    if not steps:
        return value
    holder = _read(root, steps[:-1])
    if isinstance(holder, dict):
        holder[steps[-1]] = value
    elif isinstance(holder, list):
        at = _index(holder, steps[-1], insert=insert)
        holder[at : at + (0 if insert else 1)] = [value]
    else:
        raise _unprocessable()
    return root


def _take(root: Json, steps: Sequence[str]) -> Json:
    holder = _read(root, steps[:-1])
    if isinstance(holder, dict) and steps and steps[-1] in holder:
        del holder[steps[-1]]
    elif isinstance(holder, list):
        del holder[_index(holder, steps[-1], insert=False)]
    else:
        raise _unprocessable()
    return root
