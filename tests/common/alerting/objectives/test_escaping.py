"""Names that other people chose cannot change a query or a text: read by a real Prometheus, not by ourselves."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.alerting.objectives.rendering import RenderedPolicy, rendered_policy
from steward.alerting.promql import literally
from steward.alerting.rules import rule_document
from steward.jsonvalue import Json, JsonObject, dig, text
from steward.resources.alert_policy import CustomRule, Granularity, Side, TargetKind, TargetRef
from steward.testing.monitoring.prometheus import Prometheus
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from steward.yamlvalue import render_yaml
from tests.common.alerting.objectives.shop import FAST, SUCCESS, mesh, monitoring, policy, profile, route, service

pytestmark = [pytest.mark.monitoring, pytest.mark.asyncio(loop_scope="module")]

NASTY = (
    'web"} or vector(1) #',
    "web\\",
    'web\\"',
    "web\nor vector(1)",
    "{{ $value }}",
    "{{",
    "}}{{ query `up` }}",
    "{",
    "web.*|.+",
    "web[5m])) or (vector(1",
    "$1${1}",
    "\u202eweb\u2028\ufeff\U0001f600\u00e9",
    "\x00\x07\x7f\x85",
    "' or '",
    "`",
)
PIECES = st.sampled_from((*NASTY, "web", ".", "-", ":8080", "(", ")", "|", "\\n", "%", "\t", "\r"))
NAMES = (
    (st.sampled_from(NASTY) | st.lists(PIECES, min_size=1, max_size=4).map("".join) | st.text(min_size=1, max_size=20))
    .map(lambda name: name[:60])
    .filter(lambda name: name.strip("."))
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(monitoring_tools: MonitoringTools) -> AsyncIterator[Prometheus]:
    """One that reads queries."""
    async with Prometheus(monitoring_tools) as server:
        yield server


def rendered(name: str, side: Side = Side.CLIENT, granularity: Granularity = Granularity.TARGET) -> RenderedPolicy:
    """A policy of every kind of target, all of which are called `name`, as its labels are."""
    # A Service's address has dots in their places; that of something else may have them anywhere.
    dotless, away = name.replace(".", ""), f"{name}.example"
    address = f"{dotless}.shop.svc.cluster.local"
    facts = mesh(
        service(dotless),
        service("api", selector={"app": name}),
        profiles=(profile(address, routes=(name,)), profile("api.shop.svc.cluster.local", name), profile(away)),
        http=(route(name, parents=({"group": "core", "kind": "Service", "name": "api"},)),),
    )
    wanted = policy(
        SUCCESS,
        FAST,
        targets=(
            TargetRef(name=dotless),
            TargetRef(name="api"),
            TargetRef(kind=TargetKind.HTTP_ROUTE, name=name),
            TargetRef(kind=TargetKind.SERVICE_PROFILE, name=address),
            TargetRef(kind=TargetKind.SERVICE_PROFILE, name=away),
        ),
        side=side,
        granularity=granularity,
        team=name,
        labels={"tier": name},
        rules=(CustomRule(name="Own", expr="vector(1) > 0", summary=name, description=f"{name} is slow"),),
    )
    metadata = wanted.metadata.model_copy(update={"name": name})
    return rendered_policy(wanted.model_copy(update={"metadata": metadata}), facts, monitoring())


async def parsed(prometheus: Prometheus, found: RenderedPolicy) -> Json:
    """All queries as one tree."""
    together = " or ".join(f"({rule.expr})" for group in found.groups for rule in group.rules)
    return dig(await prometheus.get("/api/v1/parse_query", {"query": together}), "data")


def renamed(tree: Json, name: str, *, pattern: bool = False) -> Json:
    """The tree of a query about `PLAIN`, as it must be of one about `name`."""
    if isinstance(tree, dict):
        inside = text(tree, "type") in ("=~", "!~")
        return {key: renamed(member, name, pattern=inside) for key, member in tree.items()}
    if isinstance(tree, list):
        return [renamed(member, name) for member in tree]
    if not isinstance(tree, str):
        return tree
    written = literally if pattern else str
    for plain, other in ((PLAIN, name), (PLAIN.replace(".", ""), name.replace(".", ""))):
        tree = tree.replace(written(plain), written(other))
    return tree


PLAIN = "plain.name"
LOOKS = st.tuples(st.sampled_from(Side), st.sampled_from(Granularity))


@settings(max_examples=40)
@given(name=NAMES, look=LOOKS)
async def test_a_name_is_a_value_in_a_query_and_nothing_else(
    prometheus: Prometheus, name: str, look: tuple[Side, Granularity]
) -> None:
    plain, hostile = await parsed(prometheus, rendered(PLAIN, *look)), await parsed(prometheus, rendered(name, *look))
    assert hostile == renamed(plain, name)


@settings(max_examples=15)
@given(names=st.lists(NAMES, min_size=3, max_size=6, unique=True))
async def test_any_name_makes_rules_that_load(each_monitoring_tools: MonitoringTools, names: list[str]) -> None:
    groups = [
        replace(group, name=f"{number}/{group.name}")
        for number, name in enumerate(names)
        for group in rendered(name).groups
    ]
    verdict = await Promtool(each_monitoring_tools).check_rules(render_yaml(rule_document(groups)))
    assert verdict.ok, verdict.output


def firing(name: str) -> JsonObject:
    """What the alert of one's own must say once it fires."""
    labels: JsonObject = {
        "alertname": "Own",
        "namespace": "shop",
        "policy": name,
        "team": name,
        "tier": name,
        "severity": "warning",
    }
    annotations: JsonObject = {"summary": name, "description": f"{name} is slow", "runbook": "Own"}
    return {"exp_labels": labels, "exp_annotations": annotations}


@settings(max_examples=15)
@given(name=NAMES)
async def test_a_name_is_told_as_it_is(each_monitoring_tools: MonitoringTools, name: str) -> None:
    """A template in it is text, and asks for nothing."""
    rule: JsonObject = {"eval_time": "1m", "alertname": "Own", "exp_alerts": [firing(name)]}
    series: JsonObject = {"series": "up", "values": "1 1"}
    test: JsonObject = {"interval": "1m", "input_series": [series], "alert_rule_test": [rule]}
    own = [group for group in rendered(name).groups if group.name.endswith("/rules")]
    verdict = await Promtool(each_monitoring_tools).test_rules({"tests": [test]}, render_yaml(rule_document(own)))
    assert verdict.ok, verdict.output
