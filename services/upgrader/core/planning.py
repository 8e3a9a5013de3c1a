"""From a wish to a plan: the snapshot of a run, and the run that upgrader begins by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.upgrader.core.candidate import Candidate, too_far
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.operations import run_name
from services.upgrader.core.plans import Chosen, Refusal, Route, choose, in_order, mismatch, plan_hash
from services.upgrader.core.story import CAUSE, TRACE
from steward.jsonvalue import JsonObject
from steward.linkerd.knowledge import Knowledge as Shipped
from steward.linkerd.ownership import Mixture, Ownership
from steward.linkerd.version import MalformedVersion, Version
from steward.resources.base import API_VERSION
from steward.resources.release_catalog import ReleaseEntry
from steward.resources.upgrade_plan import UpgradePlan
from steward.resources.upgrade_policy import UpgradePolicy, UpgradePolicySpec
from steward.resources.upgrade_run import DryRun, Purpose, Snapshot, StepStatus, UpgradeRun

BY_UPGRADER = "steward.linkerd.io/requested-by"
"""Annotation of the runs that upgrader begins by itself; only those can be superseded."""

DEFAULT_POLICY = "default"
_MOST_NOTICES = 64


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a run can be planned from."""

    plans: Sequence[UpgradePlan]
    policies: Sequence[UpgradePolicy]
    releases: Sequence[ReleaseEntry]
    running: Version | None
    running_problem: str
    """Why it is not known what runs, where it is not."""
    ownership: Ownership | None
    shipped: Shipped
    logical: LogicalVersions
    now: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """The snapshot of a run, and its steps in the order in which they are taken."""

    snapshot: Snapshot
    steps: tuple[StepStatus, ...]


def plan(run: UpgradeRun, known: Knowledge) -> Planned | Refusal:
    """Choose the plan of a run and copy everything that it depends on."""
    route = _route(run, known)
    if isinstance(route, Refusal):
        return route
    policy = policy_of(run.spec.policy_ref.name, known.policies)
    if isinstance(policy, Refusal):
        return policy
    chosen = _choose(run, known, route)
    if isinstance(chosen, Refusal):
        return chosen
    ordered = in_order(chosen.plan.spec.steps)
    if ordered is None:
        return Refusal("Circle", f"the steps of plan {chosen.plan.metadata.name!r} wait for each other")
    snapshot = Snapshot(
        from_version=str(route.source),
        install_method=route.method,
        plan=chosen.plan.metadata.name,
        plan_hash=chosen.plan_hash,
        plan_spec=chosen.plan.spec,
        policy=run.spec.policy_ref.name,
        policy_spec=policy,
        release=_release(route, chosen.plan, known),
        taken_at=known.now,
    )
    return Planned(snapshot, tuple(StepStatus(name=step.name, type=step.type) for step in ordered))


def _release(route: Route, plan: UpgradePlan, known: Knowledge) -> ReleaseEntry:
    """What is known of the target, with the notices that meet whoever comes from where this run begins."""
    entry = known.shipped.entry(route.target)
    found = next((each for each in known.releases if each.version == str(route.target)), None)
    if found is not None:
        said = {name: getattr(found, name) for name in type(found).model_fields if getattr(found, name) is not None}
        entry = entry.model_copy(update=said)
    on_the_way = [each.text for each in known.shipped.notices_between(route.source, route.target)]
    elsewhere = {each.text for each in known.shipped.notices}
    own = [each for each in (*plan.spec.notices, *entry.notices) if each not in elsewhere]
    notices = tuple(dict.fromkeys([*on_the_way, *own]))
    return entry.model_copy(update={"notices": notices[:_MOST_NOTICES]})


def owner_of(ownership: Ownership | None) -> Refusal | None:
    """Why nobody may touch the installation, None where one tool owns it."""
    if ownership is None:
        return Refusal("OwnerUnknown", "it could not be seen yet who installed Linkerd: look at the log of upgrader")
    if ownership.mixture is Mixture.MIXED:
        message = f"more than one tool left its marks: {ownership.message}. Let one of them own all of it"
        return Refusal("MixedOwnership", message)
    if ownership.method is None:
        return Refusal("OwnerUnknown", f"{ownership.message}: it cannot be told which tool has to upgrade it")
    return None


def policy_of(name: str, policies: Sequence[UpgradePolicy]) -> UpgradePolicySpec | Refusal:
    """The policy of that name; the one in force need not be written down, its defaults are careful."""
    found = next((policy for policy in policies if policy.metadata.name == name), None)
    if found is not None:
        return found.spec
    if name == DEFAULT_POLICY:
        return UpgradePolicySpec()
    return Refusal("PolicyMissing", f"UpgradePolicy {name!r} does not exist: create it, or name another one")


def _route(run: UpgradeRun, known: Knowledge) -> Route | Refusal:
    try:
        target = Version.parse(run.spec.target)
    except MalformedVersion as error:
        return Refusal("MalformedTarget", f"spec.target: {error}")
    if known.running is None:
        return Refusal("RunningUnknown", f"{known.running_problem}; a run begins when one version runs everywhere")
    owner = owner_of(known.ownership)
    if owner is not None or known.ownership is None or known.ownership.method is None:
        return owner or Refusal("OwnerUnknown", "nobody owns the installation")
    wrong = _wrong_target(run, known.running, target, known.logical)
    return wrong or Route(known.running, target, known.ownership.method)


def _wrong_target(run: UpgradeRun, running: Version, target: Version, logical: LogicalVersions) -> Refusal | None:
    if target.channel != running.channel:
        message = f"{running} runs, and {target} is of another channel: there is no order between them"
        return Refusal("OtherChannel", message)
    if run.spec.purpose is Purpose.RESTART_ONLY:
        if target == running:
            return None
        return Refusal("NotTheTarget", f"{running} runs: a run with purpose RestartOnly names the version that runs")
    if target < running:
        return Refusal("Older", f"{running} runs, which is newer than {target}: Linkerd has no way back")
    return too_far(running, target, logical)


def _choose(run: UpgradeRun, known: Knowledge, route: Route) -> Chosen | Refusal:
    if run.spec.plan_ref is None:
        return choose(known.plans, route, known.logical)
    name = run.spec.plan_ref.name
    found = next((each for each in known.plans if each.metadata.name == name), None)
    if found is None:
        return Refusal("PlanMissing", f"UpgradePlan {name!r} does not exist: create it, or make a run without planRef")
    wrong = mismatch(found.spec, route, known.logical)
    if wrong is not None:
        return Refusal("PlanUnsuitable", f"plan {name!r} does not lead from {route.source} to {route.target}: {wrong}")
    return Chosen(found, plan_hash(found.spec))


def new_run(candidate: Candidate, running: Version, policy: str, *, cause: str = "", trace: str = "") -> JsonObject:
    """The run that upgrader begins for a release. Its name is fixed, so the same release cannot begin two."""
    chosen = candidate.chosen
    name = run_name(running, candidate.version, chosen.plan.metadata.name, chosen.plan_hash, policy)
    annotations: JsonObject = {BY_UPGRADER: "upgrader"}
    if cause:
        annotations[CAUSE] = cause
    if trace:
        annotations[TRACE] = trace
    return {
        "apiVersion": API_VERSION,
        "kind": UpgradeRun.kind_name,
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "target": str(candidate.version),
            "planRef": {"name": chosen.plan.metadata.name},
            "policyRef": {"name": policy},
        },
    }


def is_ours(run: UpgradeRun) -> bool:
    """Whether upgrader began the run by itself."""
    return BY_UPGRADER in run.metadata.annotations


def is_over(run: UpgradeRun) -> bool:
    """Whether the run will not act again."""
    return run.status is not None and run.status.finished_at is not None


def queue(runs: Sequence[UpgradeRun]) -> tuple[UpgradeRun, ...]:
    """Open runs, most urgent first: previews, the one that has begun, then the oldest; refused ones last."""
    return tuple(
        sorted((run for run in runs if not is_over(run) and run.metadata.deletion_timestamp is None), key=_urgency)
    )


def _urgency(run: UpgradeRun) -> tuple[bool, bool, bool, float, str]:
    planned = run.status is not None and run.status.snapshot is not None
    refused = run.status is not None and not planned and bool(run.status.conditions)
    created = run.metadata.creation_timestamp
    acts = run.spec.dry_run is DryRun.NONE
    return acts, not planned, refused, created.timestamp() if created else 0.0, run.metadata.name


def surplus(runs: Sequence[UpgradeRun], limit: int) -> tuple[UpgradeRun, ...]:
    """Finished runs beyond the policy's history, oldest first."""
    over = sorted(
        (run for run in runs if is_over(run)),
        key=lambda run: run.status.finished_at.timestamp() if run.status and run.status.finished_at else 0.0,
        reverse=True,
    )
    return tuple(reversed(over[limit:]))
