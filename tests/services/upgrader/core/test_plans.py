"""Plans: sound ones, unsound ones, and which leads where."""

import pytest

from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.plans import (
    Chosen,
    Refusal,
    Route,
    choose,
    dependents,
    flaw,
    in_order,
    plan_hash,
)
from steward.jsonvalue import JsonObject
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version, VersionRange
from steward.resources.base import ObjectMeta
from steward.resources.upgrade_plan import InstallMethod, UpgradePlan, UpgradePlanSpec
from tests.services.upgrader.paper import shipped_plans

LOGICAL = LogicalVersions.of((), shipped())


def spec(**changes: object) -> UpgradePlanSpec:
    """A plan of three steps, changed as a test wants it."""
    given: dict[str, object] = {
        "from": {"range": ">=25.10.7 <26.6.3"},
        "to": {"range": ">=26.6.3"},
        "gateTemplates": [{"name": "check", "type": "LinkerdCheck"}],
        "steps": [
            {"name": "preflight", "type": "Preflight", "gates": ["check"]},
            {"name": "crds", "type": "ApplyCRDs", "dependsOn": ["preflight"]},
            {"name": "control-plane", "type": "UpgradeControlPlane", "dependsOn": ["crds"]},
        ],
        **changes,
    }
    return UpgradePlanSpec.model_validate(given)


def plan(name: str, **changes: object) -> UpgradePlan:
    return UpgradePlan(metadata=ObjectMeta(name=name), spec=spec(**changes))


def route(source: str, target: str, method: InstallMethod = InstallMethod.HELM) -> Route:
    return Route(Version.parse(source), Version.parse(target), method)


STEPS: list[JsonObject] = [
    {"name": "c", "type": "Gate", "gates": ["check"], "dependsOn": ["b"]},
    {"name": "a", "type": "Preflight"},
    {"name": "b", "type": "ApplyCRDs", "dependsOn": ["a"]},
]


def test_steps_are_taken_after_those_they_depend_on() -> None:
    ordered = in_order(spec(steps=STEPS).steps)
    assert ordered is not None
    assert [step.name for step in ordered] == ["a", "b", "c"]


def test_everything_that_waits_for_a_step_is_found_through_others() -> None:
    assert dependents(spec(steps=STEPS).steps, "a") == {"b", "c"}


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        pytest.param({}, None, "", id="a sound plan"),
        pytest.param(
            {
                "steps": [
                    {"name": "a", "type": "Preflight", "dependsOn": ["b"]},
                    {"name": "b", "type": "ApplyCRDs", "dependsOn": ["a"]},
                    {"name": "c", "type": "Prune", "dependsOn": ["b"]},
                ]
            },
            "Circle",
            "a, b, c",
            id="steps that wait for each other",
        ),
        pytest.param(
            {"steps": [{"name": "a", "type": "Preflight", "gates": ["nobody"]}]},
            "UnknownGate",
            "'nobody'",
            id="a gate that is not there",
        ),
        pytest.param(
            {"steps": [{"name": "a", "type": "Preflight", "dependsOn": ["z"]}]},
            "UnknownStep",
            "'z'",
            id="a step that is not there",
        ),
        pytest.param(
            {"steps": [{"name": "a", "type": "Preflight"}, {"name": "a", "type": "ApplyCRDs"}]},
            "NameTwice",
            "'a'",
            id="a name given twice",
        ),
    ],
)
def test_a_plan_that_cannot_be_used_says_why(changes: dict[str, object], reason: str | None, words: str) -> None:
    found = flaw(spec(**changes))
    assert (found.reason if found else None) == reason
    assert words in (found.message if found else "")


def test_a_plan_has_the_same_hash_whatever_it_is_called() -> None:
    assert plan_hash(plan("one").spec) == plan_hash(plan("other").spec)
    assert plan_hash(plan("one").spec) != plan_hash(plan("one", priority=1).spec)


def test_the_highest_priority_wins() -> None:
    found = choose([plan("low"), plan("high", priority=5)], route("edge-25.10.7", "edge-26.6.3"), LOGICAL)
    assert isinstance(found, Chosen)
    assert found.plan.metadata.name == "high"


def test_a_tie_names_both_plans() -> None:
    found = choose([plan("left"), plan("right")], route("edge-25.10.7", "edge-26.6.3"), LOGICAL)
    assert isinstance(found, Refusal)
    assert found.reason == "PlanTie"
    assert "'left'" in found.message
    assert "'right'" in found.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"from": {"range": ">=26.0.0"}}, "it begins at >=26.0.0", id="another beginning"),
        pytest.param({"to": {"range": ">=27.0.0"}}, "it leads to >=27.0.0", id="another end"),
        pytest.param(
            {"installMethods": ["CLI"]}, "it is for CLI, and the installation is Helm", id="another installer"
        ),
        pytest.param(
            {"from": {"range": ">=25.10.7", "logicalVersions": ["2.18"]}},
            "edge-25.10.7 is 2.19",
            id="another 2.X before",
        ),
        pytest.param(
            {"to": {"range": ">=26.6.3", "logicalVersion": "2.21"}}, "edge-26.6.3 is 2.20", id="another 2.X after"
        ),
    ],
)
def test_without_a_plan_each_one_says_why_it_is_not_for_this(changes: dict[str, object], words: str) -> None:
    found = choose([plan("mine", **changes)], route("edge-25.10.7", "edge-26.6.3"), LOGICAL)
    assert isinstance(found, Refusal)
    assert found.reason == "NoPlan"
    assert words in found.message


def test_without_any_plan_the_remedy_is_named() -> None:
    found = choose([], route("edge-25.10.7", "edge-26.6.3"), LOGICAL)
    assert isinstance(found, Refusal)
    assert "kubectl apply" in found.message


@pytest.mark.parametrize("method", list(InstallMethod))
@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("edge-25.4.4", "edge-25.10.7", "linkerd-2.18-to-2.19"),
        ("edge-25.7.6", "edge-25.11.3", "linkerd-2.18-to-2.19"),
        ("edge-25.10.7", "edge-26.6.3", "linkerd-2.19-to-2.20"),
        ("edge-25.10.7", "edge-26.8.3", "linkerd-2.19-to-2.20"),
        ("edge-26.6.3", "edge-26.8.3", "linkerd-within-2.20"),
        ("edge-25.10.7", "edge-26.1.1", "linkerd-within-2.19"),
        ("edge-25.4.4", "edge-25.7.6", "linkerd-within-2.18"),
    ],
)
def test_exactly_one_shipped_plan_leads_each_way(source: str, target: str, name: str, method: InstallMethod) -> None:
    found = choose(shipped_plans(), route(source, target, method), LOGICAL)
    assert isinstance(found, Chosen), found
    assert found.plan.metadata.name == name


@pytest.mark.parametrize("shipped_plan", shipped_plans(), ids=lambda each: each.metadata.name)
def test_a_shipped_plan_is_sound_and_has_the_notices_of_its_way(shipped_plan: UpgradePlan) -> None:
    assert flaw(shipped_plan.spec) is None
    begin = VersionRange.parse(shipped_plan.spec.from_.range).bounds[0][1]
    known = {notice.text: notice.since for notice in shipped().notices}
    assert set(shipped_plan.spec.notices) <= set(known)
    wanted = {
        text
        for text, since in known.items()
        if since.channel == "edge" and since.parts > begin and _belongs(since, shipped_plan)
    }
    assert set(shipped_plan.spec.notices) == wanted


def _belongs(since: Version, shipped_plan: UpgradePlan) -> bool:
    """Whether a notice meets whoever goes from the plan's first release to the first, or last, one that it leads to."""
    target = VersionRange.parse(shipped_plan.spec.to.range)
    if shipped_plan.spec.from_.range == shipped_plan.spec.to.range:
        return target.contains(since)
    return since.parts <= target.bounds[0][1]
