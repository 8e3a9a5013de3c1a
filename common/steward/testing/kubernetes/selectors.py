"""Label and field selectors, as lists and watches use them."""

import re
from collections.abc import Callable

from steward.jsonvalue import JsonObject, dig, texts
from steward.testing.kubernetes.refusal import bad_request

Match = Callable[[JsonObject], bool]

_SET_TERM = re.compile(r"^\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
_EQUAL_TERM = re.compile(r"^\s*([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)\s*$")
_EXISTS_TERM = re.compile(r"^\s*(!?)\s*([\w./-]+)\s*$")
_SPLIT = re.compile(r",(?![^(]*\))")


def everything(_: JsonObject) -> bool:
    """Matches all."""
    return True


def by_labels(selector: str) -> Match:
    """`app=web,tier!=cache,zone in (a,b),!canary`."""
    terms = [_label_term(term) for term in _SPLIT.split(selector)] if selector.strip() else []
    if not terms:
        return everything
    return lambda found: _all_hold(terms, texts(found, "metadata", "labels"))


def by_fields(selector: str) -> Match:
    """`metadata.name=web,status.phase!=Failed`; any scalar member may be asked for."""
    terms = [_field_term(term) for term in selector.split(",")] if selector.strip() else []
    if not terms:
        return everything
    return lambda found: all(term(found) for term in terms)


def both(first: Match, second: Match) -> Match:
    """Where both match."""
    if first is everything:
        return second
    return first if second is everything else lambda found: first(found) and second(found)


def selects(selector: JsonObject, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector object (`matchLabels`, `matchExpressions`) selects these labels."""
    wanted = texts(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    expressions = selector.get("matchExpressions")
    return all(_expression_holds(one, labels) for one in expressions) if isinstance(expressions, list) else True


def _expression_holds(expression: object, labels: dict[str, str]) -> bool:
    if not isinstance(expression, dict):
        return False
    key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values") or []
    found = labels.get(str(key))
    match operator:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case _:
            return operator == "DoesNotExist" and found is None


def _all_hold(terms: list[Callable[[dict[str, str]], bool]], labels: dict[str, str]) -> bool:
    return all(term(labels) for term in terms)


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET_TERM.match(term):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        return (
            (lambda labels: labels.get(key) in values)
            if operator == "in"
            else (lambda labels: labels.get(key) not in values)
        )
    if found := _EQUAL_TERM.match(term):
        key, operator, value = found.groups()
        return (
            (lambda labels: labels.get(key) != value) if operator == "!=" else (lambda labels: labels.get(key) == value)
        )
    if found := _EXISTS_TERM.match(term):
        absent, key = found.groups()
        return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: found {term!r}")


def _field_term(term: str) -> Match:
    found = _EQUAL_TERM.match(term) or re.match(r"^\s*([\w./-]+)\s*(==|=|!=)\s*(.*?)\s*$", term)
    if not found:
        raise bad_request(f"invalid selector: {term!r}; can't understand {term!r}")
    path, operator, value = found.groups()
    steps = path.split(".")
    wanted = operator != "!="
    return lambda candidate: (_printed(candidate, steps) == value) is wanted


def _printed(candidate: JsonObject, steps: list[str]) -> str:
    found = dig(candidate, *steps)
    if isinstance(found, bool):
        return str(found).lower()
    return "" if found is None else str(found)
