"""Runs, previews, plans and releases as people see them: whole texts, without colour, a hundred columns wide."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from steward.cli.exit_codes import ExitCode
from steward.cli.output import rendered
from steward.cli.plans import plan_report, plan_table
from steward.cli.preview import preview_report
from steward.cli.releases import catalog_report
from steward.cli.run_stream import Sight
from steward.cli.run_view import run_report, run_table, verdict
from steward.cli.watch import happenings, live_report
from steward.jsonvalue import JsonObject
from steward.resources import ReleaseCatalog, UpgradePlan, UpgradeRun

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Document = Callable[[str], JsonObject]
Golden = Callable[[str, str], None]
RUNS = ("running", "paused", "succeeded", "aborted", "refused", "new", "preview")


@pytest.mark.parametrize("state", RUNS)
def test_a_run_is_shown_whole(document: Document, golden: Golden, state: str) -> None:
    golden(f"run-{state}", rendered(run_report(UpgradeRun.of(document(f"run-{state}")), NOW)))


def test_runs_are_listed(document: Document, golden: Golden) -> None:
    golden("runs", rendered(run_table([UpgradeRun.of(document(f"run-{state}")) for state in RUNS], NOW)))


def test_a_narrow_terminal_loses_no_word(document: Document) -> None:
    wide = rendered(run_report(UpgradeRun.of(document("run-running")), NOW), width=200)
    narrow = rendered(run_report(UpgradeRun.of(document("run-running")), NOW), width=60)
    assert sorted("".join(wide.split())) == sorted("".join(narrow.split()))


def test_a_preview_says_what_would_be_done(document: Document, golden: Golden) -> None:
    golden("preview", rendered(preview_report(UpgradeRun.of(document("run-preview")), NOW)))


def test_a_preview_without_workloads_says_how_to_ask_for_proxies(document: Document) -> None:
    raw = document("run-preview")
    status = raw["status"]
    assert isinstance(status, dict)
    del status["workloads"]
    assert "steward.linkerd.io/proxy-upgrade=Auto" in rendered(preview_report(UpgradeRun.of(raw), NOW), width=200)


def test_a_plan_is_shown_whole(document: Document, golden: Golden) -> None:
    plan = UpgradePlan.of(document("plan"))
    golden("plan", rendered(plan_table([plan])) + "\n" + rendered(plan_report(plan)))


def test_the_releases_that_matter_are_shown(document: Document, golden: Golden) -> None:
    status = ReleaseCatalog.of(document("catalog")).status
    assert status is not None
    golden("releases", rendered(catalog_report(status, NOW)))
    assert "edge-25.10.7  2.18" not in rendered(catalog_report(status, NOW))
    assert "edge-25.10.7  2.18" in rendered(catalog_report(status, NOW, every=True))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("running", ExitCode.OK),
        ("paused", ExitCode.NEEDS_ATTENTION),
        ("succeeded", ExitCode.OK),
        ("aborted", ExitCode.FAILED),
        ("refused", ExitCode.NEEDS_ATTENTION),
        ("new", ExitCode.OK),
        ("preview", ExitCode.OK),
    ],
)
def test_the_exit_code_says_how_the_run_stands(document: Document, state: str, code: ExitCode) -> None:
    assert verdict(UpgradeRun.of(document(f"run-{state}"))) is code


def test_what_happened_between_two_sights_is_told_once(document: Document, golden: Golden) -> None:
    new, running = UpgradeRun.of(document("run-new")), UpgradeRun.of(document("run-running"))
    paused, done = UpgradeRun.of(document("run-paused")), UpgradeRun.of(document("run-succeeded"))
    told = [happenings(None, new, NOW), happenings(new, running, NOW), happenings(running, running, NOW)]
    told += [happenings(running, paused, NOW), happenings(paused, done, NOW)]
    golden("watch-lines", "".join("".join(f"{line}\n" for line in lines) + "--\n" for lines in told))


def test_the_live_picture_says_when_the_api_server_is_silent(document: Document) -> None:
    run = UpgradeRun.of(document("run-running"))
    picture = rendered(live_report(Sight(run, "the API server does not answer, trying again: EOF"), NOW))
    assert picture.startswith(rendered(run_report(run, NOW)))
    assert picture.endswith("\nthe API server does not answer, trying again: EOF\n")


def test_what_others_wrote_steers_no_terminal(document: Document) -> None:
    raw = document("run-refused")
    status = raw["status"]
    assert isinstance(status, dict)
    status["conditions"] = [
        {
            "type": "Planned",
            "status": "False",
            "reason": "Evil",
            "message": "\x1b[2J\x1b]0;owned\x07[red]red[/red]",
            "lastTransitionTime": "2026-11-21T11:55:00Z",
        }
    ]
    shown = rendered(run_report(UpgradeRun.of(raw), NOW))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]red[/red]" in shown
