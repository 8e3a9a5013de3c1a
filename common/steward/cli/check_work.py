"""What may be wrong with what Steward does: catalog, mesh, plans, runs. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from steward.cli.check_conditions import invalid_problem
from steward.cli.check_report import Problem, Result
from steward.cli.explain import INSTALL
from steward.cli.go_flags import spelled
from steward.cli.run_view import is_over, status_of, trouble, word
from steward.events.versions import Recommendation
from steward.resources import ReleaseCatalog, UpgradePlan, UpgradeRun
from steward.resources.base import Condition, ConditionStatus, condition_of
from steward.resources.release_catalog import MeshStatus
from steward.resources.upgrade_run import Phase, StepState

_STALE_AFTER = timedelta(hours=24)
_FEW = 5


def freshness_problem(catalogs: Sequence[ReleaseCatalog], now: datetime) -> Problem | None:
    """A catalog that nobody writes, or whose sources do not answer."""
    if not any(catalog.status for catalog in catalogs):
        return Problem("there is no ReleaseCatalog with a status; is version-watcher running?")
    stale = _false(catalogs, "Fresh")
    if stale is not None:
        return Problem(f"{stale.reason}: {stale.message}", Result.WARNING)
    attempts = [
        source.last_attempt_at
        for catalog in catalogs
        for source in (catalog.status.sources if catalog.status else ())
        if source.last_attempt_at is not None
    ]
    if attempts and now - max(attempts) > _STALE_AFTER:
        return Problem(f"no source was asked for {spelled(now - max(attempts))}; is version-watcher running?")
    return None


def advice_problem(catalogs: Sequence[ReleaseCatalog]) -> Problem | None:
    """A running release that is not recommended."""
    for catalog in catalogs:
        mesh = catalog.status.mesh if catalog.status else None
        for release in catalog.status.releases if catalog.status and mesh else ():
            against = release.recommendation is Recommendation.NOT_RECOMMENDED
            if mesh is not None and release.version == mesh.control_plane and against:
                instead = f"; use {release.superseded_by}" if release.superseded_by else ""
                return Problem(f"{release.version}: {release.reason or 'not recommended'}{instead}", Result.WARNING)
    return None


def drift_problem(catalogs: Sequence[ReleaseCatalog]) -> Problem | None:
    """A mesh that differs from its own configuration."""
    drifted = _false(catalogs, "MeshAsExpected")
    if drifted is not None:
        return Problem(f"{drifted.reason}: {drifted.message}", Result.WARNING)
    drifts = [drift for mesh in _meshes(catalogs) for drift in mesh.drifts]
    if drifts:
        return Problem("\n".join(f"{drift.kind}: {drift.message}" for drift in drifts), Result.WARNING)
    return None if _meshes(catalogs) else Problem("version-watcher has not looked at the mesh yet", Result.WARNING)


def plan_problem(plans: Sequence[UpgradePlan]) -> Problem | None:
    """A plan that upgrader cannot use."""
    if not plans:
        return Problem(f"there is no UpgradePlan, so nothing can be upgraded; {INSTALL}", Result.WARNING)
    return invalid_problem((plan.metadata.name, plan.status.conditions if plan.status else ()) for plan in plans)


def run_problem(runs: Sequence[UpgradeRun], now: datetime) -> Problem | None:
    """A run that does not go on, or the last one that failed."""
    for run in runs:
        if not is_over(run):
            problem = _held_up(run, now)
            if problem is not None:
                return problem
    finished = [run for run in runs if status_of(run).finished_at is not None]
    last = max(finished, key=lambda run: status_of(run).finished_at or now, default=None)
    if last is not None and status_of(last).phase is Phase.FAILED:
        said = word(last)
        return Problem(f"UpgradeRun {last.metadata.name} failed{f': {said}' if said else ''}", Result.WARNING)
    return None


def _held_up(run: UpgradeRun, now: datetime) -> Problem | None:
    name = run.metadata.name
    said = trouble(run)
    if said is not None:
        result = Result.ERROR if said.type == "Stalled" else Result.WARNING
        return Problem(f"UpgradeRun {name}: {said}; linkerd steward upgrade status {name}", result)
    if status_of(run).phase is Phase.PAUSED:
        return Problem(f"UpgradeRun {name} is paused; linkerd steward upgrade resume {name}", Result.WARNING)
    silent, allowed = _silence(run, now)
    if silent > allowed:
        return Problem(
            f"UpgradeRun {name}: nothing has happened for {spelled(silent)}, and its step may take "
            f"{spelled(allowed)}; is upgrader running?"
        )
    return None


def _silence(run: UpgradeRun, now: datetime) -> tuple[timedelta, timedelta]:
    """How long a run has not moved, and how long its step may take."""
    status = status_of(run)
    moments = [each.time for each in status.transitions]
    moments += [each.updated_at for each in status.steps if each.updated_at is not None]
    last = max([*moments, run.metadata.creation_timestamp or now])
    allowed = 900
    if status.snapshot is not None:
        plan = status.snapshot.plan_spec
        active = {each.name for each in status.steps if each.state in (StepState.RUNNING, StepState.VERIFYING)}
        limits = [
            step.timeout_seconds for step in plan.steps if step.name in active and step.timeout_seconds is not None
        ]
        allowed = max([plan.defaults.timeout_seconds, *limits])
    return now - last, timedelta(seconds=allowed)


def proxy_problem(catalogs: Sequence[ReleaseCatalog]) -> Problem | None:
    """Pods on another proxy than new pods get."""
    meshes = _meshes(catalogs)
    if not meshes:
        return Problem("version-watcher has not looked at the mesh yet", Result.WARNING)
    for mesh in meshes:
        others = [each for each in mesh.proxies if each.pods and each.version != mesh.expected_proxy]
        if others:
            listed = ", ".join(f"{each.pods} pods run {each.version or 'an unknown proxy'}" for each in others[:_FEW])
            return Problem(f"{listed}, and new pods get {mesh.expected_proxy or 'an unknown one'}", Result.WARNING)
    return None


def _meshes(catalogs: Sequence[ReleaseCatalog]) -> list[MeshStatus]:
    return [catalog.status.mesh for catalog in catalogs if catalog.status and catalog.status.mesh]


def _false(catalogs: Sequence[ReleaseCatalog], type: str) -> Condition | None:
    for catalog in catalogs:
        found = condition_of(catalog.status.conditions, type) if catalog.status else None
        if found is not None and found.status is not ConditionStatus.TRUE:
            return found
    return None
