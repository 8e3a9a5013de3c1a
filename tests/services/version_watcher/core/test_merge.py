"""Shipped < upstream < people; silence never wins."""

import pytest

from services.version_watcher.core.advice import Advice
from services.version_watcher.core.helm_index import ChartRelease, HelmIndex
from services.version_watcher.core.merge import Relevant, Upstream, merge, overlay
from services.version_watcher.core.notes import Notes, ReleaseNote
from steward.events.versions import Recommendation
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.resources.release_catalog import Bounds, ReleaseEntry

YES, NO = Recommendation.RECOMMENDED, Recommendation.NOT_RECOMMENDED
OLD, NEW = Version.parse("edge-25.10.4"), Version.parse("edge-26.8.3")
SHA = "sha256:" + "a" * 64


def entries(
    upstream: Upstream | None = None, *written: ReleaseEntry, running: Version = OLD
) -> dict[str, ReleaseEntry]:
    found = merge(shipped(), upstream or Upstream(), written, Relevant(("edge",), (running,), (NEW,)))
    return {each.version: each for each in found}


def note(version: Version, recommendation: Recommendation = Recommendation.UNKNOWN, reason: str = "") -> ReleaseNote:
    return ReleaseNote(version, None, "", Advice(recommendation, reason), {})


def test_what_is_shipped_is_known_without_any_source() -> None:
    known = entries()
    assert known["edge-25.10.4"].recommendation is NO
    assert known["edge-25.10.4"].superseded_by == "edge-25.10.7"
    assert known["edge-26.8.3"].kubernetes == Bounds(min="1.31")


def test_a_note_wins_over_what_is_shipped() -> None:
    known = entries(Upstream(Notes((note(OLD, YES, "It is fine after all."),))))
    assert (known["edge-25.10.4"].recommendation, known["edge-25.10.4"].superseded_by) == (YES, None)


def test_a_note_that_says_nothing_is_no_retraction() -> None:
    assert entries(Upstream(Notes((note(OLD),))))["edge-25.10.4"].recommendation is NO


def test_people_win_over_everybody() -> None:
    mine = ReleaseEntry(version="edge-26.8.3", recommendation=NO, reason="Not here.")
    known = entries(Upstream(Notes((note(NEW, YES, "Good."),))), mine)
    assert (known["edge-26.8.3"].recommendation, known["edge-26.8.3"].reason) == (NO, "Not here.")
    assert known["edge-26.8.3"].chart_version == "2026.8.3", "what people do not say stays"


def test_the_index_adds_charts_bounds_and_digests() -> None:
    index = HelmIndex((ChartRelease(NEW, "2026.8.3", "1.32", None, {"linkerd-crds": SHA}),))
    entry = entries(Upstream(index=index))["edge-26.8.3"]
    assert (entry.kubernetes, entry.digests) == (Bounds(min="1.32"), {"linkerd-crds": SHA})


def test_what_an_earlier_process_knew_stands_in_for_a_silent_source() -> None:
    remembered = ReleaseEntry(version="edge-26.7.1", recommendation=NO, reason="Broken.")
    assert entries(Upstream(remembered=(remembered,)))["edge-26.7.1"].recommendation is NO


def test_only_what_can_matter_is_listed_newest_first() -> None:
    versions = [Version.parse(each) for each in entries(running=Version.parse("edge-26.6.3"))]
    assert min(versions) == Version.parse("edge-26.6.3")
    assert versions == sorted(versions, reverse=True)


def test_a_release_that_people_wrote_is_always_listed() -> None:
    known = entries(None, ReleaseEntry(version="edge-24.3.3"), running=Version.parse("edge-26.6.3"))
    assert "edge-24.3.3" in known


def test_a_running_release_of_another_channel_is_listed() -> None:
    known = entries(running=Version.parse("enterprise-2.19.1"))
    assert known["enterprise-2.19.1"].logical_version == "2.19"


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        (ReleaseEntry(version="edge-26.8.3"), ("Bad.", "edge-26.9.1")),
        (ReleaseEntry(version="edge-26.8.3", recommendation=YES), (None, None)),
        (ReleaseEntry(version="edge-26.8.3", recommendation=NO, reason="Worse."), ("Worse.", None)),
    ],
)
def test_advice_is_one_statement_whose_parts_are_never_mixed(
    above: ReleaseEntry, expected: tuple[str | None, str | None]
) -> None:
    below = ReleaseEntry(version="edge-26.8.3", recommendation=NO, reason="Bad.", superseded_by="edge-26.9.1")
    merged = overlay(below, above)
    assert (merged.reason, merged.superseded_by) == expected
