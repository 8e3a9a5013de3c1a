"""Which gates are asked when, and what their answers come to.

Every gate is asked once before the first change. What was red then is not held against the upgrade: a look afterwards
is compared with it, finding by finding, when the look is judged (`gates`). Here the judged answers are added up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from steward.events.upgrades import GateResult
from steward.resources.upgrade_plan import GatePhase, GateTemplate, GateType, Step, StepType, UpgradePlanSpec
from steward.resources.upgrade_run import Evidence, Purpose, StepStatus, UpgradeRun

SKEW_GUARD = GateTemplate(name="steward-version-skew", type=GateType.VERSION_SKEW)
INJECTOR_GUARD = GateTemplate(name="steward-injector", type=GateType.INJECTOR_DRY_RUN)

_WITHOUT_REPAIR = frozenset({StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE, StepType.PRUNE})


class Moment(StrEnum):
    """When gates are asked."""

    BASELINE = "Baseline"
    BEFORE = "Before"
    AFTER = "After"


@dataclass(frozen=True, slots=True)
class Tally:
    """What the answers at one moment come to."""

    missing: tuple[GateTemplate, ...]
    """Not asked yet."""
    objection: Evidence | None
    """The weightiest answer that does not let the step go on, None where there is none."""
    objecting: tuple[GateTemplate, ...]
    """The gates that do not let the step go on."""
    asked_at: datetime | None
    """When the newest of the objecting answers was given."""


def concerns(run: UpgradeRun, step: Step) -> bool:
    """Whether a run of this purpose does the step at all: a repair leaves the control plane alone."""
    return run.spec.purpose is Purpose.UPGRADE or step.type not in _WITHOUT_REPAIR


def gates_at(plan: UpgradePlanSpec, step: Step, moment: Moment) -> tuple[GateTemplate, ...]:
    """The gates of a step, and the two that no plan can leave out.

    A control plane that would leave its proxies more than one logical version behind is not upgraded, and no workload
    is restarted while the injector would give it the wrong proxy, or none.
    """
    templates = {template.name: template for template in plan.gate_templates}
    phases = {Moment.BEFORE: GatePhase.BEFORE, Moment.AFTER: GatePhase.AFTER}
    named = tuple(templates[name] for name in step.gates if name in templates)
    wanted = named if step.gate_phase in (GatePhase.BOTH, phases.get(moment)) else ()
    if moment is not Moment.BEFORE:
        return wanted
    guard = _GUARDS.get(step.type)
    if guard is None or any(each.type is guard.type for each in wanted):
        return wanted
    return (*wanted, guard)


_GUARDS = {StepType.UPGRADE_CONTROL_PLANE: SKEW_GUARD, StepType.RESTART_WORKLOADS: INJECTOR_GUARD}


def baseline_gates(run: UpgradeRun, plan: UpgradePlanSpec) -> tuple[GateTemplate, ...]:
    """Every gate that some step will ask, each once; a guard only where the plan asks nothing of its type."""
    found: dict[str, GateTemplate] = {}
    for step in plan.steps:
        if concerns(run, step):
            for moment in (Moment.BEFORE, Moment.AFTER):
                found.update({gate.name: gate for gate in gates_at(plan, step, moment)})
    asked = {gate.type for gate in found.values() if gate not in _GUARDS.values()}
    return tuple(gate for gate in found.values() if gate not in _GUARDS.values() or gate.type not in asked)


def baseline_of(steps: Iterable[StepStatus], gate: str) -> Evidence | None:
    """The newest answer that a gate gave before the first change."""
    found = [each for step in steps for each in step.evidence if each.baseline and each.gate == gate]
    return found[-1] if found else None


def tolerated(evidence: Evidence, baseline: Evidence | None) -> bool:
    """Whether a step may go on with this answer.

    `linkerd check` that could not be asked before either, for the same reason, keeps nobody from upgrading: what it
    would say of versions, certificates and pods is proven by the inventory. It stays Inconclusive in the evidence.
    """
    if evidence.result is GateResult.PASSED:
        return True
    return (
        evidence.type == GateType.LINKERD_CHECK
        and evidence.result is GateResult.INCONCLUSIVE
        and baseline is not None
        and baseline.result is GateResult.INCONCLUSIVE
        and baseline.reason == evidence.reason
    )


# A no is weightier than not being able to ask, and that is weightier than not knowing.
_WEIGHT = {GateResult.FAILED: 0, GateResult.ERROR: 1, GateResult.INCONCLUSIVE: 2, GateResult.PASSED: 3}


def tally(run: UpgradeRun, step: StepStatus, gates: Sequence[GateTemplate], moment: Moment) -> Tally:
    """What the answers that `step` has of `gates` come to."""
    steps = run.status.steps if run.status else ()
    before = moment is Moment.BEFORE
    given = {each.gate: each for each in step.evidence if not each.baseline and each.before == before}
    objections = [
        given[gate.name]
        for gate in gates
        if gate.name in given and not tolerated(given[gate.name], baseline_of(steps, gate.name))
    ]
    objecting = {each.gate for each in objections}
    return Tally(
        missing=tuple(gate for gate in gates if gate.name not in given),
        objection=min(objections, key=lambda each: _WEIGHT[each.result], default=None),
        objecting=tuple(gate for gate in gates if gate.name in objecting),
        asked_at=max((each.observed_at for each in objections), default=None),
    )
