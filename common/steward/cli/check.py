"""What the facts mean: a list of claims, each of which is true, or says why not and what to do. Pure."""

from collections.abc import Callable
from typing import TypeVar

from steward.cli.check_facts import Facts, Seen, Sight, Unseen
from steward.cli.check_installation import (
    dead_letter_problem,
    definition_problem,
    namespace_problem,
    stream_problem,
    workload_problem,
)
from steward.cli.check_mesh import channel_problem, feature_problem, policy_problem, suite_problem
from steward.cli.check_report import Category, Problem, Result, Verdict
from steward.cli.check_work import (
    advice_problem,
    drift_problem,
    freshness_problem,
    plan_problem,
    proxy_problem,
    run_problem,
)

T = TypeVar("T")

CATEGORY = "linkerd-steward"
DATA_PLANE = "linkerd-steward-data-plane"


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
    return _judged("custom resource definitions are installed", facts.definitions, definition_problem)


def namespace_exists(facts: Facts) -> Verdict:
    """Exactly one namespace is labelled as this extension's, or Linkerd itself warns."""
    return _judged("extension namespace exists", facts.namespaces, namespace_problem)


def services_are_ready(facts: Facts) -> Verdict:
    """Every service has as many ready replicas as it should."""
    leader = facts.leader.value if isinstance(facts.leader, Seen) else ""
    return _judged("services are ready", facts.workloads, lambda workloads: workload_problem(workloads, leader))


def nats_is_reachable(facts: Facts) -> Verdict:
    """NATS answers, is new enough, and has JetStream."""
    return _judged("NATS is reachable and new enough", facts.nats, lambda _: None)


def streams_exist(facts: Facts) -> Verdict:
    """The streams that the services make at their start are there."""
    return _judged("event streams exist", facts.nats, stream_problem, unseen=Result.WARNING)


def nothing_was_given_up(facts: Facts) -> Verdict:
    """No event waits among the dead letters."""
    return _judged("no event was given up", facts.nats, dead_letter_problem, unseen=Result.WARNING)


def catalog_is_fresh(facts: Facts) -> Verdict:
    """version-watcher has looked at its sources lately, and they answered."""
    return _judged("release catalog is fresh", facts.catalogs, lambda catalogs: freshness_problem(catalogs, facts.at))


def running_release_is_advised(facts: Facts) -> Verdict:
    """Nobody advises against the release that runs."""
    return _judged("running release is not advised against", facts.catalogs, advice_problem)


def mesh_is_as_expected(facts: Facts) -> Verdict:
    """version-watcher sees no difference between the mesh and its configuration."""
    return _judged("mesh is as expected", facts.catalogs, drift_problem)


def plans_are_valid(facts: Facts) -> Verdict:
    """upgrader can use every saved plan."""
    return _judged("upgrade plans are valid", facts.plans, plan_problem)


def no_run_is_stalled(facts: Facts) -> Verdict:
    """Every run that is not over goes on, and the last one did not fail."""
    return _judged("no upgrade run is stalled", facts.runs, lambda runs: run_problem(runs, facts.at))


def suites_are_valid(facts: Facts) -> Verdict:
    """conformance can run every suite."""
    return _judged("conformance suites are valid", facts.suites, suite_problem)


def no_feature_fails(facts: Facts) -> Verdict:
    """conformance, as far as it was asked, found every feature of the mesh to work."""
    return _judged("no feature of the mesh fails", facts.exercises, feature_problem)


def policies_are_in_force(facts: Facts) -> Verdict:
    """Every alert that is asked for is in force, and sees what it is about."""
    return _judged("alert policies are in force", facts.policies, policy_problem)


def channels_are_in_force(facts: Facts) -> Verdict:
    """Alertmanager knows every channel."""
    return _judged("alert channels are in force", facts.channels, channel_problem)


def proxies_are_current(facts: Facts) -> Verdict:
    """Every meshed pod runs the proxy that new pods get."""
    return _judged("data plane proxies are current", facts.catalogs, proxy_problem)


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
    suites_are_valid,
    no_feature_fails,
    policies_are_in_force,
    channels_are_in_force,
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
