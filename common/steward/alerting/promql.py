"""Texts that somebody else chose, as parts of a query that they cannot change."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

METRIC = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
LABEL = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(text: str) -> str:
    """`text` as a string literal of PromQL.

    Raise ValueError where it holds a lone surrogate, which no query can carry.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is no text that a query can carry: it is not valid Unicode") from error
    return f'"{text.translate(_ESCAPED)}"'


def literally(text: str) -> str:
    """A regular expression of RE2 that matches `text` and nothing else."""
    return _META.sub(lambda match: "\\" + match.group(), text)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str

    def __post_init__(self) -> None:
        if LABEL.fullmatch(self.label) is None:
            raise ValueError(f"{self.label!r} is no name of a label: letters, digits and _ only, no digit first")
        if self.operator not in ("=", "!=", "=~", "!~"):
            raise ValueError(f"{self.operator!r} compares no labels: =, !=, =~ and !~ do")

    @classmethod
    def equal(cls, label: str, value: str) -> Self:
        """The label has this value; the empty one also where there is no such label."""
        return cls(label, "=", value)

    @classmethod
    def differs(cls, label: str, value: str) -> Self:
        """It has another."""
        return cls(label, "!=", value)

    @classmethod
    def any_of(cls, label: str, values: Iterable[str]) -> Self:
        """It has one of these values."""
        return cls(label, "=~", "|".join(literally(value) for value in values))

    @classmethod
    def fits(cls, label: str, pattern: str) -> Self:
        """The whole of it fits a regular expression, which must not come from somebody else."""
        return cls(label, "=~", pattern)

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quoted(self.value)}"


def selector(metric: str, *matchers: Matcher) -> str:
    """The series of `metric` that fit all matchers."""
    if METRIC.fullmatch(metric) is None:
        raise ValueError(f"{metric!r} is no name of a metric")
    return f"{metric}{{{', '.join(map(str, matchers))}}}" if matchers else metric
