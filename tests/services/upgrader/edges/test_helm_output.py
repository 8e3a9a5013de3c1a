"""What helm prints is read as it really prints it."""

import json
from pathlib import Path

import pytest

from services.upgrader.edges.helm import Release, Revision, parse_history, split_chart, was_cut_off
from services.upgrader.edges.helm_storage import RevisionRef, Stamp
from steward.jsonvalue import Json, rows, text


def _recorded(recordings: Path, name: str) -> Json:
    parsed: Json = json.loads((recordings / "helm" / name).read_text())
    return parsed


def test_a_recorded_history_is_read_oldest_first(recordings: Path) -> None:
    history = parse_history(_recorded(recordings, "history-after-failure.json"))
    assert [(each.number, each.status) for each in history] == [
        (1, "superseded"),
        (2, "superseded"),
        (3, "superseded"),
        (4, "superseded"),
        (5, "failed"),
        (6, "deployed"),
    ]
    assert history[4].description == 'Upgrade "linkerd-control-plane" failed: context deadline exceeded'
    assert (history[5].chart_version, history[5].app_version) == ("2026.8.3", "edge-26.8.3")


def test_a_revision_is_a_number_in_a_history_and_a_string_in_a_list(recordings: Path) -> None:
    (listed, _) = rows(_recorded(recordings, "list.json"))
    assert listed["revision"] == "4"
    assert parse_history([listed])[0].number == 4
    assert parse_history(_recorded(recordings, "history.json"))[-1].number == 4


def test_charts_are_told_from_their_versions(recordings: Path) -> None:
    charts = [split_chart(text(row, "chart")) for row in rows(_recorded(recordings, "list.json"))]
    assert charts == [("linkerd-control-plane", "2026.8.3"), ("linkerd-crds", "2026.8.3")]


@pytest.mark.parametrize(
    ("printed", "name", "version"),
    [
        ("linkerd-crds-0.0.0-undefined", "linkerd-crds", "0.0.0-undefined"),
        ("linkerd-crds-1.8.0", "linkerd-crds", "1.8.0"),
        ("linkerd2-cni-30.12.2", "linkerd2-cni", "30.12.2"),
        ("cert-manager-v1.16.1", "cert-manager", "v1.16.1"),
        ("linkerd-control-plane-1.18.10-edge", "linkerd-control-plane", "1.18.10-edge"),
        ("odd", "odd", ""),
    ],
)
def test_a_chart_is_one_word_of_name_and_version(printed: str, name: str, version: str) -> None:
    assert split_chart(printed) == (name, version)


def test_the_deployed_revision_need_not_be_the_latest() -> None:
    release = Release(
        "linkerd", "mesh", "linkerd-control-plane", (_revision(1, "deployed"), _revision(2, "pending-upgrade"))
    )
    assert (release.latest.number, release.latest.pending) == (2, True)
    assert release.deployed == release.history[0]
    assert release.ref(release.latest).secret == "sh.helm.release.v1.linkerd.v2"


def test_nothing_may_be_deployed_at_all() -> None:
    history = (_revision(1, "superseded"), _revision(2, "pending-upgrade"))
    assert Release("linkerd", "mesh", "linkerd-control-plane", history).deployed is None


@pytest.mark.parametrize("stamp", [Stamp("0123456789abcdef", 7), Stamp("0123456789abcdef", 7, undoes=True)])
def test_a_stamp_is_a_label_and_reads_back(stamp: Stamp) -> None:
    assert Stamp.parse(str(stamp)) == stamp
    assert len(str(stamp)) <= 63


@pytest.mark.parametrize("value", ["", "abc", "abc.", ".7", "abc.7.more", "a b.7", "abc.-7"])
def test_what_is_no_stamp_is_none(value: str) -> None:
    assert Stamp.parse(value) is None


@pytest.mark.parametrize(
    ("said", "cut_off"),
    [
        ('Upgrade "x" failed: context canceled', True),
        ('Upgrade "x" failed: Patch "https://10.96.0.1": dial tcp: connect: connection refused', True),
        ('Upgrade "x" failed: context deadline exceeded', False),
        ('Upgrade "x" failed: cannot patch "linkerd-identity": field is immutable', False),
    ],
)
def test_a_bad_moment_of_the_cluster_is_not_a_failure_of_the_chart(said: str, cut_off: bool) -> None:
    assert was_cut_off(said) is cut_off


def test_a_revision_names_itself_for_people() -> None:
    assert str(RevisionRef("linkerd", "crds", 3)) == "revision 3 of Helm release 'linkerd/crds'"


def _revision(number: int, status: str) -> Revision:
    return Revision(number, status, "2026.6.3", "edge-26.6.3", "")
