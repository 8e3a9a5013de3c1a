"""What `linkerd check -o json` writes: one JSON document of its own and one more for each extension, end to end.

A document is only believed where it has the shape of one. Absence is not success: a fatal check ends the report, and
whoever judges it must miss what did not come.
"""

import json

from services.upgrader.core.observations import Check, CheckDocument, CheckResult
from services.upgrader.edges.redaction import redact
from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, flag, rows, text

_MOST_DOCUMENTS = 64
_LONGEST_ERROR = 2000


class UnreadableReport(ToolError):
    """What came is not what `linkerd check -o json` writes."""


def parse_report(output: str) -> tuple[CheckDocument, ...]:
    """Every document, in order. Raise UnreadableReport where there is none, or anything else between them."""
    decoder = json.JSONDecoder()
    documents: list[CheckDocument] = []
    at = _skip_space(output, 0)
    while at < len(output):
        try:
            parsed: Json
            parsed, end = decoder.raw_decode(output, at)
        except (ValueError, RecursionError) as error:
            raise UnreadableReport(f"document {len(documents) + 1} of its output is no JSON: {error}") from None
        documents.append(_document(parsed, len(documents) + 1))
        if len(documents) > _MOST_DOCUMENTS:
            raise UnreadableReport(f"it wrote more than {_MOST_DOCUMENTS} documents")
        at = _skip_space(output, end)
    if not documents:
        raise UnreadableReport("it wrote nothing to standard output")
    return tuple(documents)


def _skip_space(output: str, at: int) -> int:
    while at < len(output) and output[at].isspace():
        at += 1
    return at


def _document(parsed: Json, number: int) -> CheckDocument:
    if not isinstance(parsed, dict) or not isinstance(parsed.get("success"), bool):
        raise UnreadableReport(f"document {number} of its output is no report: it has no `success`")
    categories = rows(parsed, "categories")
    checks = [
        _check(text(category, "categoryName"), row) for category in categories for row in rows(category, "checks")
    ]
    return CheckDocument(
        success=flag(parsed, "success"),
        categories=tuple(text(category, "categoryName") for category in categories),
        checks=tuple(checks),
    )


def _check(category: str, row: JsonObject) -> Check:
    said = text(row, "result")
    if said not in CheckResult.__members__.values():
        raise UnreadableReport(f"check {text(row, 'description')!r} of {category!r} has the unknown result {said!r}")
    return Check(
        category=category,
        description=text(row, "description"),
        result=CheckResult(said),
        error=redact(text(row, "error"))[:_LONGEST_ERROR],
        hint=text(row, "hint"),
    )
