"""Upgrades that act, and features that are confirmed broken, as their runs say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.core.exported.progress import (
    ConformanceSeen,
    conformance_seen,
    failed_features,
    upgrade_seen,
    upgrades_in_progress,
)
from services.alerting.core.exported.samples import Sample
from steward.conformance.catalogue import catalogue
from steward.conformance.results import State
from steward.jsonvalue import Json, JsonObject

BEGUN = "2026-08-22T10:00:00Z"
SECURE = next(each.feature for each in catalogue().features if each.security)
PLAIN = next(each.feature for each in catalogue().features if not each.security)


def upgrade(progressing: str = "True", *, begun: str = BEGUN, ended: str = "", dry_run: str = "None") -> JsonObject:
    status: JsonObject = {"conditions": [{"type": "Progressing", "status": progressing}]}
    if begun:
        status["startedAt"] = begun
    if ended:
        status["finishedAt"] = ended
    return {"metadata": {"name": "edge-26-8-3"}, "spec": {"dryRun": dry_run}, "status": status}


def conformance(name: str, **features: tuple[State, int]) -> ConformanceSeen:
    lines: list[Json] = [
        {"feature": feature.replace("__", "."), "state": state.value, "at": f"2026-08-22T10:{minute:02}:00Z"}
        for feature, (state, minute) in features.items()
    ]
    return conformance_seen({"metadata": {"name": name}, "status": {"features": lines}})


def test_a_run_that_acts_is_in_progress() -> None:
    assert upgrades_in_progress([upgrade_seen(upgrade())]) == (Sample(("edge-26-8-3",), 1.0),)


@pytest.mark.parametrize(
    "run",
    [
        upgrade("False"),
        upgrade("Unknown"),
        upgrade(begun=""),
        upgrade(ended=BEGUN),
        upgrade(dry_run="Preview"),
        {"metadata": {"name": "new"}, "spec": {}},
        {"metadata": {"name": "odd"}, "status": {"conditions": "none"}},
        {},
    ],
    ids=["paused", "unknown", "waits for its first step", "over", "preview", "new", "odd", "nothing"],
)
def test_a_run_that_changes_nothing_at_present_is_not_in_progress(run: JsonObject) -> None:
    assert upgrades_in_progress([upgrade_seen(run)]) == ()


def test_a_confirmed_failure_is_shown_with_what_it_means() -> None:
    run = conformance_seen(
        {
            "metadata": {"name": "nightly"},
            "status": {
                "features": [
                    {"feature": SECURE, "state": "Failing", "at": BEGUN},
                    {"feature": PLAIN, "state": "Failing", "at": BEGUN},
                    {"feature": "new.feature", "state": "Failing", "at": BEGUN},
                ]
            },
        }
    )
    expected = {(SECURE, "true"), (PLAIN, "false"), ("new.feature", "false")}
    assert {each.labels for each in failed_features([run])} == expected
    assert {each.value for each in failed_features([run])} == {1.0}


@pytest.mark.parametrize("state", [each for each in State if each is not State.FAILING])
def test_what_is_not_confirmed_is_no_failure(state: State) -> None:
    assert failed_features([conformance("nightly", mtls__identity=(state, 0))]) == ()


@pytest.mark.parametrize("state", [State.HEALTHY, State.SUSPECT, State.FLAKY, State.QUARANTINED])
def test_a_newer_run_that_knows_better_ends_it(state: State) -> None:
    runs = [conformance("new", a__b=(state, 5)), conformance("old", a__b=(State.FAILING, 1))]
    assert failed_features(runs) == ()
    assert failed_features(reversed(runs)) == ()


@pytest.mark.parametrize("state", [State.UNKNOWN, State.STALE])
def test_a_newer_run_that_knows_nothing_ends_nothing(state: State) -> None:
    runs = [conformance("old", a__b=(State.FAILING, 1)), conformance("new", a__b=(state, 5))]
    assert [each.labels for each in failed_features(runs)] == [("a.b", "false")]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"feature": "a.b"},
        {"feature": "a.b", "state": "Failing"},
        {"feature": "a.b", "state": "Failing", "at": "yesterday"},
        {"feature": "a.b", "state": "Broken", "at": BEGUN},
        {"feature": 7, "state": "Failing", "at": BEGUN},
        "text",
    ],
)
def test_a_line_that_cannot_be_read_says_nothing(line: Json) -> None:
    assert conformance_seen({"status": {"features": [line]}}).features == ()


@given(
    st.lists(st.tuples(st.sampled_from(["a__b", "c__d"]), st.sampled_from(list(State)), st.integers(0, 3)), max_size=8)
)
def test_the_order_in_which_runs_are_seen_changes_nothing(lines: list[tuple[str, State, int]]) -> None:
    runs = [conformance(f"run-{number}", **{name: (state, at)}) for number, (name, state, at) in enumerate(lines)]
    assert failed_features(runs) == failed_features(reversed(runs)) == failed_features(sorted(runs, key=str))


def test_a_run_moved_when_anything_in_its_status_was_last_dated() -> None:
    run = upgrade()
    status: JsonObject = {
        "startedAt": BEGUN,
        "steps": [
            {
                "updatedAt": "2026-08-22T10:05:00Z",
                "finishedAt": "not yet",
                "evidence": [{"observedAt": "2026-08-22T10:20:00Z"}],
            }
        ],
        "transitions": [{"time": "2026-08-22T10:10:00Z"}],
        "conditions": [{"type": "Progressing", "lastTransitionTime": BEGUN}],
    }
    moved = upgrade_seen({**run, "status": status}).moved
    assert moved is not None
    assert moved.isoformat() == "2026-08-22T10:20:00+00:00"
    assert upgrade_seen({}).moved is None
