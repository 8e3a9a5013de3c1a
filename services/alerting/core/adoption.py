"""Which of many changes can come into force when the target refuses some of them: everything else does.

base ──changes──▶ try all ──taken──▶ in force
                     │
                  refused ──▶ without those that the refusal names, then these by themselves;
                              where it names none, by halves
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Contents = Mapping[str, str]
"""Name of an object → what it asks for, as text. Objects with the same text ask for the same."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What to put before the target next."""

    contents: Contents


@dataclass(frozen=True, slots=True)
class Adopted:
    """What is in force in the end, and why the rest is not: name → the target's words."""

    contents: Contents
    refused: Mapping[str, str] = field(default_factory=dict)
    restore: bool = False
    """The target was last shown something that it refused: it must be shown `contents` once more."""


Verdict = str | None
"""What the target says of a trial: None where it took it, else why not."""
Steps = Generator[Trial, Verdict, Adopted]


def adoption(base: Contents, wanted: Contents) -> Steps:
    """Yield trials and take verdicts until it is known what can be in force.

    `base` is known to be good; an object that is refused keeps its text of `base`. Removing is never refused: an
    object that is not in `wanted` is gone from all trials, unless the target refuses to be without it.
    """
    course = _Course(base)
    changed = tuple(sorted(name for name in base.keys() | wanted.keys() if base.get(name) != wanted.get(name)))
    if changed:
        yield from course.take(changed, wanted)
    return Adopted(MappingProxyType(dict(course.good)), course.refused, course.dirty)


class _Course:
    """How far one adoption has come."""

    def __init__(self, base: Contents) -> None:
        self.good: dict[str, str] = dict(base)
        self.refused: dict[str, str] = {}
        self.dirty = False

    def take(self, names: tuple[str, ...], wanted: Contents) -> Generator[Trial, Verdict, None]:
        """Try these changes on top of what is good so far."""
        candidate = _changed(self.good, names, wanted)
        said = yield Trial(candidate)
        if said is None:
            self.good, self.dirty = candidate, False
            return
        self.dirty = True
        if len(names) == 1:
            self.refused[names[0]] = said
            return
        for part in _parts(names, said):
            yield from self.take(part, wanted)


def _changed(base: Contents, names: Iterable[str], wanted: Contents) -> dict[str, str]:
    candidate = {**base, **{name: wanted[name] for name in names if name in wanted}}
    for name in names:
        if name not in wanted:
            candidate.pop(name, None)
    return candidate


def _parts(names: tuple[str, ...], said: str) -> list[tuple[str, ...]]:
    """The unsuspected together, then the suspects one by one; by halves where nobody or everybody is suspected."""
    blamed = tuple(name for name in names if name in said)
    if blamed and len(blamed) < len(names):
        others = tuple(name for name in names if name not in blamed)
        return [others, *((name,) for name in blamed)]
    middle = len(names) // 2
    return [names[:middle], names[middle:]]
