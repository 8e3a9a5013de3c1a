"""The run after an act that only writes."""

from datetime import datetime
from functools import singledispatch

from services.upgrader.core import acts, ledger
from steward.resources.upgrade_run import UpgradeRun


@singledispatch
def written(act: acts.Writing, run: UpgradeRun, now: datetime) -> UpgradeRun:  # noqa: ARG001 - one signature for all
    """What becomes of the run."""
    raise TypeError(f"{type(act).__name__} is not an act that only writes")


@written.register
def _start(act: acts.Start, run: UpgradeRun, now: datetime) -> UpgradeRun:  # noqa: ARG001 - one signature for all
    return ledger.started(run, now)


@written.register
def _begin(act: acts.Begin, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.begun(run, act.step, now)


@written.register
def _move(act: acts.Move, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.moved(run, act.step, act.state, act.said, now)


@written.register
def _record(act: acts.Record, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.surveyed(run, act.step, act.workloads, act.said, now)


@written.register
def _end(act: acts.End, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.ended(run, act.step, act.outcome, act.said, now)


@written.register
def _fail(act: acts.Fail, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.failed(run, act.step, act.failure, act.said, now, act.retry_after)


@written.register
def _pause(act: acts.Pause, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.paused(run, act.said, now)


@written.register
def _resume(act: acts.Resume, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.resumed(run, act.said, now)


@written.register
def _conclude(act: acts.Conclude, run: UpgradeRun, now: datetime) -> UpgradeRun:
    return ledger.concluded(run, act.outcome, act.said, now)
