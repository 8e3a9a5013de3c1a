"""Which release would be upgraded to, and why not another."""

from datetime import UTC, datetime, timedelta

import pytest

from services.upgrader.core.candidate import Candidate, NoWay, Situation, UpToDate, find
from services.upgrader.core.logical import LogicalVersions
from steward.events.versions import Recommendation
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.resources.release_catalog import ChannelStatus, Head, ReleaseCatalogStatus, ReleaseEntry
from steward.resources.upgrade_plan import InstallMethod
from steward.resources.upgrade_policy import TargetSelector, UpgradePolicySpec
from tests.services.upgrader.paper import shipped_plans

NOW = datetime(2026, 9, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=60)


def entry(version: str, recommendation: Recommendation | None = Recommendation.RECOMMENDED) -> ReleaseEntry:
    return ReleaseEntry(version=version, recommendation=recommendation)


def situation(
    *releases: ReleaseEntry,
    running: str = "edge-26.6.3",
    head: str = "edge-26.8.3",
    seen: datetime = LONG_AGO,
    offered: str = "",
    selector: TargetSelector | None = None,
) -> Situation:
    """A cluster whose channel has that head, and whose catalog has those releases."""
    channel = ChannelStatus(
        name="edge",
        head=head,
        head_observed_at=seen,
        offered=offered or head,
        regressed=bool(offered),
        previous_heads=(Head(version="edge-26.7.1", observed_at=LONG_AGO),),
    )
    catalog = ReleaseCatalogStatus(channels=(channel,), releases=releases)
    return Situation(
        policy=UpgradePolicySpec(target_selector=selector or TargetSelector()),
        catalog=catalog,
        plans=shipped_plans(),
        running=Version.parse(running),
        method=InstallMethod.HELM,
        logical=LogicalVersions.of(releases, shipped()),
        now=NOW,
    )


def test_the_head_is_the_candidate_when_nothing_speaks_against_it() -> None:
    found = find(situation(entry("edge-26.8.3")))
    assert isinstance(found, Candidate)
    assert str(found.version) == "edge-26.8.3"
    assert found.chosen.plan.metadata.name == "linkerd-within-2.20"


def test_an_older_recommended_release_is_taken_when_the_newest_is_not() -> None:
    found = find(situation(entry("edge-26.8.3", Recommendation.NOT_RECOMMENDED), entry("edge-26.7.1")))
    assert isinstance(found, Candidate)
    assert str(found.version) == "edge-26.7.1"


def test_what_runs_already_is_no_candidate() -> None:
    found = find(situation(entry("edge-26.8.3"), running="edge-26.8.3"))
    assert isinstance(found, UpToDate)


def test_a_release_above_the_highest_head_is_no_candidate() -> None:
    found = find(situation(entry("edge-26.9.1"), entry("edge-26.8.3")))
    assert isinstance(found, Candidate)
    assert str(found.version) == "edge-26.8.3"


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        pytest.param(
            situation(entry("edge-26.8.3", None)),
            "RecommendationUnknown",
            "nobody recommends",
            id="unknown is not a yes",
        ),
        pytest.param(
            situation(entry("edge-26.8.3", Recommendation.NOT_RECOMMENDED)),
            "NotRecommended",
            "edge-26.8.3 is not recommended",
            id="not recommended",
        ),
        pytest.param(
            situation(entry("edge-26.8.3"), seen=NOW - timedelta(days=2)),
            "TooYoung",
            "until 2026-09-06",
            id="too young",
        ),
        pytest.param(
            situation(entry("edge-26.8.3"), selector=TargetSelector(range="<26.8.0")),
            "OutOfRange",
            "'<26.8.0'",
            id="outside the range",
        ),
        pytest.param(
            situation(entry("edge-26.8.3"), running="edge-25.4.4"),
            "TooFar",
            "2 logical versions",
            id="two logical steps",
        ),
        pytest.param(
            situation(entry("edge-26.8.3"), running="edge-23.1.1"),
            "LogicalVersionUnknown",
            "add logicalVersion",
            id="a logical version that nobody knows",
        ),
        pytest.param(
            situation(entry("edge-26.8.3"), offered="edge-26.6.2"),
            "HeadRegressed",
            "went back",
            id="a head that went back",
        ),
        pytest.param(situation(running="stable-2.14.10"), "OtherChannel", "spec.channel", id="another channel"),
    ],
)
def test_every_refusal_names_its_reason_and_the_remedy(given: Situation, reason: str, words: str) -> None:
    found = find(given)
    assert isinstance(found, NoWay)
    assert found.refusal.reason == reason
    assert words in found.refusal.message


def test_the_policy_may_take_what_nobody_recommends() -> None:
    selector = TargetSelector(require_recommended=False, minimum_release_age_seconds=0)
    found = find(situation(entry("edge-26.8.3", None), selector=selector, seen=NOW))
    assert isinstance(found, Candidate)


def test_even_then_what_is_not_recommended_is_not_taken() -> None:
    selector = TargetSelector(require_recommended=False)
    found = find(situation(entry("edge-26.8.3", Recommendation.NOT_RECOMMENDED), selector=selector))
    assert isinstance(found, NoWay)


def test_a_person_who_writes_the_logical_version_opens_the_way() -> None:
    odd = ReleaseEntry(version="edge-26.8.3", recommendation=Recommendation.RECOMMENDED, logical_version="2.20")
    assert isinstance(find(situation(odd)), Candidate)


def test_without_a_head_nothing_is_decided() -> None:
    empty = situation()
    blind = Situation(
        policy=empty.policy,
        catalog=ReleaseCatalogStatus(),
        plans=empty.plans,
        running=empty.running,
        method=empty.method,
        logical=empty.logical,
        now=NOW,
    )
    found = find(blind)
    assert isinstance(found, NoWay)
    assert found.refusal.reason == "HeadUnknown"
