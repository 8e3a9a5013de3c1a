"""Which metrics a query reads, whoever wrote it: as much of PromQL's grammar as that takes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*|\[[^\]]*\])
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<number>[0-9][\w.]*)
      | (?P<name>[A-Za-z_:][\w:]*(?:\.[A-Za-z_:][\w:]*)*)
      | (?P<sign>=~|!~|!=|.)""",
    re.VERBOSE | re.DOTALL,
)
_LABELS_FOLLOW = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = _LABELS_FOLLOW | {"and", "or", "unless", "atan2", "offset", "bool", "inf", "nan", "start", "end"}
_AGGREGATIONS = frozenset(
    {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values"}
    | {"limitk", "limit_ratio"}
)
_ABSENT = frozenset({"absent", "absent_over_time"})
_NAME_LABEL = "__name__"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a query reads."""

    metrics: frozenset[str]
    needed: frozenset[str]
    """Those without which it finds less. A metric that is only asked whether it is absent is none of them."""


@dataclass(slots=True)
class _Place:
    """Where in a query the reader is."""

    opened: list[str]
    """What stands before each parenthesis that is open."""
    before: str = ""
    selecting: bool = False
    """Inside of braces."""
    label: str = ""
    """Inside of braces: the label that is compared."""

    @property
    def in_labels(self) -> bool:
        return bool(self.opened) and self.opened[-1] in _LABELS_FOLLOW

    @property
    def in_absent(self) -> bool:
        return any(each in _ABSENT for each in self.opened)


def read(expr: str) -> Reading:
    """The metrics that `expr` names. A name that a regular expression matches is not one."""
    place = _Place([])
    everywhere: set[str] = set()
    needed: set[str] = set()
    tokens = list(_tokens(expr))
    for at, (kind, token) in enumerate(tokens):
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        found = (
            _in_braces(place, kind, token, following) if place.selecting else _outside(place, kind, token, following)
        )
        if found:
            everywhere.add(found)
            if not place.in_absent:
                needed.add(found)
    return Reading(frozenset(everywhere), frozenset(needed))


def _tokens(expr: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(expr):
        if match.lastgroup and match.lastgroup != "skip":
            yield match.lastgroup, match.group()


def _outside(place: _Place, kind: str, token: str, following: str) -> str:
    """The metric that a token outside of braces is, or nothing."""
    before, place.before = place.before, token
    if token == "(":
        place.opened.append(before)
    elif token == ")":
        # In `sum by (x) (y)`, `by` stands before the first parentheses alone.
        place.opened, place.before = place.opened[:-1], ""
    elif token == "{":
        place.selecting, place.label = True, ""
    elif kind == "name" and not place.in_labels and not _reserved(token, following):
        return token
    return ""


def _in_braces(place: _Place, kind: str, token: str, following: str) -> str:
    """The metric that a token inside of braces names, or nothing."""
    if token == "}":
        place.selecting = False
    elif token == ",":
        place.label = ""
    elif kind == "name" and not place.label:
        place.label = token
    elif kind == "text":
        quoted_name = not place.label and following in (",", "}")
        if quoted_name or (place.label == _NAME_LABEL and place.before == "="):
            place.before = token
            return _unquoted(token)
        place.label = place.label or token
    place.before = token
    return ""


def _reserved(token: str, following: str) -> bool:
    word = token.lower()
    if word in _AGGREGATIONS:
        return following in ("(", "by", "without")
    return following == "(" or word in _WORDS


def _unquoted(token: str) -> str:
    return token[1:-1] if token[0] == "`" else re.sub(r"\\(.)", r"\1", token[1:-1])
