"""What upgrades ask for: a run after each step that changed the mesh, and one that watches from first to last."""

import hashlib
from collections.abc import Iterable

from services.conformance.core.ledger import is_over
from services.conformance.core.suites import DEFAULT
from steward.events.upgrades import StepOutcome, UpgradeFinished, UpgradeStarted, UpgradeStepDone
from steward.jsonvalue import JsonObject
from steward.kube.resources import CONFORMANCE_RUNS
from steward.resources.base import API_VERSION
from steward.resources.conformance_run import ConformanceRun, RunState, Trigger
from steward.resources.conformance_suite import Pace

CHANGING = frozenset({"UpgradeControlPlane", "RestartWorkloads"})
"""Types of steps after which the mesh may be another one."""
HELD = ("soak",)
"""What a watch holds open through an upgrade."""


def after_step(done: UpgradeStepDone, runs: Iterable[ConformanceRun]) -> JsonObject | None:
    """The run that answers a step; None where it changed nothing, or where a gate has asked for one already."""
    if done.step_type not in CHANGING or done.outcome is not StepOutcome.SUCCEEDED or not done.operation_id:
        return None
    if any(each.spec.operation_id == done.operation_id for each in runs):
        return None
    return _run(f"upgrade-{done.operation_id}", done.run, {"operationId": done.operation_id})


def watch(started: UpgradeStarted) -> JsonObject:
    """The run that holds connections open from before the first step until after the last."""
    spec: JsonObject = {"only": list(HELD), "pace": Pace.CONTINUOUS.value}
    return _run(watch_name(started.run_uid), started.run, spec)


def watches_over(finished: UpgradeFinished, runs: Iterable[ConformanceRun]) -> tuple[ConformanceRun, ...]:
    """The watches that an upgrade's end ends: what they hold is judged then."""
    name = watch_name(finished.run_uid)
    return tuple(
        each
        for each in runs
        if each.metadata.name == name and not is_over(each) and each.spec.state is not RunState.STOP
    )


def watch_name(upgrade_uid: str) -> str:
    """One for each upgrade."""
    return f"watch-{hashlib.sha256(upgrade_uid.encode()).hexdigest()[:16]}"


def _run(name: str, upgrade: str, spec: JsonObject) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": CONFORMANCE_RUNS.kind,
        "metadata": {"name": name},
        "spec": {
            "suiteRef": {"name": DEFAULT},
            "trigger": Trigger.UPGRADE_STEP.value,
            "upgradeRun": upgrade,
            **spec,
        },
    }
