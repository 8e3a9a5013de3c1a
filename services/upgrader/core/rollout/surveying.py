"""The rollout of one run: what its snapshot asks for, against the mesh as it is."""

from datetime import datetime, timedelta

from services.upgrader.core.journal import Said
from services.upgrader.core.ledger import status_of
from services.upgrader.core.observations import Unseen
from services.upgrader.core.operations import marker, operations_of
from services.upgrader.core.rollout.progress import Recollection, Survey, survey
from services.upgrader.core.rollout.proof import Prover, Target
from services.upgrader.core.rollout.standing import Memory, Terms
from services.upgrader.core.rollout.wishes import NamespaceWishes, concerned
from services.upgrader.core.steps import Rollout
from steward.events.upgrades import UpgradeResumed, UpgradeStepStarted
from steward.linkerd.control_plane import ControlPlane
from steward.linkerd.drifts import same_version
from steward.linkerd.inventory import Inventory
from steward.resources.upgrade_policy import SelectionMode
from steward.resources.upgrade_run import Purpose, Snapshot, UpgradeRun, Workloads


def survey_run(
    run: UpgradeRun,
    snapshot: Snapshot,
    inventory: Inventory,
    memory: Memory,
    operation_id: str,
    recollection: Recollection | None = None,
) -> Survey | Unseen:
    """Where the workloads of a run stand, and which come next; none while the control plane is not on the target."""
    control_plane = inventory.control_plane
    if control_plane is None or control_plane.config is None:
        return _blind(control_plane)
    if not same_version(control_plane.configured, run.spec.target):
        return _not_on_target(run, control_plane)
    target = Target(control_plane.expected_proxy, control_plane.trust_sha256)
    terms = _terms(run, snapshot, inventory, target, memory)
    return survey(inventory, terms, snapshot.policy_spec.data_plane.default_wave, operation_id, recollection)


def foresee(run: UpgradeRun, snapshot: Snapshot, inventory: Inventory) -> Survey | Unseen:
    """Where the workloads would stand once the control plane were on the target."""
    control_plane = inventory.control_plane
    if control_plane is None or control_plane.config is None:
        return _blind(control_plane)
    target = Target(run.spec.target, control_plane.trust_sha256)
    terms = _terms(run, snapshot, inventory, target, Memory({}, {}, {}))
    return survey(inventory, terms, snapshot.policy_spec.data_plane.default_wave, "")


def _blind(control_plane: ControlPlane | None) -> Unseen:
    why = control_plane.problem if control_plane is not None else "no control plane is to be seen"
    return Unseen("MeshUnseen", f"{why}: nothing is restarted until it can be read", transient=True)


def _not_on_target(run: UpgradeRun, control_plane: ControlPlane) -> Survey:
    message = f"linkerd-config names {control_plane.configured}, not {run.spec.target}: somebody changed it meanwhile"
    rollout = Rollout(
        workloads=status_of(run).workloads or Workloads(),
        restarts=(),
        finished=False,
        failure=Said("ControlPlaneNotOnTarget", message),
        said=Said("Stopped", message),
        wake=None,
    )
    return Survey(rollout, (), {})


def _terms(run: UpgradeRun, snapshot: Snapshot, inventory: Inventory, target: Target, memory: Memory) -> Terms:
    policy = snapshot.policy_spec.data_plane
    repair = run.spec.purpose is Purpose.RESTART_ONLY
    return Terms(
        now=inventory.taken_at,
        marker=marker(run),
        operations=frozenset(operations_of(run)),
        prover=Prover(target),
        always=repair or run.spec.restart_epoch > 0,
        repair=repair,
        mode=policy.selection.mode,
        kinds=frozenset(policy.selection.kinds),
        deadline=timedelta(seconds=policy.default_wave.workload_deadline_seconds),
        counted_from=_counted_from(run, inventory.taken_at),
        memory=memory,
    )


def _counted_from(run: UpgradeRun, now: datetime) -> datetime:
    """When the attempt that restarts workloads began, or was let go on after a pause."""
    began = [
        each.time
        for each in status_of(run).transitions
        if each.event in (UpgradeResumed.name, UpgradeStepStarted.name) and each.time <= now
    ]
    return max(began, default=now)


def namespaces_to_try(inventory: Inventory, mode: SelectionMode, most: int) -> tuple[str, ...]:
    """Namespaces in which the injector is tried: first those to be restarted, none that pins another version."""
    asking: list[tuple[bool, str]] = []
    for name, facts in inventory.namespaces.items():
        wishes = NamespaceWishes.of(facts)
        if facts.inject is not None and facts.inject.wanted and not wishes.pin and not facts.deleting:
            asking.append((not concerned(wishes.upgrade, mode), name))
    return tuple(name for _, name in sorted(asking)[:most])
