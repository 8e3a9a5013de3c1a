"""Reports: complete, readable by the programs they are meant for, and inert whatever the cluster said."""

import csv as comma_separated
import io
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import yaml

from steward.conformance.reports import Form, RunReport, csv, html, junit, markdown, sonobuoy, written
from steward.conformance.reports.document import confidence
from steward.conformance.results import Actors, Verdict
from tests.common.conformance.specimens import HOSTILE, feature, result, run


class Outline(HTMLParser):
    """Which elements a page has, and whether all are closed."""

    VOID = frozenset({"meta", "br", "rect", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID or (tag == "rect" and not self.get_starttag_text().endswith("/>")):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_is_whole_and_needs_nothing_from_elsewhere() -> None:
    page = outline(html(run()))
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "link", "img", "iframe", "object"}
    assert not [attrs for _, attrs in page.seen if any(key.startswith("on") for key in attrs)]
    assert all((attrs["href"] or "").startswith("#") for tag, attrs in page.seen if tag == "a")


def test_what_the_cluster_said_stays_text_on_the_page() -> None:
    words = "".join(outline(html(run())).words)
    assert '<script>alert("x")</script>' in words


def test_the_page_says_what_is_broken_why_and_what_to_do() -> None:
    words = "".join(outline(html(run())).words)
    for said in (
        "authz.meshtls",
        "POLICY_DENY",
        "inbound_http_authz_deny_total grew by 20",
        "add an AuthorizationPolicy",
        "kubectl -n steward-probes-x get servers",
        "all failures are on node-2",
        "no agent answered",
    ):
        assert said in words


def test_the_matrix_has_a_column_for_each_node_of_a_client() -> None:
    page = html(run())
    assert [f"<span>{node}</span>" in page for node in ("node-0", "node-1", "node-2")] == [True] * 3


def test_what_is_tried_on_many_nodes_is_in_the_column_of_each_that_fails_and_is_told_to_be_there() -> None:
    actors = Actors(client_pod="cm-1", client_node="node-0", client_nodes=("node-2", "node-3"))
    broken = result("inj.every-node", Verdict.FAILED, actors=actors)
    page = html(RunReport(run="nodes", features=(feature("inj.every-node", broken),)))
    assert [f"<span>node-{number}</span>" in page for number in range(4)] == [False, False, True, True]
    assert "on node-2, node-3." in "".join(outline(page).words)


def test_the_history_has_a_bar_for_each_result_up_to_sixty() -> None:
    many = feature("cp.ready", *(result("cp.ready", Verdict.PASSED, cycle=each) for each in range(90)))
    page = html(RunReport(run="long", features=(many,)))
    assert page.count("<rect") == 60


def test_a_run_that_has_only_begun_is_a_page_too() -> None:
    outline(html(RunReport(run="fresh")))


def test_junit_tells_failures_errors_and_skips_apart() -> None:
    root = ElementTree.fromstring(junit(run()))
    counts = {suite.get("name"): (suite.get("failures"), suite.get("errors"), suite.get("skipped")) for suite in root}
    assert counts["authz"] == ("1", "0", "0")
    assert counts["egress"] == ("0", "1", "0")
    assert counts["retry"] == ("0", "0", "1")
    failure = root.find(".//failure")
    assert failure is not None
    assert "POLICY_DENY" in (failure.text or "")


def test_sonobuoy_reads_a_tree_with_the_worst_status_above() -> None:
    tree = yaml.safe_load(sonobuoy(run()))
    assert tree["status"] == "failed"
    groups = {group["name"]: group["status"] for group in tree["items"]}
    assert groups == {
        "cp": "passed",
        "mtls": "passed",
        "authz": "failed",
        "retry": "skipped",
        "egress": "unknown",
        "ip": "skipped",
        "cb": "skipped",
    }


def test_markdown_escapes_what_would_be_markup() -> None:
    text = markdown(run())
    assert "<script>" not in text
    assert "| `cb.unified` |" in text
    assert all(line.count("|") - line.count("\\|") == 5 for line in text.splitlines() if line.startswith("| `"))


def test_a_spreadsheet_gets_a_line_for_each_result_and_no_formula() -> None:
    hostile = feature("cp.ready", result("cp.ready", Verdict.FAILED, message="=SUM(A1)"))
    lines = list(comma_separated.reader(io.StringIO(csv(RunReport(run="x", features=(hostile, *run().features))))))
    assert len(lines) == 1 + 1 + sum(len(each.results) for each in run().features)
    assert lines[1][-1] == "'=SUM(A1)"


def test_json_comes_back_as_the_same_report() -> None:
    report = run()
    assert RunReport.model_validate(json.loads(written(report, Form.JSON))) == report


@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.value)
def test_every_form_names_every_feature(form: Form) -> None:
    text = written(run(), form).decode()
    assert [each.feature for each in run().features if each.feature not in text] == []
    assert HOSTILE not in text or form in (Form.CSV,)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (288, "288 clean results: excludes no more than a failure rate above 1.3 %"),
        (8640, "8640 clean results: excludes no more than a failure rate above 0.044 %"),
    ],
)
def test_clean_results_prove_no_more_than_they_can(results: int, said: str) -> None:
    clean = result("cp.ready", Verdict.PASSED)
    assert confidence(feature("cp.ready", *[clean] * results)) == said


def test_what_was_not_judged_proves_nothing() -> None:
    assert confidence(feature("ip.v6", result("ip.v6", Verdict.NOT_APPLICABLE))) == "nothing was judged"
