"""The order that an edge gets for a step of a run: the same whenever it is given."""

from services.upgrader.core.operations import operation_id, operations_of
from services.upgrader.core.orders import Order
from services.upgrader.core.steps import timeout_of
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import Step
from steward.resources.upgrade_run import Snapshot, StepStatus, UpgradeRun


def order_for(run: UpgradeRun, snapshot: Snapshot, state: StepStatus) -> Order:
    """The order of the attempt that is under way, or, before the first one, of the attempt to come."""
    step = definition(snapshot, state.name)
    attempt = max(1, state.attempt)
    own = operation_id(run.metadata.uid, state.name, attempt)
    lock = run.status.lock if run.status else None
    return Order(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        step=state.name,
        step_type=state.type,
        attempt=attempt,
        operation_id=own,
        previous_operations=tuple(each for each in operations_of(run) if each != own),
        method=snapshot.install_method,
        source=Version.parse(snapshot.from_version),
        target=Version.parse(run.spec.target),
        release=snapshot.release,
        timeout=timeout_of(snapshot, step),
        fencing_token=lock.fencing_token if lock else 0,
        prune_exclude_kinds=step.prune.exclude_kinds if step.prune else (),
    )


def definition(snapshot: Snapshot, name: str) -> Step:
    """A step as the plan describes it."""
    return next(each for each in snapshot.plan_spec.steps if each.name == name)
