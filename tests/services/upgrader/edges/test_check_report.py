"""`linkerd check -o json` is read as it really is: a stream of documents, and never taken for more than it says."""

import json
from pathlib import Path

import pytest

from services.upgrader.core.observations import CheckResult
from services.upgrader.edges.check_report import UnreadableReport, parse_report

_HEALTHY = '{"success": true, "categories": []}'


def test_every_recorded_report_is_read(recordings: Path) -> None:
    folders = ("check", "check-pre", "helm", "extension", "step219")
    reports = [
        path
        for folder in folders
        for path in sorted((recordings / folder).glob("*.json"))
        if '"categories"' in path.read_text()
    ]
    assert len(reports) > 50
    for path in reports:
        said = path.read_text()
        documents = parse_report(said)
        assert sum(len(each.checks) for each in documents) == said.count('"result":'), path.name
        assert len(documents) == said.count('"success":'), path.name


@pytest.mark.parametrize(
    ("file", "documents"), [("check-ok.json", 2), ("check-missing-executable.json", 3), ("check-never.json", 1)]
)
def test_extensions_write_documents_of_their_own(recordings: Path, file: str, documents: int) -> None:
    assert len(parse_report((recordings / "extension" / file).read_text())) == documents


def test_an_error_keeps_its_reason_and_hint(recordings: Path) -> None:
    (report,) = parse_report((recordings / "check" / "certs-issuer-expired.json").read_text())
    assert report.success is False
    (error,) = [check for check in report.checks if check.result is CheckResult.ERROR]
    assert error.category == "linkerd-identity"
    assert "not valid anymore" in error.error
    assert error.hint.startswith("https://")


def test_warnings_are_no_errors(recordings: Path) -> None:
    (report,) = parse_report((recordings / "check" / "version-skew-newer-cli.json").read_text())
    assert report.success
    assert {check.result for check in report.checks} == {CheckResult.SUCCESS, CheckResult.WARNING}


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("", "wrote nothing"),
        (" \n", "wrote nothing"),
        ("Error: cannot connect", "document 1 of its output is no JSON"),
        (_HEALTHY + "panic: runtime error", "document 2 of its output is no JSON"),
        (_HEALTHY + "[]", "document 2 of its output is no report"),
        ('{"categories": []}', "no `success`"),
        ('{"success": "yes", "categories": []}', "no `success`"),
        ("[" * 100_000, "no JSON"),
        (_HEALTHY * 65, "more than 64 documents"),
        (
            json.dumps(
                {
                    "success": True,
                    "categories": [{"categoryName": "c", "checks": [{"description": "d", "result": "skipped"}]}],
                }
            ),
            "unknown result 'skipped'",
        ),
    ],
)
def test_what_is_no_report_is_refused(said: str, complaint: str) -> None:
    with pytest.raises(UnreadableReport, match=complaint):
        parse_report(said)
