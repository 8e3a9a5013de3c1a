"""The verdicts of `check` in the three formats that Linkerd has, its words and marks included."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from steward.cli.marks import BAD, GOOD, WARNING
from steward.cli.output import clean
from steward.jsonvalue import Json


class Result(StrEnum):
    """How a check ended."""

    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check. Linkerd counts it as failed only where `error` says something, so it always does."""

    description: str
    result: Result = Result.SUCCESS
    error: str = ""

    def __post_init__(self) -> None:
        if (self.result is Result.SUCCESS) is bool(self.error):
            raise ValueError(f"check {self.description!r} is a {self.result} and says {self.error!r}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and how bad it is."""

    says: str
    result: Result = Result.ERROR


@dataclass(frozen=True, slots=True)
class Category:
    """Checks that belong together."""

    name: str
    checks: tuple[Verdict, ...]


class ReportFormat(StrEnum):
    """Linkerd's formats."""

    TABLE = "table"
    JSON = "json"
    SHORT = "short"


_FEW = 5
_MARKS = {Result.SUCCESS: GOOD, Result.WARNING: WARNING, Result.ERROR: BAD}


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:_FEW])
    return f"{shown} and {len(names) - _FEW} more" if len(names) > _FEW else shown


def passed(categories: Sequence[Category]) -> bool:
    """Whether there is no error; a warning is none."""
    return all(check.result is not Result.ERROR for category in categories for check in category.checks)


def as_document(categories: Sequence[Category]) -> dict[str, Json]:
    """The one JSON document that Linkerd reads from stdout."""
    listed: list[Json] = [
        {"categoryName": category.name, "checks": [_entry(check) for check in category.checks]}
        for category in categories
    ]
    return {"success": passed(categories), "categories": listed}


def as_text(categories: Sequence[Category], *, short: bool = False) -> str:
    """As Linkerd prints it; `short` keeps only what is wrong."""
    blocks = []
    for category in categories:
        checks = [check for check in category.checks if not short or check.result is not Result.SUCCESS]
        if checks:
            lines = [category.name, "-" * len(category.name), *(line for check in checks for line in _lines(check))]
            blocks.append("\n".join(lines) + "\n")
    blocks.append(f"Status check results are {GOOD if passed(categories) else BAD}\n")
    return "\n".join(blocks)


def _entry(check: Verdict) -> Json:
    entry: dict[str, Json] = {"description": check.description}
    if check.error:
        entry["error"] = check.error
    entry["result"] = check.result.value
    return entry


def _lines(check: Verdict) -> list[str]:
    said = [f"    {line}" for line in clean(check.error).splitlines()]
    return [f"{_MARKS[check.result]} {check.description}", *said]
