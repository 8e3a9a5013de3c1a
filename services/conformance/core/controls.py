"""Negative controls: what must be seen where no mesh has a part in it, if a probe is to be believed.

A control doubts the prober and never the mesh. Where no application answers at all, nothing is said against either.
"""

from datetime import timedelta

from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import failing_until, named
from services.conformance.core.orders import Call, Trouble
from services.conformance.core.probe import Control, check
from services.conformance.core.proofs import all_are, answered, answered_by, good, status_is, tally, took
from services.conformance.core.slices import CLOSED_PORT
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Calls, Step
from services.conformance.core.targets import UNMESHED, at_pod, at_service, get
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult

SLOW = timedelta(milliseconds=600)
_NO_WAY = (Trouble.REFUSED, Trouble.TIMED_OUT, Trouble.UNREACHABLE)


def _each_pod(stage: Stage) -> tuple[Step, ...]:
    pods = range(len(stage.pods("sm")))
    return tuple(Calls(f"pod-{at}", UNMESHED, get(at_pod(stage, "sm", index=at), times=2)) for at in pods)


def _each_pod_seen(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return tuple(
        answered_by(f"{pod}, called by its own address, answers for itself", answered(evidence, f"pod-{at}"), (pod,))
        for at, pod in enumerate(named(stage))
    )


WHO_ANSWERS = Control("A pod that is called by its own address answers, and no other.", _each_pod, _each_pod_seen)


def unmeshed(stage: Stage, path: str, times: int = 3) -> Call:
    """A call between two pods that have no proxies."""
    return get(at_service(stage, "su"), path, times=times)


def _failing(stage: Stage) -> tuple[Step, ...]:
    return (
        Calls("failing", UNMESHED, unmeshed(stage, failing_until(1))),
        Calls("refusing", UNMESHED, unmeshed(stage, Wishes(status=429, retry_after=5).on())),
        Calls("fine", UNMESHED, unmeshed(stage, "/")),
    )


def _failing_seen(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    failing = answered(evidence, "failing")
    return (
        status_is("a server that is asked to fail fails", failing, 503),
        all_are(
            "the first time", failing, "attempt 1", lambda reply: reply.echo is not None and reply.echo.attempt == 1
        ),
        status_is("one that is asked to refuse refuses", answered(evidence, "refusing"), 429),
        all_are("one that is asked nothing answers", answered(evidence, "fine"), "200", good),
    )


FAILURES_SEEN = Control("Where there is no mesh, failures of a server reach its client.", _failing, _failing_seen)


def _slow(stage: Stage) -> tuple[Step, ...]:
    return (Calls("slow", UNMESHED, unmeshed(stage, Wishes(delay=SLOW).on(), times=2)),)


def _slow_seen(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = answered(evidence, "slow")
    return (
        all_are("where nobody gives it up, a slow answer arrives", replies, "200", good),
        took("after its delay", replies, SLOW * 0.9, SLOW * 2 + stage.timings.slack * 2),
    )


SLOWNESS_SEEN = Control("Where there is no mesh, a slow answer is waited for.", _slow, _slow_seen)


def _closed(stage: Stage) -> tuple[Step, ...]:
    return (
        Calls("open", UNMESHED, unmeshed(stage, "/")),
        Calls("closed", UNMESHED, get(at_pod(stage, "su", CLOSED_PORT), times=2, timeout=2)),
    )


def _closed_seen(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    answered(evidence, "open")
    closed = evidence.replies("closed")
    ok = bool(closed) and all(
        reply.trouble in (Trouble.REFUSED, Trouble.TIMED_OUT, Trouble.UNREACHABLE) for reply in closed
    )
    return (check("nobody listens on the closed port", expected="refused", observed=tally(closed), ok=ok),)


CLOSED_IS_CLOSED = Control("An endpoint that must not be reached is not, by whatever way.", _closed, _closed_seen)
