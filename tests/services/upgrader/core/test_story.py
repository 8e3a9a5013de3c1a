"""The whole story of a run: as text, and as events."""

from collections.abc import Callable

import pytest

from services.upgrader.core.candidate import Candidate
from services.upgrader.core.ledger import status_of
from services.upgrader.core.narrative import narrate
from services.upgrader.core.orders import Broken, Refused
from services.upgrader.core.planning import new_run as body_of
from services.upgrader.core.plans import Chosen, plan_hash
from services.upgrader.core.story import CAUSE, TRACE, story
from steward.events import UpgradePlanned
from steward.events.codec import Known, decode, encode
from steward.linkerd.pods import WorkloadRef
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry
from steward.resources.upgrade_plan import CheckScope, GateType, InstallMethod, StepType
from steward.resources.upgrade_policy import FailurePolicy, UpgradePolicySpec
from steward.resources.upgrade_run import DesiredState, UpgradeRun
from tests.services.upgrader.paper import (
    PaperConductor,
    healthy_check,
    namespace,
    new_run,
    shipped_plans,
    shop,
    without_certificates,
    workload,
)

PLANS = without_certificates(shipped_plans())


def straight() -> UpgradeRun:
    return PaperConductor(shop(), new_run(), plans=PLANS).finish()


def by_cli() -> UpgradeRun:
    return PaperConductor(shop(method=InstallMethod.CLI), new_run(), plans=PLANS).finish()


def with_trouble() -> UpgradeRun:
    """An API server that is away for a while, a check that was red before, workloads that cannot be restarted."""
    cluster = shop()
    cluster.outcomes[StepType.APPLY_CRDS] = Broken("ApiServerUnavailable", "the API server answered 503")
    cluster.answers[GateType.LINKERD_CHECK] = tuple(
        healthy_check(each, error="a root has expired") for each in CheckScope
    )
    cluster.add(workload("Deployment", "shop", "frozen", paused=True))
    cluster.add(workload("StatefulSet", "shop", "stubborn", strategy="OnDelete"))
    cluster.add(workload("Deployment", "shop", "operated", owner="Cache/operated"))
    cluster.namespaces["bank"] = namespace("bank", proxy_upgrade="Auto", hold="end of the quarter")
    cluster.add(workload("Deployment", "bank", "ledger"))
    return PaperConductor(cluster, new_run(), plans=PLANS).finish()


def that_fails_and_is_resumed() -> UpgradeRun:
    """Helm refuses, a person looks and lets it go on."""
    paper = PaperConductor(shop(), new_run(), plans=PLANS)
    paper.cluster.outcomes[StepType.UPGRADE_CONTROL_PLANE] = Refused(
        "PendingUpgrade", "release is locked by another helm"
    )
    paper.finish()
    paper.ask_for(DesiredState.RUN)
    return paper.finish()


def that_loses_its_injector() -> UpgradeRun:
    """The injector goes away just after it was asked, and a pod comes back without its proxy."""
    policy = UpgradePolicySpec(failure_policy=FailurePolicy.ABORT)
    paper = PaperConductor(shop(), new_run(), plans=PLANS, policy=policy)
    while not paper.cluster.restarts:
        if paper.step() is None:
            break
        paper.cluster.tick(0)
    paper.cluster.injects = False
    return paper.finish()


STORIES = {
    "straight": straight,
    "by-cli": by_cli,
    "with-trouble": with_trouble,
    "fails-and-is-resumed": that_fails_and_is_resumed,
    "loses-its-injector": that_loses_its_injector,
}


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_told_as_before(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, narrate(STORIES[name]()))


@pytest.mark.parametrize("name", STORIES)
def test_every_transition_is_exactly_one_event(name: str) -> None:
    run = STORIES[name]()
    events = list(story(run, "test"))
    assert [each.id for each in events] == [f"{run.metadata.uid}/{one.id}" for one in status_of(run).transitions]
    assert len({each.id for each in events}) == len(events)
    for event in events:
        assert isinstance(decode(encode(event)), Known)
        assert event.correlationid == run.metadata.uid
        assert event.cluster == "test"


def test_each_event_names_the_one_before_as_its_cause_and_the_first_what_led_to_the_run() -> None:
    run = straight()
    metadata = run.metadata.model_copy(update={"annotations": {CAUSE: "release/1", TRACE: "00-aa-bb-01"}})
    events = list(story(run.model_copy(update={"metadata": metadata}), "test"))
    assert events[0].causationid == "release/1"
    assert [each.causationid for each in events[1:]] == [each.id for each in events[:-1]]
    assert {each.traceparent for each in events} == {"00-aa-bb-01"}


def test_a_run_that_was_read_back_tells_the_same_bytes() -> None:
    run = with_trouble()
    again = UpgradeRun.of(run.to_json())
    assert [encode(each) for each in story(run, "test")] == [encode(each) for each in story(again, "test")]


def test_the_plan_says_what_meets_people_on_their_way_and_nothing_else() -> None:
    planned = next(iter(story(straight(), "test"))).data
    assert isinstance(planned, UpgradePlanned)
    assert "Kubernetes 1.31 or newer is required." in planned.notices
    assert not any("ARMv7" in each for each in planned.notices)


def test_a_wish_that_was_refused_has_no_story() -> None:
    paper = PaperConductor(shop(), new_run(), plans=())
    paper.step()
    assert list(story(paper.stored, "test")) == []


def test_the_same_release_never_makes_a_second_run() -> None:
    plan = PLANS[1]
    candidate = Candidate(
        Version.parse("edge-26.6.3"), ReleaseEntry(version="edge-26.6.3"), Chosen(plan, plan_hash(plan.spec))
    )
    running = Version.parse("edge-25.10.7")
    first = body_of(candidate, running, "default", cause="new/1")
    second = body_of(candidate, running, "default", cause="new/2")
    assert UpgradeRun.of(first).metadata.name == UpgradeRun.of(second).metadata.name
    assert UpgradeRun.of(body_of(candidate, running, "other")).metadata.name != UpgradeRun.of(first).metadata.name


def test_the_workloads_of_a_failure_are_named() -> None:
    run = that_loses_its_injector()
    workloads = status_of(run).workloads
    assert workloads is not None
    failed = [WorkloadRef(each.kind, each.namespace, each.name) for each in workloads.listed if each.state == "Failed"]
    assert failed
    assert failed[0].name in status_of(run).transitions[-1].message
