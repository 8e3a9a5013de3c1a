"""(run, facts) → the one next act. Whatever interrupts a run, calling this again goes on from where it was.

Pending → Preflight → Deploying → Running ⇄ Paused → Draining → Reporting → Completed | Aborted | Failed
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from services.conformance.core.ledger import (
    ALL_PROBED,
    CLEANED_UP,
    DEPLOYED,
    EXERCISED,
    PAUSED,
    PREFLIGHTED,
    REPORTED,
    STOPPED,
    TIME_IS_UP,
    Said,
    is_over,
    is_so,
    status_of,
)
from services.conformance.core.stage import ON_NODE
from steward.resources.base import condition_of
from steward.resources.conformance_run import ConformanceRun, OwnedNamespace, RunState
from steward.resources.conformance_suite import ConformanceSuiteSpec, Pace


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what."""

    deploy: timedelta = timedelta(minutes=5)
    drain: timedelta = timedelta(minutes=5)
    report: timedelta = timedelta(minutes=2)
    look_again: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may know besides the run. What is None was not looked at."""

    now: datetime
    suite: ConformanceSuiteSpec | None = None
    crowded: str = ""
    """Why the run must wait for its turn."""
    problems: tuple[str, ...] | None = None
    """What preflight objects to."""
    missing: Mapping[str, str] | None = None
    """Actors of the cast that are not ready, and what is the matter."""
    remains: tuple[OwnedNamespace, ...] | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing to do any more."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then, or until something changes."""

    until: datetime | None
    why: Said


@dataclass(frozen=True, slots=True)
class Begin:
    """Take the suite as it is now."""


@dataclass(frozen=True, slots=True)
class Inspect:
    """Look at mesh, cluster and rights."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Preflight has no objections: note what is there."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """Make the namespaces and the cast, or what of them is missing."""


@dataclass(frozen=True, slots=True)
class Muster:
    """Look whether the cast is ready."""


@dataclass(frozen=True, slots=True)
class Raise:
    """The cast is ready: note it."""

    without: str = ""
    """Clients of single nodes that did not come up: what is tried on every node tells of them."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """Run probes until there are none left, or somebody wants something else."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Note that the run stands still."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Note that it goes on."""


@dataclass(frozen=True, slots=True)
class End:
    """No more probes, and why."""

    why: Said


@dataclass(frozen=True, slots=True)
class Count:
    """Look which namespaces are left."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask for their deletion."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """They are gone, or are left to the sweeper."""

    done: bool
    why: Said


@dataclass(frozen=True, slots=True)
class Report:
    """Write the reports."""


@dataclass(frozen=True, slots=True)
class Conclude:
    """The outcome."""


Act: TypeAlias = (
    Over
    | Wait
    | Begin
    | Inspect
    | Admit
    | Deploy
    | Muster
    | Raise
    | Exercise
    | Pause
    | Resume
    | End
    | Count
    | Drain
    | Cleaned
    | Report
    | Conclude
)
Looking: TypeAlias = Inspect | Muster | Count
"""Acts after which the same question is asked again, with more facts."""


def decide(run: ConformanceRun, facts: Facts) -> Act:
    """The one next act."""
    if is_over(run) or run.metadata.deletion_timestamp is not None:
        return Over()
    if is_so(run, EXERCISED):
        return _wind_up(run, facts)
    if run.spec.state is RunState.STOP:
        return End(Said(STOPPED, "spec.state is Stop"))
    return _enter(run, facts) or _stage(run, facts) or _go_on(run, facts)


def _enter(run: ConformanceRun, facts: Facts) -> Act | None:
    if status_of(run).suite is not None:
        return None
    name = run.spec.suite_ref.name
    if facts.suite is None:
        why = Said("NoSuite", f"there is no ConformanceSuite {name!r}: create it, or make a run of another one")
        return Wait(None, why)
    if facts.crowded:
        return Wait(None, Said("Queued", facts.crowded))
    return Begin()


def _stage(run: ConformanceRun, facts: Facts) -> Act | None:
    if is_so(run, PREFLIGHTED) is None:
        if facts.problems is None:
            return Inspect()
        return End(Said("PreflightRefused", "; ".join(facts.problems))) if facts.problems else Admit()
    if is_so(run, DEPLOYED):
        return None
    if is_so(run, DEPLOYED) is None:
        return Deploy()
    if facts.missing is None:
        return Muster()
    return _wait_for(run, facts, facts.missing) if facts.missing else Raise()


def _wait_for(run: ConformanceRun, facts: Facts, missing: Mapping[str, str]) -> Act:
    since = condition_of(status_of(run).conditions, PREFLIGHTED)
    told = "; ".join(f"{actor}: {what}" for actor, what in sorted(missing.items()))
    if since is not None and facts.now - since.last_transition_time > facts.patience.deploy:
        if all(actor.startswith(ON_NODE) for actor in missing):
            return Raise(without=told)
        return End(Said("NotDeployed", f"the probes' own workloads did not come up: {told}"))
    return Wait(facts.now + facts.patience.look_again, Said("Deploying", told))


def _go_on(run: ConformanceRun, facts: Facts) -> Act:
    halted = is_so(run, PAUSED)
    ended = _ended(run, facts.now)
    if ended is not None:
        return End(ended)
    if run.spec.state is RunState.PAUSE:
        return Wait(end_of(run), Said("PausedByPerson", "spec.state is Pause")) if halted else Pause()
    return Resume() if halted else Exercise()


def _ended(run: ConformanceRun, now: datetime) -> Said | None:
    if run.spec.pace is Pace.ONCE:
        waiting = [each for each in status_of(run).features if each.verdict is None]
        return None if waiting else Said(ALL_PROBED, f"{len(status_of(run).features)} features were tried")
    end = end_of(run)
    if end is not None and now >= end:
        return Said(TIME_IS_UP, f"spec.durationSeconds of {run.spec.duration_seconds} are over")
    return None


def end_of(run: ConformanceRun) -> datetime | None:
    """When a continuous run is over; None: never by itself."""
    begun = status_of(run).started_at
    if run.spec.pace is Pace.ONCE or run.spec.duration_seconds is None or begun is None:
        return None
    return begun + timedelta(seconds=run.spec.duration_seconds)


def _wind_up(run: ConformanceRun, facts: Facts) -> Act:
    if is_so(run, CLEANED_UP) is None:
        return _clean(run, facts)
    return Report() if is_so(run, REPORTED) is None else Conclude()


def _clean(run: ConformanceRun, facts: Facts) -> Act:
    if facts.remains is None:
        return Count()
    if not facts.remains:
        return Cleaned(done=True, why=Said("Gone", "every namespace of the probes is gone"))
    since = condition_of(status_of(run).conditions, EXERCISED)
    names = ", ".join(each.name for each in facts.remains)
    if since is not None and facts.now - since.last_transition_time > facts.patience.drain:
        return Cleaned(done=False, why=Said("StillThere", f"left to the sweeper: {names}"))
    return Drain()
