"""A page of Prometheus metrics as a value, and what changed from one page to the next.

A busy proxy shows thousands of lines, of which a proof asks for a few: labels are read when they are asked for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from steward.errors import StewardError

_LINE = re.compile(
    r"""([a-zA-Z_:][a-zA-Z0-9_:]*)            # name
        [ \t]*(\{[^"}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"}]*)*\})?  # labels
        [ \t]*(\S+)                           # value
        (?:[ \t].*)?""",  # a time stamp, or an exemplar
    re.VERBOSE,
)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"')
_ESCAPED = re.compile(r'\\([\\"n])')
_SHOWN = 80


class NotAPage(StewardError):
    """The text is no page of metrics."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a name, its labels, a value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was written, with its value."""

    labels: str
    """In their braces; nothing where there are none."""
    value: float


@dataclass(frozen=True, slots=True)
class Page:
    """All lines of one scrape, by name. A series that is absent counts as 0: idle families are dropped by the proxy."""

    lines: Mapping[str, tuple[Line, ...]]
    _read: dict[str, tuple[Sample, ...]] = field(default_factory=dict, repr=False, compare=False)

    def select(self, name: str, **labels: str) -> Iterator[Sample]:
        """The samples of that name whose labels have these values. Write `type_` for a label that is a keyword."""
        wanted = {key.rstrip("_"): value for key, value in labels.items()}
        return (
            sample
            for sample in self._samples(name)
            if all(sample.labels.get(key) == value for key, value in wanted.items())
        )

    def total(self, name: str, **labels: str) -> float:
        """Their sum; 0 where there is none."""
        return sum(sample.value for sample in self.select(name, **labels))

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is any."""
        return any(True for _ in self.select(name, **labels))

    def values(self, name: str, label: str, **labels: str) -> frozenset[str]:
        """The values that a label takes."""
        return frozenset(sample.labels.get(label, "") for sample in self.select(name, **labels))

    def written(self) -> Iterator[str]:
        """Every line, family by family."""
        return (f"{name}{line.labels} {line.value:g}" for name, lines in self.lines.items() for line in lines)

    def _samples(self, name: str) -> tuple[Sample, ...]:
        if name not in self._read:
            self._read[name] = tuple(
                Sample(name, _labels(line.labels), line.value) for line in self.lines.get(name, ())
            )
        return self._read[name]


def page_of(text: str) -> Page:
    """Read a page. Raise NotAPage where it cannot be read."""
    found: dict[str, list[Line]] = {}
    for number, written in enumerate(text.split("\n"), start=1):
        line = written.strip()
        if not line or line.startswith("#"):
            continue
        matched = _LINE.fullmatch(line)
        value = _number(matched[3]) if matched else None
        if matched is None or value is None:
            shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
            raise NotAPage(f"not a page of metrics: line {number} is {shown!r}")
        found.setdefault(matched[1], []).append(Line(matched[2] or "", value))
    return Page({name: tuple(lines) for name, lines in found.items()})


def grown(before: Mapping[str, Page], after: Mapping[str, Page], name: str, **labels: str) -> float:
    """By how much the counters of all pods grew. A counter that shrank began anew and counts from 0."""
    total = 0.0
    for pod, page in after.items():
        now = page.total(name, **labels)
        was = before[pod].total(name, **labels) if pod in before else 0.0
        total += now if now < was else now - was
    return total


def _number(written: str) -> float | None:
    try:
        return float(written)
    except ValueError:
        return None


def _labels(written: str) -> dict[str, str]:
    found: dict[str, str] = dict(_LABEL.findall(written))
    if "\\" in written:
        return {name: _ESCAPED.sub(_plain, value) for name, value in found.items()}
    return found


def _plain(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == "n" else escaped[1]
