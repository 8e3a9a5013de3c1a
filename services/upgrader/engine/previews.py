"""What a run would do, step by step, without doing any of it."""

from services.upgrader.core.asking import Moment, concerns, gates_at
from services.upgrader.core.observations import Unseen
from services.upgrader.core.ordering import definition, order_for
from services.upgrader.core.rollout.surveying import foresee
from services.upgrader.engine.mesh import look
from services.upgrader.engine.world import World
from steward.resources.upgrade_plan import InstallMethod, StepType
from steward.resources.upgrade_run import PreviewStep, Snapshot, StepStatus, UpgradeRun


async def preview(world: World, run: UpgradeRun, snapshot: Snapshot) -> tuple[PreviewStep, ...]:
    """Each step with what it would do."""
    steps = run.status.steps if run.status else ()
    found: list[PreviewStep] = []
    for step in steps:
        said = await _say(world, run, snapshot, step)
        gates = _gates(snapshot, step)
        found.append(PreviewStep(name=step.name, type=step.type, summary=f"{said}{gates}"[:4096]))
    return tuple(found)


async def _say(world: World, run: UpgradeRun, snapshot: Snapshot, step: StepStatus) -> str:
    if not concerns(run, definition(snapshot, step.name)):
        return "skipped: the run only restarts workloads"
    match step.type:
        case StepType.GATE:
            return "asks its gates"
        case StepType.RESTART_WORKLOADS:
            return _workloads(world, run, snapshot)
        case StepType.PRUNE if snapshot.install_method is not InstallMethod.CLI:
            return f"skipped: {snapshot.install_method} removes by itself what the charts no longer have"
        case _:
            return (await world.edges.installation.preview(order_for(run, snapshot, step))).summary


def _workloads(world: World, run: UpgradeRun, snapshot: Snapshot) -> str:
    seen = look(world.mesh)
    if isinstance(seen, Unseen):
        return seen.message
    counted = foresee(run, snapshot, seen)
    if isinstance(counted, Unseen):
        return counted.message
    w = counted.rollout.workloads
    wave = snapshot.policy_spec.data_plane.default_wave
    text = (
        f"would restart {w.pending} of {w.total} workloads, at most {wave.max_parallel_workloads} at a time and "
        f"{wave.max_parallel_per_namespace} in one namespace"
    )
    left = [
        (w.verified, "on the target already"),
        (w.held, "held"),
        (w.no_effect, "without effect"),
        (w.unsupported, "to be restarted by hand"),
    ]
    parts = [f"{number} {word}" for number, word in left if number]
    return f"{text}; {', '.join(parts)}" if parts else text


def _gates(snapshot: Snapshot, step: StepStatus) -> str:
    before = [gate.name for gate in gates_at(snapshot.plan_spec, definition(snapshot, step.name), Moment.BEFORE)]
    after = [gate.name for gate in gates_at(snapshot.plan_spec, definition(snapshot, step.name), Moment.AFTER)]
    text = f"; before it: {', '.join(before)}" if before else ""
    return f"{text}; after it: {', '.join(after)}" if after else text
