"""The phases of a run, as a machine: from every state it goes on, and it comes to an end."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.conformance.core import decide as acts
from services.conformance.core import ledger
from services.conformance.core.capability import ClusterSeen, Has
from services.conformance.core.decide import Facts, decide
from services.conformance.core.judge import Which, undecided
from services.conformance.core.ledger import Said, status_of
from steward.conformance.results import Capability, FeatureResult, State, Verdict
from steward.events.conformance import ConformanceOutcome, FoundCause, Rung
from steward.resources.base import ConditionStatus, ObjectMeta
from steward.resources.conformance_run import ConformanceRun, ConformanceRunSpec, OwnedNamespace, RunPhase, RunState
from steward.resources.conformance_suite import ConformanceSuiteSpec, Pace
from tests.services.conformance.engine.pieces import probe

DAWN = datetime(2026, 6, 18, 12, tzinfo=UTC)
SUITE = ConformanceSuiteSpec()
SEEN = ClusterSeen(kubernetes_version="v1.36.3", nodes=3)
FEATURES = {"mtls.identity": Has(Capability.SUPPORTED), "mc.link": Has(Capability.NOT_APPLICABLE, "NoMc", "no link")}
OWNED = OwnedNamespace(name="steward-probes-1-mesh", uid="n")


def run(**spec: object) -> ConformanceRun:
    return ConformanceRun(
        metadata=ObjectMeta(name="mine", uid="u", generation=1),
        spec=ConformanceRunSpec(**spec),  # type: ignore[arg-type] # given by tests
    )


def facts(after: int = 0, **more: object) -> Facts:
    return Facts(now=DAWN + timedelta(seconds=after), suite=SUITE, **more)  # type: ignore[arg-type] # given by tests


def result(feature: str, verdict: Verdict) -> FeatureResult:
    made = undecided(probe(feature), Which("mine", "u", 0, DAWN), "Because", "because")
    return made.model_copy(update={"verdict": verdict})


def begun(**spec: object) -> ConformanceRun:
    return ledger.begun(run(**spec), SUITE, "sha256:0", "0.1.0", DAWN)


def admitted(**spec: object) -> ConformanceRun:
    return ledger.inspected(begun(**spec), SEEN, FEATURES, "v1.36.3", DAWN)


def running(**spec: object) -> ConformanceRun:
    made = ledger.laid_out(ledger.owning(admitted(**spec), [OWNED]), DAWN)
    return ledger.said(made, ledger.DEPLOYED, ConditionStatus.TRUE, Said("Ready", ""), DAWN)


def test_a_run_goes_from_pending_to_running() -> None:
    assert isinstance(decide(run(), facts()), acts.Begin)
    assert isinstance(decide(begun(), facts()), acts.Inspect)
    assert isinstance(decide(begun(), facts(problems=())), acts.Admit)
    assert isinstance(decide(admitted(), facts()), acts.Deploy)
    laid = ledger.laid_out(admitted(), DAWN)
    assert isinstance(decide(laid, facts()), acts.Muster)
    assert isinstance(decide(laid, facts(missing={"cm": "no pod"})), acts.Wait)
    assert isinstance(decide(laid, facts(missing={})), acts.Raise)
    assert isinstance(decide(running(), facts()), acts.Exercise)


def test_clients_of_single_nodes_are_waited_for_and_then_done_without() -> None:
    laid = ledger.laid_out(admitted(), DAWN)
    missing = {"cm-node-1": "0 of 1 ready"}
    assert isinstance(decide(laid, facts(missing=missing)), acts.Wait)
    assert decide(laid, facts(after=301, missing=missing)) == acts.Raise(without="cm-node-1: 0 of 1 ready")
    assert isinstance(decide(laid, facts(after=301, missing={**missing, "cm": "no pod"})), acts.End)


def test_preflight_refuses_with_the_reason() -> None:
    act = decide(begun(), facts(problems=("we may not create namespaces",)))
    assert act == acts.End(Said("PreflightRefused", "we may not create namespaces"))


def test_a_cast_that_never_comes_up_ends_the_run_without_a_word_about_the_mesh() -> None:
    laid = ledger.laid_out(admitted(), DAWN)
    act = decide(laid, facts(after=301, missing={"cm": "0 of 1 ready"}))
    assert isinstance(act, acts.End)
    ended = ledger.exercised(laid, act.why, DAWN)
    assert ledger.outcome_of(ended)[0] is ConformanceOutcome.INCONCLUSIVE
    assert status_of(ledger.concluded(ended, DAWN)).phase is RunPhase.FAILED


def test_a_run_waits_for_its_turn_and_for_its_suite() -> None:
    crowded = decide(run(), facts(crowded="another goes first"))
    assert isinstance(crowded, acts.Wait)
    assert crowded.why.reason == "Queued"
    lost = decide(run(), Facts(now=DAWN))
    assert isinstance(lost, acts.Wait)
    assert lost.why.reason == "NoSuite"


def test_what_is_absent_is_judged_at_once_and_what_is_there_is_not() -> None:
    lines = {line.feature: line.verdict for line in status_of(running()).features}
    assert lines == {"mc.link": Verdict.NOT_APPLICABLE, "mtls.identity": None}


def test_a_run_that_goes_through_once_ends_when_everything_was_tried() -> None:
    done = ledger.told(running(), [result("mtls.identity", Verdict.PASSED)], {})
    act = decide(done, facts())
    assert isinstance(act, acts.End)
    assert act.why.reason == ledger.ALL_PROBED


def test_a_line_of_the_status_names_the_likeliest_cause_and_says_it() -> None:
    denied = FoundCause(
        code="POLICY_DENY", rung=Rung.PROXY, message="A policy denies it.", observed="403", expected="200"
    )
    other = denied.model_copy(update={"code": "DNS"})
    failed = result("mtls.identity", Verdict.FAILED).model_copy(update={"causes": (denied, other)})
    mended = result("mtls.identity", Verdict.PASSED).model_copy(update={"at": DAWN + timedelta(seconds=1)})

    def told(*results: FeatureResult) -> tuple[str, str]:
        lines = {each.feature: each for each in status_of(ledger.told(running(), results, {})).features}
        return lines["mtls.identity"].cause, lines["mtls.identity"].message

    assert told(failed) == ("POLICY_DENY", "because; A policy denies it. 403")
    assert told(failed, mended) == ("", "because")


def test_a_continuous_run_ends_when_its_time_is_up_and_not_before() -> None:
    made = running(pace=Pace.CONTINUOUS, duration_seconds=60)
    assert isinstance(decide(made, facts(after=59)), acts.Exercise)
    assert isinstance(decide(made, facts(after=60)), acts.End)
    assert isinstance(decide(running(pace=Pace.CONTINUOUS), facts(after=10_000_000)), acts.Exercise)


def test_a_pause_is_noted_once_and_ended_by_a_person() -> None:
    paused = running(state=RunState.PAUSE)
    assert isinstance(decide(paused, facts()), acts.Pause)
    noted = ledger.said(paused, ledger.PAUSED, ConditionStatus.TRUE, Said("PausedByPerson", ""), DAWN)
    assert isinstance(decide(noted, facts()), acts.Wait)
    wanted = noted.model_copy(update={"spec": ConformanceRunSpec()})
    assert isinstance(decide(wanted, facts()), acts.Resume)


def test_winding_up_deletes_reports_and_concludes_in_this_order() -> None:
    ended = ledger.exercised(running(), Said(ledger.ALL_PROBED, ""), DAWN)
    assert isinstance(decide(ended, facts()), acts.Count)
    assert isinstance(decide(ended, facts(remains=(OWNED,))), acts.Drain)
    late = decide(ended, facts(after=301, remains=(OWNED,)))
    assert isinstance(late, acts.Cleaned)
    assert not late.done
    clean = ledger.cleaned_up(ended, Said("Gone", ""), DAWN, done=True)
    assert isinstance(decide(clean, facts()), acts.Report)
    told = ledger.reported(clean, "conformance/u/report.html", (), Said("Stored", ""), DAWN)
    assert isinstance(decide(told, facts()), acts.Conclude)
    assert isinstance(decide(ledger.concluded(told, DAWN), facts()), acts.Over)


def outcome(*verdicts: Verdict, ended: str = ledger.ALL_PROBED, states: State = State.UNKNOWN) -> ConformanceOutcome:
    features = {f"lb.n{number}": Has(Capability.SUPPORTED) for number in range(len(verdicts))}
    made = ledger.inspected(begun(), SEEN, features, "v1.36.3", DAWN)
    known = [result(f"lb.n{number}", verdict) for number, verdict in enumerate(verdicts)]
    made = ledger.told(made, known, {})
    if states is not State.UNKNOWN:
        lines = tuple(line.model_copy(update={"state": states}) for line in status_of(made).features)
        made = made.model_copy(update={"status": status_of(made).model_copy(update={"features": lines})})
    return ledger.outcome_of(ledger.exercised(made, Said(ended, ""), DAWN))[0]


def test_the_outcome_says_what_is_known_and_no_more() -> None:
    passed, failed, untold = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
    assert outcome(passed, Verdict.FLAKY) is ConformanceOutcome.PASSED
    assert outcome(passed, failed) is ConformanceOutcome.FAILED
    assert outcome(failed, states=State.QUARANTINED) is not ConformanceOutcome.FAILED
    assert outcome(passed, untold) is ConformanceOutcome.INCONCLUSIVE
    assert outcome(*[passed] * 30, untold) is ConformanceOutcome.PASSED
    assert outcome(untold) is ConformanceOutcome.INCONCLUSIVE
    assert outcome(passed, ended="NotDeployed") is ConformanceOutcome.INCONCLUSIVE


@given(st.lists(st.sampled_from(["work", "stop", "pause", "run", "late", "stuck"]), max_size=30), st.booleans())
def test_whatever_people_do_a_run_that_is_to_stop_ends_with_nothing_of_its_own_left(
    wishes: list[str], continuous: bool
) -> None:
    """The machine with an engine of one line for each act."""
    made = run(pace=Pace.CONTINUOUS if continuous else Pace.ONCE)
    namespaces: tuple[OwnedNamespace, ...] = ()
    now = DAWN
    for wish in [*wishes, "stop", *["work"] * 20]:
        state = {"stop": RunState.STOP, "pause": RunState.PAUSE, "run": RunState.RUN}.get(wish)
        if state is not None and made.spec.state is not RunState.STOP:
            made = made.model_copy(update={"spec": made.spec.model_copy(update={"state": state})})
        now += timedelta(seconds=400 if wish == "late" else 1)
        made, namespaces = _carried_out(made, namespaces, now, stuck=wish == "stuck")
    assert ledger.is_over(made)
    assert status_of(made).outcome is not None
    assert namespaces == () or ledger.is_so(made, ledger.CLEANED_UP) is False


def _carried_out(  # noqa: C901 - one line for each act
    made: ConformanceRun, namespaces: tuple[OwnedNamespace, ...], now: datetime, *, stuck: bool
) -> tuple[ConformanceRun, tuple[OwnedNamespace, ...]]:
    missing = {"cm": "no pod"} if stuck else {}
    act = decide(made, Facts(now=now, suite=SUITE, problems=(), missing=missing, remains=namespaces))
    match act:
        case acts.Begin():
            made = ledger.begun(made, SUITE, "sha256:0", "0.1.0", now)
        case acts.Admit():
            made = ledger.inspected(made, SEEN, FEATURES, "v1.36.3", now)
        case acts.Deploy():
            namespaces = (OWNED,)
            made = ledger.laid_out(ledger.owning(made, namespaces), now)
        case acts.Raise():
            made = ledger.said(made, ledger.DEPLOYED, ConditionStatus.TRUE, Said("Ready", ""), now)
        case acts.Exercise():
            made = ledger.told(made, [result("mtls.identity", Verdict.PASSED)], {})
        case acts.Pause() | acts.Resume():
            value = ConditionStatus.TRUE if isinstance(act, acts.Pause) else ConditionStatus.FALSE
            made = ledger.said(made, ledger.PAUSED, value, Said("Because", ""), now)
        case acts.End(why):
            made = ledger.exercised(made, why, now)
        case acts.Drain():
            namespaces = namespaces if stuck else ()
        case acts.Cleaned(done, why):
            made = ledger.cleaned_up(made, why, now, done=done)
        case acts.Report():
            made = ledger.reported(made, "report", (), Said("Stored", ""), now)
        case acts.Conclude():
            made = ledger.concluded(made, now)
        case _:
            assert isinstance(act, acts.Wait | acts.Over)
    return made, namespaces
