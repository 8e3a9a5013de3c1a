"""The list of releases and the Helm index: what cannot be read is left out and named."""

import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.version_watcher.core.helm_index import HelmIndex, read_index
from services.version_watcher.core.notes import Notes, read_notes
from services.version_watcher.core.reading import Nothing, Read
from steward.events.versions import Recommendation
from tests.services.version_watcher.upstream import release

HEX = "0123456789abcdef" * 4


def notes(*rows: object) -> Read[Notes]:
    found = read_notes(json.dumps(rows).encode())
    assert isinstance(found, Read)
    return found


def index(**entries: object) -> Read[HelmIndex]:
    found = read_index(yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode())
    assert isinstance(found, Read)
    return found


def chart(version: str, **more: object) -> dict[str, object]:
    return {"version": version, "digest": HEX, "kubeVersion": ">=1.31.0-0", "created": "2026-08-21T12:00:00Z", **more}


def test_a_release_is_read_with_its_advice_and_the_digests_of_its_cli() -> None:
    (note,) = notes(
        release("edge-25.10.4", "This release is not recommended. Use edge-25.10.7 instead.")
    ).value.releases
    assert str(note.version) == "edge-25.10.4"
    assert note.published_at == datetime(2026, 8, 21, 10, tzinfo=UTC)
    assert note.advice.recommendation is Recommendation.NOT_RECOMMENDED
    assert list(note.digests) == ["linkerd-linux-amd64"]


def test_drafts_are_no_releases_and_strange_tags_are_named() -> None:
    found = notes(release("edge-26.8.3"), release("edge-26.9.9", draft=True), release("nightly"), "text", 7)
    assert [str(each.version) for each in found.value.releases] == ["edge-26.8.3"]
    assert [each.reason for each in found.problems] == ["UnknownFormat"]


def test_an_address_that_is_not_of_the_web_is_left_out() -> None:
    (note,) = notes(release("edge-26.8.3", html_url="javascript:alert(1)")).value.releases
    assert note.url == ""


def test_a_digest_in_another_form_is_left_out() -> None:
    asset = {"name": "linkerd2-cli-edge-26.8.3-linux-amd64", "digest": "md5:1"}
    (note,) = notes(release("edge-26.8.3", assets=[asset])).value.releases
    assert note.digests == {}


def test_the_refusal_of_the_api_is_handed_on() -> None:
    found = read_notes(b'{"message": "API rate limit exceeded"}')
    assert isinstance(found, Nothing)
    assert "rate limit" in found.message


def test_charts_of_one_release_are_put_together() -> None:
    found = index(**{"linkerd-control-plane": [chart("2026.8.3")], "linkerd-crds": [chart("2026.8.3")]})
    (one,) = found.value.releases
    assert (str(one.version), one.chart, one.kubernetes_minimum) == ("edge-26.8.3", "2026.8.3", "1.31")
    assert one.digests == {"linkerd-control-plane": f"sha256:{HEX}", "linkerd-crds": f"sha256:{HEX}"}
    assert one.created == datetime(2026, 8, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("range_", "minimum"),
    [
        (">=1.31.0-0", "1.31"),
        (">= 1.22.0", "1.22"),
        (">=1.23.4-0", "1.23.4"),
        ("1.31", ""),
        (">=1.31 <2", ""),
        ("", ""),
    ],
)
def test_the_oldest_kubernetes_is_read_from_a_plain_bound_only(range_: str, minimum: str) -> None:
    (one,) = index(**{"linkerd-control-plane": [chart("2026.8.3", kubeVersion=range_)]}).value.releases
    assert one.kubernetes_minimum == minimum


def test_charts_from_before_the_common_numbers_are_no_problem() -> None:
    found = index(
        **{"linkerd-control-plane": [chart("1.16.11"), chart("2026.8.3")], "linkerd-viz": [chart("30.12.11")]}
    )
    assert len(found.value.releases) == 1
    assert found.problems == ()


def test_a_chart_without_a_digest_is_named() -> None:
    found = index(**{"linkerd-control-plane": [chart("2026.8.3", digest="none")]})
    assert [each.reason for each in found.problems] == ["NoDigest"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "EmptyAnswer"),
        (b"<!doctype html>", "HtmlAnswer"),
        (b"{", "NotYaml"),
        (b"[" * 100_000, "NotYaml"),
        (b"just text", "NoEntries"),
        (b"entries: {}", "NoEntries"),
        (b"entries: {nginx: [{version: 1.0.0}]}", "NoCharts"),
        (b"a: !!python/object/apply:os.system [ls]", "NotYaml"),
    ],
)
def test_what_is_no_index_says_why(body: bytes, reason: str) -> None:
    found = read_index(body)
    assert isinstance(found, Nothing)
    assert found.reason == reason


def test_a_laughing_index_costs_nothing() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20)
    )
    assert isinstance(read_index(bomb.encode()), Nothing)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_are_a_crash(body: bytes) -> None:
    assert isinstance(read_notes(body), Read | Nothing)
    assert isinstance(read_index(body), Read | Nothing)
