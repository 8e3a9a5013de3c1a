"""What a write into a run means for those who watch: metrics, Kubernetes Events, a line in the log."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from services.upgrader.core.ledger import status_of
from services.upgrader.engine.notes import Notes
from services.upgrader.metrics import GATES, PAUSED_SECONDS, RUN_INFO, STEP_SECONDS
from steward.events.upgrades import UpgradePaused, UpgradeStepDone, UpgradeStepFailed
from steward.resources.base import ConditionStatus, condition_of
from steward.resources.upgrade_run import Evidence, Transition, UpgradeRun
from steward.service.instruments import Instruments


@dataclass(frozen=True, slots=True)
class Readings:
    """Tells what was written; nothing here decides anything."""

    instruments: Instruments
    notes: Notes
    log: FilteringBoundLogger

    def moved(self, before: UpgradeRun, after: UpgradeRun) -> None:
        """A run was written."""
        known = {each.id for each in status_of(before).transitions}
        news = tuple(each for each in status_of(after).transitions if each.id not in known)
        for each in news:
            self._tell(after, each)
            if each.event == "upgrade-resumed" or each.event == "upgrade-finished":
                self._count_pause(before, each)
        self.notes.transitions(after, news)

    def answered(self, evidence: Evidence) -> None:
        """A gate answered."""
        self.instruments.count(GATES, evidence.type, evidence.result.value)
        self.log.info(
            "gate answered",
            gate=evidence.gate,
            result=evidence.result.value,
            reason=evidence.reason,
            baseline=evidence.baseline,
            message=evidence.message,
        )

    def runs(self, runs: tuple[UpgradeRun, ...]) -> None:
        """Which runs are kept, and how they stand."""
        shown: dict[tuple[str, ...], float] = {}
        for run in runs:
            status = status_of(run)
            source = status.snapshot.from_version if status.snapshot else ""
            shown[run.metadata.name, source, run.spec.target, status.phase.value] = 1.0
        self.instruments.show(RUN_INFO, shown)

    def _tell(self, run: UpgradeRun, transition: Transition) -> None:
        say = self.log.warning if transition.event in (UpgradeStepFailed.name, UpgradePaused.name) else self.log.info
        say(
            transition.event,
            run=run.metadata.name,
            step=transition.step,
            attempt=transition.attempt,
            reason=transition.reason,
            message=transition.message,
        )
        if transition.event in (UpgradeStepDone.name, UpgradeStepFailed.name):
            kind = next((str(step.type) for step in status_of(run).steps if step.name == transition.step), "")
            self.instruments.observe(STEP_SECONDS, transition.duration_seconds or 0.0, kind, transition.outcome)

    def _count_pause(self, before: UpgradeRun, transition: Transition) -> None:
        halted = condition_of(status_of(before).conditions, "Paused")
        if halted is not None and halted.status is ConditionStatus.TRUE:
            seconds = (transition.time - halted.last_transition_time).total_seconds()
            self.instruments.count(PAUSED_SECONDS, halted.reason, by=max(0.0, seconds))
