"""A conformance run as a document: one value, and the forms in which people and programs want it. Pure, without I/O."""

from collections.abc import Callable
from enum import StrEnum

from steward.conformance.reports.document import RunReport
from steward.conformance.reports.html import html
from steward.conformance.reports.junit import junit
from steward.conformance.reports.markdown import markdown
from steward.conformance.reports.sonobuoy import sonobuoy
from steward.conformance.reports.table import csv


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "md"
    CSV = "csv"
    SONOBUOY = "sonobuoy"


_WRITERS: dict[Form, Callable[[RunReport], str]] = {
    Form.HTML: html,
    Form.JSON: lambda report: report.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n",
    Form.JUNIT: junit,
    Form.MARKDOWN: markdown,
    Form.CSV: csv,
    Form.SONOBUOY: sonobuoy,
}


def written(report: RunReport, form: Form) -> bytes:
    """The report in that form, UTF-8."""
    return _WRITERS[form](report).encode()


__all__ = ["Form", "RunReport", "csv", "html", "junit", "markdown", "sonobuoy", "written"]
