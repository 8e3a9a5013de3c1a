"""Is a plan sound, and which one leads from here to there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.upgrader.core.logical import LogicalVersions, written
from services.upgrader.core.operations import digest_of
from steward.linkerd.version import MalformedVersion, Version, VersionRange
from steward.resources.upgrade_plan import InstallMethod, Step, StepType, UpgradePlan, UpgradePlanSpec

CHANGES = frozenset({StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE, StepType.PRUNE, StepType.RESTART_WORKLOADS})
"""Step types that change the cluster."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: a reason for programs, a sentence for people that ends with the remedy."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plan that leads there."""

    plan: UpgradePlan
    plan_hash: str


@dataclass(frozen=True, slots=True)
class Route:
    """From where to where, on which kind of installation."""

    source: Version
    target: Version
    method: InstallMethod


def plan_hash(spec: UpgradePlanSpec) -> str:
    """The identity of what a plan does; the plan's name is no part of it."""
    return digest_of(spec)


def in_order(steps: Sequence[Step]) -> tuple[Step, ...] | None:
    """The steps so that each comes after those it depends on, else as written; None where they form a circle."""
    left = list(steps)
    done: set[str] = set()
    ordered: list[Step] = []
    while left:
        ready = next((step for step in left if done.issuperset(step.depends_on)), None)
        if ready is None:
            return None
        left.remove(ready)
        done.add(ready.name)
        ordered.append(ready)
    return tuple(ordered)


def dependents(steps: Sequence[Step], name: str) -> frozenset[str]:
    """Every step that comes to nothing while `name` is not done."""
    found: set[str] = {name}
    for step in in_order(steps) or ():
        if found.intersection(step.depends_on):
            found.add(step.name)
    return frozenset(found - {name})


def flaw(spec: UpgradePlanSpec) -> Refusal | None:
    """What makes a plan unusable. The schema catches most of it; an older API server, or a file, may not."""
    for check in (_names_are_unique, _names_are_known, _gates_are_known, _is_no_circle, _ranges_are_readable):
        found = check(spec)
        if found is not None:
            return found
    return None


def _names_are_unique(spec: UpgradePlanSpec) -> Refusal | None:
    for names in ([step.name for step in spec.steps], [gate.name for gate in spec.gate_templates]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            return Refusal("NameTwice", f"the name {twice!r} is given twice: rename one of them")
    return None


def _names_are_known(spec: UpgradePlanSpec) -> Refusal | None:
    known = {step.name for step in spec.steps}
    for step in spec.steps:
        for name in step.depends_on:
            if name not in known:
                message = f"step {step.name!r} depends on {name!r}, which the plan does not have: {sorted(known)} exist"
                return Refusal("UnknownStep", message)
    return None


def _gates_are_known(spec: UpgradePlanSpec) -> Refusal | None:
    known = {gate.name for gate in spec.gate_templates}
    for step in spec.steps:
        for name in step.gates:
            if name not in known:
                message = f"step {step.name!r} names gate {name!r}: add it to gateTemplates, which has {sorted(known)}"
                return Refusal("UnknownGate", message)
    return None


def _is_no_circle(spec: UpgradePlanSpec) -> Refusal | None:
    if in_order(spec.steps) is not None:
        return None
    stuck = list(spec.steps)
    while ready := [each for each in stuck if not {other.name for other in stuck}.intersection(each.depends_on)]:
        stuck = [each for each in stuck if each not in ready]
    names = ", ".join(each.name for each in stuck)
    return Refusal("Circle", f"the steps {names} wait for each other: remove one of their dependsOn")


def _ranges_are_readable(spec: UpgradePlanSpec) -> Refusal | None:
    for where, text in (("from", spec.from_.range), ("to", spec.to.range)):
        try:
            VersionRange.parse(text)
        except MalformedVersion as error:
            return Refusal("MalformedRange", f"spec.{where}.range: {error}")
    return None


def choose(plans: Iterable[UpgradePlan], route: Route, logical: LogicalVersions) -> Chosen | Refusal:
    """The matching plan of the highest priority. A tie is nobody's to break but the owner's."""
    misses: list[str] = []
    matching: list[UpgradePlan] = []
    for plan in sorted(plans, key=lambda each: (-each.spec.priority, each.metadata.name)):
        miss = mismatch(plan.spec, route, logical)
        if miss is None:
            matching.append(plan)
        else:
            misses.append(f"{plan.metadata.name}: {miss}")
    if not matching:
        return Refusal("NoPlan", _no_plan(route, misses))
    best = matching[0]
    if len(matching) > 1 and matching[1].spec.priority == best.spec.priority:
        first, second = best.metadata.name, matching[1].metadata.name
        message = (
            f"the plans {first!r} and {second!r} both lead from {route.source} to {route.target} with priority "
            f"{best.spec.priority}: give one of them a higher priority"
        )
        return Refusal("PlanTie", message)
    return Chosen(best, plan_hash(best.spec))


def mismatch(spec: UpgradePlanSpec, route: Route, logical: LogicalVersions) -> str | None:
    """Why a plan is not for this route, None where it is."""
    wrong = flaw(spec)
    if wrong is not None:
        return wrong.message
    if not VersionRange.parse(spec.from_.range).contains(route.source):
        return f"it begins at {spec.from_.range}, not at {route.source}"
    if not VersionRange.parse(spec.to.range).contains(route.target):
        return f"it leads to {spec.to.range}, not to {route.target}"
    if route.method not in spec.install_methods:
        return f"it is for {', '.join(spec.install_methods)}, and the installation is {route.method}"
    return _logical_mismatch(spec, route, logical)


def _logical_mismatch(spec: UpgradePlanSpec, route: Route, logical: LogicalVersions) -> str | None:
    source = written(logical.of_version(route.source))
    if spec.from_.logical_versions and source not in spec.from_.logical_versions:
        return f"it begins at {', '.join(spec.from_.logical_versions)}, and {route.source} is {source}"
    target = written(logical.of_version(route.target))
    if spec.to.logical_version is not None and target != spec.to.logical_version:
        return f"it leads to {spec.to.logical_version}, and {route.target} is {target}"
    return None


def _no_plan(route: Route, misses: Sequence[str]) -> str:
    where = f"no UpgradePlan leads from {route.source} to {route.target} ({route.method})"
    if not misses:
        return f"{where}: there is none at all; `kubectl apply` the shipped ones, or write one"
    return f"{where}: write one, or widen one of these. {'; '.join(misses[:10])}"
