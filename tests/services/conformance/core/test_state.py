"""States are a fold of results: order, repetition and delay change nothing; confirmation, flakes, quarantine, burn."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.conformance.core.marks import Mark, Spans
from services.conformance.core.objectives import burn, objective_of
from services.conformance.core.state import Asked, History, Sureness, wilson
from steward.conformance.results import Quarantine, State, Verdict
from steward.resources.conformance_suite import Objective

DAWN = datetime(2026, 6, 18, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

verdicts = st.sampled_from(list(Verdict))
marks = st.lists(
    st.builds(
        Mark,
        at=st.integers(0, 600).map(lambda minute: DAWN + minute * MINUTE),
        run_uid=st.sampled_from(["a", "b"]),
        cycle=st.integers(0, 60),
        verdict=verdicts,
    ),
    max_size=60,
)


def history(found: list[Mark], *, security: bool = False, kept: int = 1440) -> History:
    made = History("mtls.identity", Sureness(3, security), kept)
    for each in found:
        made.add(each)
    return made


def told(*names: str, security: bool = False) -> History:
    """One cycle a minute: P(assed), F(ailed), ~ flaky, ? inconclusive."""
    letters = {"P": Verdict.PASSED, "F": Verdict.FAILED, "~": Verdict.FLAKY, "?": Verdict.INCONCLUSIVE}
    cycles = [letters[each] for each in "".join(names)]
    return history([Mark(DAWN + n * MINUTE, "a", n, each) for n, each in enumerate(cycles)], security=security)


def asked(after: int = 60, **more: object) -> Asked:
    return Asked(now=DAWN + after * MINUTE, **more)  # type: ignore[arg-type] # given by tests


@given(marks, st.randoms(use_true_random=False))
def test_results_in_any_order_and_twice_over_give_the_same_state(found: list[Mark], chance) -> None:  # type: ignore[no-untyped-def] # hypothesis has no type for it
    shuffled = [*found, *found]
    chance.shuffle(shuffled)
    one, other = history(found), history(shuffled)
    assert one.state(asked()) == other.state(asked())
    assert one.course == other.course
    assert one.marks == other.marks


@given(marks)
def test_what_settled_counts_still_and_confirmed_states_do_not_move(found: list[Mark]) -> None:
    ordered = sorted({each.key: each for each in sorted(found, reverse=True)}.values())
    whole, settled = history(ordered), history(ordered, kept=5)
    assert settled.course == whole.course
    assert settled.state(asked()).valid == whole.state(asked()).valid
    assert not any(settled.add(each) for each in ordered)
    assert settled.course == whole.course


@given(marks)
def test_a_cycle_is_known_once_it_was_told(found: list[Mark]) -> None:
    made = history(found, kept=4)
    assert all(made.knows(each.run_uid, each.cycle) for each in found)


@given(st.lists(st.integers(0, 60)))
def test_spans_are_a_set(numbers: list[int]) -> None:
    spans = Spans()
    for number in numbers:
        spans.add(number)
    assert {number for number in range(-1, 62) if number in spans} == set(numbers)
    assert len(spans) == len(set(numbers))


def test_a_failure_is_confirmed_by_three_cycles_in_a_row() -> None:
    assert told("PPFF").state(asked()).state is State.SUSPECT
    failing = told("PPFFF")
    assert failing.state(asked()).state is State.FAILING
    assert failing.course.since == DAWN + 2 * MINUTE
    assert failing.course.confirmed_by is not None
    assert failing.course.confirmed_by.cycle == 4


def test_a_flaky_cycle_ends_a_streak_of_failures_and_is_no_recovery() -> None:
    assert told("FF~FF").state(asked()).state is not State.FAILING
    assert told("FFFPP~PP").course.failing
    assert not told("FFFPP~PPP").course.failing


def test_what_could_not_be_told_neither_confirms_nor_recovers() -> None:
    assert told("FF??F").course.failing
    assert told("FFFPP??").course.failing
    assert told("????").state(asked()).state is State.UNKNOWN


def test_a_security_feature_is_confirmed_to_fail_by_one_cycle_and_to_recover_by_three() -> None:
    assert told("PPF", security=True).state(asked()).state is State.FAILING
    assert told("PPFPP", security=True).course.failing
    assert not told("PPFPPP", security=True).course.failing


def test_a_feature_that_flips_is_flaky_and_one_that_flipped_long_ago_is_not() -> None:
    assert told("PPPP~PPPP~PPP").state(asked()).state is State.FLAKY
    assert told("~" + "P" * 40).state(asked()).state is State.HEALTHY
    assert told("P" * 40).state(asked()).state is State.HEALTHY


def test_a_quarantine_ends() -> None:
    quarantine = Quarantine(owner="me", reason="known", until=DAWN + 30 * MINUTE)
    assert told("FFF").state(asked(10, quarantine=quarantine)).state is State.QUARANTINED
    assert told("FFF").state(asked(40, quarantine=quarantine)).state is State.FAILING


def test_a_verdict_that_nobody_renews_is_stale() -> None:
    assert told("PPP").state(asked(10, stale_after=3 * MINUTE)).state is State.STALE
    assert told("PPP").state(asked(4, stale_after=3 * MINUTE)).state is State.HEALTHY


def test_silence_proves_only_so_much() -> None:
    assert round(wilson(0, 288)[1], 3) == 0.013
    assert round(wilson(0, 2016)[1], 4) == 0.0019
    assert wilson(0, 288)[0] == 0.0
    assert wilson(1, 288)[0] > 0


def test_burn_is_measured_over_its_window_and_coverage_over_what_was_tried() -> None:
    half = told("PF" * 30)
    assert round(burn(half.marks, DAWN + 60 * MINUTE, timedelta(hours=1), 0.999)) == 500
    assert burn(half.marks, DAWN + timedelta(hours=9), timedelta(hours=1), 0.999) == 0
    assert told("P???").state(asked()).coverage == 0.25


def test_the_most_exact_objective_wins() -> None:
    objectives = (Objective(feature="mtls", target_percent=99), Objective(feature="mtls.identity", target_percent=95))
    assert objective_of("mtls.identity", objectives).target_percent == 95
    assert objective_of("mtls.tcp", objectives).target_percent == 99
    assert objective_of("proto.http1", objectives).target_percent == 99.9
