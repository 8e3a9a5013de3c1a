"""Linkerd's version strings, with an order that Linkerd itself does not have.

Upstream only ever asks whether two strings are equal. Here versions of one channel are ordered by their numbers, and
versions of different channels are not ordered at all: asking is an error.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

_VERSION = re.compile(r"^(?P<channel>[a-z]+)-(?P<number>[0-9]+(?:\.[0-9]+)*)(?P<rest>(?:-[A-Za-z0-9.]+)*)$")
_CHART = re.compile(r"^20(?P<year>[0-9]{2})\.(?P<month>[0-9]{1,2})\.(?P<count>[0-9]+)$")
_BOUND = re.compile(r"^(?P<operator>>=|<=|>|<|=)?(?P<number>[0-9]+(?:\.[0-9]+)*)$")
_OPERATORS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": lambda version, bound: version >= bound,
    "<=": lambda version, bound: version <= bound,
    ">": lambda version, bound: version > bound,
    "<": lambda version, bound: version < bound,
    "=": lambda version, bound: version == bound,
}


class MalformedVersion(ValueError):
    """The text is no Linkerd version, or no range of them."""


@dataclass(frozen=True, slots=True)
class Version:
    """A release such as `edge-26.8.3` or `enterprise-2.17.1-1`.

    `parts` are the numbers, `hotpatch` the first numeric suffix. Other suffixes are ignored, as upstream does.
    """

    channel: str
    parts: tuple[int, ...]
    hotpatch: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raise MalformedVersion unless `text` is `<channel>-<numbers>[-<suffix>…]`."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise MalformedVersion(f"{text!r} is no Linkerd version: expected something like 'edge-26.8.3'")
        numbers = [part for part in match["rest"].split("-") if part.isdigit()]
        parts = tuple(int(part) for part in match["number"].split("."))
        return cls(match["channel"], parts, int(numbers[0]) if numbers else None)

    @classmethod
    def maybe(cls, text: str | None) -> Self | None:
        """The version in `text`, or None where there is none: image tags may be anything."""
        try:
            return cls.parse(text) if text else None
        except MalformedVersion:
            return None

    @classmethod
    def of_chart(cls, chart: str) -> Self:
        """The edge release that a chart version such as `2026.8.3` belongs to (one scheme since edge-24.3.1)."""
        match = _CHART.fullmatch(chart)
        if match is None:
            raise MalformedVersion(f"chart version {chart!r} is not of the form 20YY.M.N that edge releases have")
        return cls("edge", (int(match["year"]), int(match["month"]), int(match["count"])))

    @property
    def number(self) -> str:
        """The numbers alone, `26.8.3`: what ranges are written in."""
        return ".".join(str(part) for part in self.parts)

    @property
    def chart(self) -> str | None:
        """Version of the Helm charts of an edge release, `2026.8.3`; None outside the edge channel."""
        return f"20{self.number}" if self.channel == "edge" else None

    def __str__(self) -> str:
        suffix = "" if self.hotpatch is None else f"-{self.hotpatch}"
        return f"{self.channel}-{self.number}{suffix}"

    def _order(self, other: "Version") -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.channel != other.channel:
            raise MalformedVersion(f"{self} and {other} are of different channels, which have no order between them")
        return (*self.parts, -1, self.hotpatch or 0), (*other.parts, -1, other.hotpatch or 0)

    def __lt__(self, other: "Version") -> bool:
        mine, theirs = self._order(other)
        return mine < theirs

    def __le__(self, other: "Version") -> bool:
        return not other < self

    def __gt__(self, other: "Version") -> bool:
        return other < self

    def __ge__(self, other: "Version") -> bool:
        return not self < other


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Bounds on the numbers of a version, all of which must hold: `>=25.10.7 <26.6.3`."""

    text: str
    bounds: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raise MalformedVersion unless `text` is bounds with spaces or commas between them."""
        bounds: list[tuple[str, tuple[int, ...]]] = []
        for word in text.replace(",", " ").split():
            match = _BOUND.fullmatch(word)
            if match is None:
                raise MalformedVersion(f"{word!r} in range {text!r} is no bound: expected something like '>=25.10.7'")
            bounds.append((match["operator"] or "=", tuple(int(part) for part in match["number"].split("."))))
        if not bounds:
            raise MalformedVersion("a range needs at least one bound, for example '>=25.10.7 <26.6.3'")
        return cls(text, tuple(bounds))

    def contains(self, version: Version) -> bool:
        """Whether every bound holds for the numbers of `version`; its channel does not matter."""
        return all(_OPERATORS[operator](version.parts, number) for operator, number in self.bounds)

    def __str__(self) -> str:
        return self.text
