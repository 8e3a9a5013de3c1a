"""One check, and the rule by which a list of them is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import sleep

from steward.testing.linkerd.cli.api import ApiRefused, NotConfigured
from steward.testing.linkerd.cli.report import HINTS, Category, Outcome, Report, Result
from steward.testing.linkerd.cli.seen import Seen


class Skipped(Exception):
    """The check does not apply; it is left out of the report."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is asserted, and how to find out: `find` returns what is wrong, or nothing."""

    description: str
    hint: str
    find: Callable[[Seen], str]
    fatal: bool = False
    """Nothing after it is looked at when it fails."""
    warning: bool = False
    """Its failure does not fail the run."""
    retried: bool = False
    """It may become true while we wait."""


@dataclass(frozen=True, slots=True)
class Section:
    """The checks of one category."""

    name: str
    checks: tuple[Check, ...]


_AGAIN_AFTER = timedelta(milliseconds=500)


def run(sections: Sequence[Section], seen: Seen) -> Report:
    """Every section until a fatal failure."""
    deadline = seen.clock.monotonic() + seen.options.wait.total_seconds()
    categories: list[Category] = []
    for section in sections:
        results: list[Result] = []
        aborted = False
        for check in section.checks:
            result = _result(check, seen, deadline)
            if result is None:
                continue
            results.append(result)
            aborted = check.fatal and result.outcome is Outcome.ERROR
            if aborted:
                break
        if results:
            categories.append(Category(section.name, tuple(results)))
        if aborted:
            break
    return Report(tuple(categories))


def _result(check: Check, seen: Seen, deadline: float) -> Result | None:
    while True:
        try:
            error = check.find(seen)
        except Skipped:
            return None
        except (ApiRefused, NotConfigured) as refused:
            error = str(refused)
        if not error:
            return Result(check.description)
        if check.retried and not check.warning and seen.clock.monotonic() < deadline:
            # A command line has no event loop, so the clock's own sleep is of no use here.
            sleep(_AGAIN_AFTER.total_seconds())
            seen.forget()
            continue
        outcome = Outcome.WARNING if check.warning else Outcome.ERROR
        return Result(check.description, outcome, HINTS + check.hint, error)
