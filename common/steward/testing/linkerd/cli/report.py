"""Results of checks and how they are printed: JSON documents, the table, and the short form."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from steward.jsonvalue import Json, JsonObject, rows, text

HINTS = "https://linkerd.io/2/checks/#"


class Outcome(StrEnum):
    """How one check ended."""

    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


_MARKS = {Outcome.SUCCESS: "√", Outcome.WARNING: "‼", Outcome.ERROR: "\N{MULTIPLICATION SIGN}"}


@dataclass(frozen=True, slots=True)
class Result:
    """One check that ran."""

    description: str
    outcome: Outcome = Outcome.SUCCESS
    hint: str = ""
    error: str = ""

    @property
    def json(self) -> JsonObject:
        """As `-o json` writes it; only a failure has a hint."""
        shown: JsonObject = {"description": self.description}
        if self.error:
            shown |= {"hint": self.hint, "error": self.error}
        return shown | {"result": self.outcome.value}


@dataclass(frozen=True, slots=True)
class Category:
    """Checks that belong together."""

    name: str
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of checks found; an extension's is another one."""

    categories: tuple[Category, ...]

    @property
    def success(self) -> bool:
        """Whether nothing failed; warnings do not count."""
        return all(result.outcome is not Outcome.ERROR for one in self.categories for result in one.results)

    @property
    def json(self) -> str:
        """One JSON document."""
        categories: list[Json] = [
            {"categoryName": one.name, "checks": [result.json for result in one.results]} for one in self.categories
        ]
        return json.dumps({"success": self.success, "categories": categories}, indent=2, ensure_ascii=False) + "\n"

    def lines(self, *, only_problems: bool) -> list[str]:
        """Blocks of the table, one for each category that has something to show."""
        blocks = []
        for category in self.categories:
            shown = [one for one in category.results if not (only_problems and one.outcome is Outcome.SUCCESS)]
            if shown:
                title = f"{category.name}\n{'-' * len(category.name)}\n"
                blocks.append(title + "".join(_row(one) for one in shown))
        return blocks

    @classmethod
    def parse(cls, document: JsonObject) -> "Report":
        """The report in an extension's answer: an entry counts as failed only where it says why."""
        return cls(tuple(_category(one) for one in rows(document, "categories")))


def printed(reports: Sequence[Report], form: str) -> str:
    """Everything that `linkerd check` writes to standard output."""
    if form == "json":
        return "".join(report.json for report in reports)
    blocks = [block for report in reports for block in report.lines(only_problems=form == "short")]
    mark = _MARKS[Outcome.SUCCESS if all(report.success for report in reports) else Outcome.ERROR]
    return "".join(f"{block}\n" for block in blocks) + f"Status check results are {mark}\n"


def _row(result: Result) -> str:
    row = f"{_MARKS[result.outcome]} {result.description}\n"
    if result.error:
        row += f"    {result.error}\n"
        if result.hint:
            row += f"    see {result.hint} for hints\n"
    return row


def _category(document: JsonObject) -> Category:
    results = []
    for check in rows(document, "checks"):
        error = text(check, "error")
        warned = text(check, "result") == Outcome.WARNING.value
        outcome = (Outcome.WARNING if warned else Outcome.ERROR) if error else Outcome.SUCCESS
        results.append(Result(text(check, "description"), outcome, text(check, "hint"), error))
    return Category(text(document, "categoryName"), tuple(results))
