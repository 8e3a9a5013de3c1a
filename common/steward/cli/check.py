"""What the facts mean: a list of claims, each of which is true, or says why not and what to do. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from steward.cli.check_facts import Definition, Facts, NatsFact, Sight, Unseen, Workload
from steward.cli.check_report import Category, Result, Verdict
from steward.cli.explain import INSTALL
from steward.cli.go_flags import spelled
from steward.cli.run_view import is_over, status_of, trouble, word
from steward.events.versions import Recommendation
from steward.resources import ReleaseCatalog, UpgradePlan, UpgradeRun
from steward.resources.base import Condition, ConditionStatus, condition_of
from steward.resources.release_catalog import MeshStatus
from steward.resources.upgrade_run import Phase, StepState

T = TypeVar("T")

API_VERSION = "v1alpha1"
CATEGORY = "linkerd-steward"
DATA_PLANE = "linkerd-steward-data-plane"
SERVICES = ("version-watcher", "upgrader", "nats")
_STALE_AFTER = timedelta(hours=24)
_FEW = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and how bad it is."""

    says: str
    result: Result = Result.ERROR


def evaluate(facts: Facts, *, proxy: bool = False) -> tuple[Category, ...]:
    """Every claim, in the order in which a person would look. Without an API server there is only the first."""
    if isinstance(facts.server_version, Unseen):
        return (Category(CATEGORY, (can_query_the_api(facts),)),)
    categories = [Category(CATEGORY, tuple(claim(facts) for claim in CLAIMS))]
    if proxy:
        categories.append(Category(DATA_PLANE, tuple(claim(facts) for claim in PROXY_CLAIMS)))
    return tuple(categories)


def can_query_the_api(facts: Facts) -> Verdict:
    """Nothing else can be told without it."""
    return _judged("can query the Kubernetes API", facts.server_version, lambda _: None)


def definitions_are_installed(facts: Facts) -> Verdict:
    """Each is there, established, and serves the version that this command speaks."""
    return _judged("custom resource definitions are installed", facts.definitions, _definitions)


def namespace_exists(facts: Facts) -> Verdict:
    """Exactly one namespace is labelled as this extension's, or Linkerd itself warns."""
    return _judged("extension namespace exists", facts.namespaces, _namespaces)


def services_are_ready(facts: Facts) -> Verdict:
    """Every service has as many ready replicas as it should."""
    return _judged("services are ready", facts.workloads, _workloads)


def nats_is_reachable(facts: Facts) -> Verdict:
    """NATS answers, is new enough, and has JetStream."""
    return _judged("NATS is reachable and new enough", facts.nats, lambda _: None)


def streams_exist(facts: Facts) -> Verdict:
    """The streams that the services make at their start are there."""
    return _judged("event streams exist", facts.nats, _streams, unseen=Result.WARNING)


def nothing_was_given_up(facts: Facts) -> Verdict:
    """No event waits among the dead letters."""
    return _judged("no event was given up", facts.nats, _dead_letters, unseen=Result.WARNING)


def catalog_is_fresh(facts: Facts) -> Verdict:
    """version-watcher has looked at its sources lately, and they answered."""
    return _judged("release catalog is fresh", facts.catalogs, lambda catalogs: _freshness(catalogs, facts.at))


def running_release_is_advised(facts: Facts) -> Verdict:
    """Nobody advises against the release that runs."""
    return _judged("running release is not advised against", facts.catalogs, _advice)


def mesh_is_as_expected(facts: Facts) -> Verdict:
    """version-watcher sees no difference between the mesh and its configuration."""
    return _judged("mesh is as expected", facts.catalogs, _drift)


def plans_are_valid(facts: Facts) -> Verdict:
    """upgrader can use every saved plan."""
    return _judged("upgrade plans are valid", facts.plans, _plans)


def no_run_is_stalled(facts: Facts) -> Verdict:
    """Every run that is not over goes on, and the last one did not fail."""
    return _judged("no upgrade run is stalled", facts.runs, lambda runs: _stalled(runs, facts.at))


def proxies_are_current(facts: Facts) -> Verdict:
    """Every meshed pod runs the proxy that new pods get."""
    return _judged("data plane proxies are current", facts.catalogs, _proxies)


CLAIMS: tuple[Callable[[Facts], Verdict], ...] = (
    can_query_the_api,
    definitions_are_installed,
    namespace_exists,
    services_are_ready,
    nats_is_reachable,
    streams_exist,
    nothing_was_given_up,
    catalog_is_fresh,
    running_release_is_advised,
    mesh_is_as_expected,
    plans_are_valid,
    no_run_is_stalled,
)
PROXY_CLAIMS: tuple[Callable[[Facts], Verdict], ...] = (proxies_are_current,)


def _judged(
    description: str, sight: Sight[T], judge: Callable[[T], Problem | None], *, unseen: Result = Result.ERROR
) -> Verdict:
    """The verdict on what was seen; what could not be seen is never a success."""
    if isinstance(sight, Unseen):
        return Verdict(description, unseen, sight.why)
    problem = judge(sight.value)
    return Verdict(description) if problem is None else Verdict(description, problem.result, problem.says)


def _definitions(definitions: Sequence[Definition]) -> Problem | None:
    missing = [each.name for each in definitions if not each.installed]
    if missing:
        return Problem(f"{_names(missing)}: not installed; {INSTALL}")
    idle = [each.name for each in definitions if not each.established]
    if idle:
        return Problem(f"{_names(idle)}: not established; kubectl describe crd {idle[0]}")
    foreign = next((each for each in definitions if API_VERSION not in each.versions), None)
    if foreign is None:
        return None
    served = ", ".join(foreign.versions) or "nothing"
    return Problem(
        f"{foreign.name} serves {served}, and this command speaks {API_VERSION}; "
        "use the linkerd-steward of the installed version"
    )


def _namespaces(namespaces: Sequence[str]) -> Problem | None:
    if not namespaces:
        return Problem(f"no namespace is labelled linkerd.io/extension=steward; {INSTALL}")
    if len(namespaces) > 1:
        says = f"{_names(namespaces)} are all labelled linkerd.io/extension=steward; keep one"
        return Problem(says, Result.WARNING)
    return None


def _workloads(workloads: Sequence[Workload]) -> Problem | None:
    missing = [name for name in SERVICES if not any(each.name == name for each in workloads)]
    if missing:
        return Problem(f"{_names(missing)}: not installed; {INSTALL}")
    unready = [each for each in workloads if each.ready < each.wanted]
    if unready:
        first = unready[0]
        states = ", ".join(
            f"{each.kind} {each.name} has {each.ready} of {each.wanted} replicas ready" for each in unready
        )
        return Problem(f"{states}; kubectl -n linkerd-steward describe {first.kind.lower()} {first.name}")
    asleep = [each.name for each in workloads if each.wanted == 0]
    return Problem(f"{_names(asleep)}: scaled to zero", Result.WARNING) if asleep else None


def _streams(nats: NatsFact) -> Problem | None:
    if not nats.missing:
        return None
    return Problem(f"{_names(nats.missing)}: missing; the services make them when they start", Result.WARNING)


def _dead_letters(nats: NatsFact) -> Problem | None:
    if not nats.dead_letters:
        return None
    return Problem(f"{nats.dead_letters} dead letters; linkerd steward dead-letters list", Result.WARNING)


def _freshness(catalogs: Sequence[ReleaseCatalog], now: datetime) -> Problem | None:
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


def _advice(catalogs: Sequence[ReleaseCatalog]) -> Problem | None:
    for catalog in catalogs:
        mesh = catalog.status.mesh if catalog.status else None
        for release in catalog.status.releases if catalog.status and mesh else ():
            against = release.recommendation is Recommendation.NOT_RECOMMENDED
            if mesh is not None and release.version == mesh.control_plane and against:
                instead = f"; use {release.superseded_by}" if release.superseded_by else ""
                return Problem(f"{release.version}: {release.reason or 'not recommended'}{instead}", Result.WARNING)
    return None


def _drift(catalogs: Sequence[ReleaseCatalog]) -> Problem | None:
    drifted = _false(catalogs, "MeshAsExpected")
    if drifted is not None:
        return Problem(f"{drifted.reason}: {drifted.message}", Result.WARNING)
    drifts = [drift for mesh in _meshes(catalogs) for drift in mesh.drifts]
    if drifts:
        return Problem("\n".join(f"{drift.kind}: {drift.message}" for drift in drifts), Result.WARNING)
    return None if _meshes(catalogs) else Problem("version-watcher has not looked at the mesh yet", Result.WARNING)


def _plans(plans: Sequence[UpgradePlan]) -> Problem | None:
    if not plans:
        return Problem(f"there is no UpgradePlan, so nothing can be upgraded; {INSTALL}", Result.WARNING)
    said = []
    for plan in plans:
        valid = condition_of(plan.status.conditions, "Valid") if plan.status else None
        if valid is not None and valid.status is ConditionStatus.FALSE:
            said.append(f"{plan.metadata.name}: {valid.reason}: {valid.message}")
    return Problem("\n".join(said), Result.WARNING) if said else None


def _stalled(runs: Sequence[UpgradeRun], now: datetime) -> Problem | None:
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


def _proxies(catalogs: Sequence[ReleaseCatalog]) -> Problem | None:
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


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_FEW])
    return f"{shown} and {len(names) - _FEW} more" if len(names) > _FEW else shown
