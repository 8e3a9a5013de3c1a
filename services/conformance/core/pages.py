"""A page of Prometheus metrics as a value, and what changed from one page to the next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from steward.errors import StewardError


class NotAPage(StewardError):
    """The text is no page of metrics."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a name, its labels, a value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Page:
    """All samples of one scrape. A series that is absent counts as 0: idle families are dropped by the proxy."""

    samples: tuple[Sample, ...]

    def select(self, name: str, **labels: str) -> Iterator[Sample]:
        """The samples of that name whose labels have these values. Write `type_` for a label that is a keyword."""
        wanted = {key.rstrip("_"): value for key, value in labels.items()}
        return (
            sample
            for sample in self.samples
            if sample.name == name and all(sample.labels.get(key) == value for key, value in wanted.items())
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


def page_of(text: str) -> Page:
    """Read a page. Raise NotAPage where it cannot be read."""
    try:
        return Page(
            tuple(
                Sample(sample.name, dict(sample.labels), float(sample.value))
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            )
        )
    except (ValueError, KeyError, IndexError) as error:
        raise NotAPage(f"not a page of metrics: {error}") from error


def grown(before: Mapping[str, Page], after: Mapping[str, Page], name: str, **labels: str) -> float:
    """By how much the counters of all pods grew. A counter that shrank began anew and counts from 0."""
    total = 0.0
    for pod, page in after.items():
        now = page.total(name, **labels)
        was = before[pod].total(name, **labels) if pod in before else 0.0
        total += now if now < was else now - was
    return total
