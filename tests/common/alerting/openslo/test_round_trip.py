"""An AlertPolicy goes through OpenSLO and back unchanged, but for what is named as lost."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from steward.alerting.openslo.documents import LONGEST_NAME, Kind, named
from steward.alerting.openslo.reading import policies_from_openslo
from steward.alerting.openslo.writing import openslo_of
from steward.alerting.rules import Severity
from steward.jsonvalue import Json, JsonObject, dig, text, walk
from steward.resources.alert_policy import (
    AlertPolicy,
    AlertPolicySpec,
    ControlPlane,
    CustomRule,
    Granularity,
    LatencyObjective,
    Objective,
    Side,
    TargetKind,
    TargetRef,
)
from steward.resources.base import ObjectMeta
from steward.yamlvalue import parse_yaml, render_yaml

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
PERCENT = st.floats(1, 99.999) | st.sampled_from([1.0, 50.0, 90.0, 95.0, 99.0, 99.9, 99.999])
WINDOWS = st.sampled_from([86_400, 604_800, 2_419_200, 2_592_000, 7_776_000, 90_000]) | st.integers(86_400, 7_776_000)
LATENCY = st.builds(LatencyObjective, within_milliseconds=st.integers(1, 50_000), percent=PERCENT)
GOALS: tuple[st.SearchStrategy[tuple[float | None, LatencyObjective | None]], ...] = (
    st.tuples(PERCENT, st.none()),
    st.tuples(st.none(), LATENCY),
    st.tuples(st.none(), st.none()),
    st.tuples(PERCENT, LATENCY),
)


@st.composite
def objectives(draw: st.DrawFn) -> tuple[Objective, ...]:
    """Up to four, none with the name of another."""
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    goals = [draw(st.one_of(GOALS)) for _ in names]
    return tuple(
        Objective(name=name, window_seconds=draw(WINDOWS), success_percent=success, latency=latency)
        for name, (success, latency) in zip(names, goals, strict=True)
    )


TARGETS = st.lists(
    st.builds(TargetRef, kind=st.sampled_from(TargetKind), name=NAMES | st.text(min_size=1, max_size=80)),
    max_size=3,
    unique=True,
).map(tuple)
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,9}", fullmatch=True), st.text(max_size=8) | NAMES, max_size=3
)
POLICIES = st.builds(
    AlertPolicy,
    metadata=st.builds(ObjectMeta, name=NAMES, namespace=NAMES),
    spec=st.builds(
        AlertPolicySpec,
        control_plane=st.none() | st.just(ControlPlane()),
        targets=TARGETS,
        objectives=objectives(),
        granularity=st.sampled_from(Granularity),
        side=st.sampled_from(Side),
        minimum_requests_per_second=st.floats(0, 1_000_000),
        severity=st.sampled_from(Severity),
        team=st.just("") | st.text(min_size=1, max_size=63),
        labels=LABELS,
        rules=st.just(()) | st.just((CustomRule(name="Own", expr="up == 0"),)),
    ),
)


def without(policy: AlertPolicy, lost: set[str]) -> AlertPolicySpec | None:
    """What is left of a policy without the members that are named; None where no objective is."""
    spec = policy.spec
    kept = tuple(each for each in spec.objectives if f"spec.objectives.{each.name}" not in lost)
    unsaid = {each.name for each in kept if f"spec.objectives.{each.name}: spec.severity" in lost}
    if not kept or not spec.targets:
        return None
    return spec.model_copy(
        update={
            "control_plane": None,
            "rules": (),
            "objectives": kept,
            "team": "" if "spec.team" in lost else spec.team,
            "labels": {key: value for key, value in spec.labels.items() if f"spec.labels.{key}" not in lost},
            "severity": Severity.CRITICAL if len(unsaid) == len(kept) else spec.severity,
        }
    )


@settings(max_examples=80)
@given(policy=POLICIES)
def test_what_is_not_named_as_lost_comes_back(policy: AlertPolicy) -> None:
    written = openslo_of(policy)
    documents = [parse_yaml(render_yaml(document)) for document in written.documents]
    read = policies_from_openslo([each for each in documents if isinstance(each, dict)], "elsewhere")
    expected = without(policy, {each.what for each in written.lost})
    assert read.lost == ()
    assert [each.spec for each in read.policies] == ([] if expected is None else [expected])
    for each in read.policies:
        assert (each.metadata.namespace, each.metadata.name) == (policy.metadata.namespace, policy.metadata.name)


@settings(max_examples=40)
@given(policy=POLICIES)
def test_every_document_is_one_of_the_specification(policy: AlertPolicy) -> None:
    """As the authors' own validation: names are DNS labels, references lead somewhere, one condition each."""
    documents = openslo_of(policy).documents
    known = {(text(each, "kind"), text(each, "metadata", "name")) for each in documents}
    assert len(known) == len(documents)
    for each in documents:
        assert text(each, "apiVersion") == "openslo/v1"
        name = text(each, "metadata", "name")
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name), name
        assert len(name) <= LONGEST_NAME
        assert len(text(each, "metadata", "displayName")) <= LONGEST_NAME
        for reference, kind in _references(each):
            assert (kind, reference) in known
        if text(each, "kind") == Kind.ALERT_POLICY:
            assert len(_list(each, "spec", "conditions")) == 1
            assert len(_list(each, "spec", "notificationTargets")) == 1
        if text(each, "kind") == Kind.SLO:
            percent = dig(each, "spec", "objectives", 0, "targetPercent")
            assert isinstance(percent, float)
            assert 0 <= percent < 100


def _references(document: JsonObject) -> list[tuple[str, str]]:
    kinds = {
        "indicatorRef": Kind.SLI,
        "alertPolicyRef": Kind.ALERT_POLICY,
        "conditionRef": Kind.ALERT_CONDITION,
        "targetRef": Kind.NOTIFICATION_TARGET,
    }
    tables = [value for value in walk(document) if isinstance(value, dict)]
    found = [(text(table, member), kind.value) for table in tables for member, kind in kinds.items() if member in table]
    services = [(text(document, "spec", "service"), Kind.SERVICE.value)] if dig(document, "spec", "service") else []
    return found + services


def _list(document: JsonObject, *path: str) -> list[Json]:
    found = dig(document, *path)
    assert isinstance(found, list)
    return found


def test_names_of_different_things_are_different() -> None:
    pairs = [("a", "b-c"), ("a-b", "c"), ("a", "b", "c"), ("a-b-c",), ("a.b.c",), ("A-B-C",), ("",), ("@" * 99,)]
    names = [named(*pair) for pair in pairs]
    assert len(set(names)) == len(pairs)
    assert named("a-b-c") == "a-b-c"
