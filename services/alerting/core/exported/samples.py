"""One series and its value; which metric it belongs to, and the names of its labels, stand beside it."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias


class Sample(NamedTuple):
    """The values of the labels in the order in which the metric declares them, and the number."""

    labels: tuple[str, ...]
    value: float


Samples: TypeAlias = tuple[Sample, ...]


def truth(*labels: str, so: bool) -> Sample:
    """1 where it is so, else 0."""
    return Sample(labels, 1.0 if so else 0.0)


def counted(found: Iterable[str], known: Iterable[str]) -> Samples:
    """How often each value of the one label was found; those that are only known count nothing and are told too.

    A series that is 0 says more than one that is missing: an alert over it can end.
    """
    counts = Counter(dict.fromkeys(known, 0))
    counts.update(found)
    return tuple(Sample((label,), float(count)) for label, count in sorted(counts.items()))
