"""alertmanager.yml, as the Alertmanager that it is written for takes it."""

import asyncio
import json
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steward.alerting.channels.plain import Rendered, rendered
from steward.alerting.channels.target import TRIAL, Target
from steward.alerting.inhibition import Inhibition
from steward.alerting.monitoring import NUMBER
from steward.alerting.promql import Matcher
from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.resources.alert_channel import AlertChannel
from steward.testing.monitoring.tools import Generation, MonitoringTools
from steward.testing.monitoring.verdict import Amtool
from steward.yamlvalue import render_yaml
from tests.common.alerting.channels.specimens import CURRENT, HOME, KINDS, NASTY, NEEDS, OLD, channel, target

VERSIONS = {Generation.CURRENT: CURRENT, Generation.OLD: OLD}
SENDS_RESOLVED: tuple[JsonObject, ...] = ({}, {"sendResolved": False})
GROUPS: tuple[JsonObject, ...] = ({}, {"groupBy": []}, {"groupBy": ["severity"], "groupWaitSeconds": 0})
MATCHES: tuple[JsonObject, ...] = (
    {},
    {"match": {"severities": ["critical"]}},
    {"match": {"severities": ["critical", "warning", "none"], "teams": ["a", "b"], "alerts": ["LinkerdX"]}},
    {"match": {"labels": {"service": "web", "tier": ""}, "namespaces": ["emojivoto"]}},
)
QUIET: tuple[JsonObject, ...] = (
    {},
    {"quiet": [{"begins": "22:00", "ends": "06:00", "days": ["Saturday", "Sunday"]}]},
    {"quiet": [{}], "timeZone": "Europe/Berlin"},
)


def every_combination() -> list[AlertChannel]:
    """Every kind with every choice, at home and elsewhere."""
    choices = product(KINDS.values(), SENDS_RESOLVED, GROUPS, MATCHES, QUIET, (HOME, "emojivoto"))
    return [
        channel(namespace, f"channel-{number}", **{**kind, **resolved, **group, **match, **quiet})
        for number, (kind, resolved, group, match, quiet, namespace) in enumerate(choices)
    ]


def document_of(found: Rendered) -> JsonObject:
    assert found.document is not None
    return found.document


def receiver(found: Rendered, name: str) -> JsonObject:
    """The only configuration of a receiver."""
    here = next(each for each in rows(document_of(found), "receivers") if text(each, "name") == name)
    kind = next(key for key in here if key != "name")
    return {"kind": kind, **rows(here, kind)[0]}


def route(found: Rendered, name: str) -> JsonObject:
    return next(each for each in rows(document_of(found), "route", "routes") if text(each, "receiver") == name)


async def check(found: Rendered, tools: MonitoringTools) -> None:
    verdict = await Amtool(tools).check_config(render_yaml(document_of(found)))
    assert verdict.ok, verdict.output


async def test_every_kind_with_every_choice_is_taken_by_the_version_it_is_written_for(
    each_monitoring_tools: MonitoringTools,
) -> None:
    version = VERSIONS[each_monitoring_tools.generation]
    found = rendered(every_combination(), target(version))
    await check(found, each_monitoring_tools)
    kinds = len(KINDS)
    offered = sum(needed <= version for needed in NEEDS.values())
    assert len(found.outlets) == len(every_combination()) * offered // kinds
    assert len(found.refused) == len(every_combination()) * (kinds - offered) // kinds


@pytest.mark.parametrize("version", [(), (0, 22, 0), (0, 24, 0)], ids=str)
async def test_what_is_written_for_older_ones_is_taken_by_all_later(
    version: NUMBER, each_monitoring_tools: MonitoringTools
) -> None:
    await check(rendered(every_combination(), target(version)), each_monitoring_tools)


@pytest.mark.parametrize("count", [0, 1, 200])
async def test_any_number_of_channels_is_taken(count: int, each_monitoring_tools: MonitoringTools) -> None:
    kinds = list(KINDS.values())
    channels = [channel(f"team-{number}", "alerts", **kinds[number % len(kinds)]) for number in range(count)]
    found = rendered(channels, target(VERSIONS[each_monitoring_tools.generation]))
    await check(found, each_monitoring_tools)
    assert len(found.outlets) + len(found.refused) == count


async def test_without_a_webhook_of_its_own_steward_is_not_told(each_monitoring_tools: MonitoringTools) -> None:
    version = VERSIONS[each_monitoring_tools.generation]
    found = rendered([channel(HOME, "hook", **KINDS["hook"])], Target(HOME, version))
    await check(found, each_monitoring_tools)
    routes = rows(document_of(found), "route", "routes")
    assert [text(each, "receiver") for each in routes] == ["nobody", "nobody", f"{HOME}/hook"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_nobodys_text_changes_what_a_configuration_says(
    data: st.DataObject, each_monitoring_tools: MonitoringTools
) -> None:
    texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    few = st.lists(texts, max_size=3, unique=True)

    def match() -> JsonObject:
        labels: JsonObject = {label: data.draw(texts) for label in ("service", "route")}
        return {"teams": [*data.draw(few)], "alerts": [*data.draw(few)], "labels": labels}

    channels = [
        channel(namespace, f"{kind}{suffix}", **{**KINDS[kind], "match": match()})
        for namespace in (HOME, *data.draw(st.lists(texts.filter(bool), max_size=1)))
        for suffix in data.draw(st.lists(texts, min_size=1, max_size=2, unique=True))
        for kind in ("mail", "slack", "hook")
    ]
    found = rendered(channels, target(VERSIONS[each_monitoring_tools.generation]))
    assert not found.refused
    asyncio.run(check(found, each_monitoring_tools))
    assert len(rows(document_of(found), "receivers")) == 2 + len(channels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "version", [(0, 22), (0, 24), (0, 25), (0, 27, 0), (0, 28), (0, 29, 1), (0, 30), CURRENT], ids=str
)
def test_a_kind_is_told_from_the_version_on_that_has_it(kind: str, version: NUMBER) -> None:
    found = rendered([channel(HOME, "here", **KINDS[kind])], target(version))
    assert bool(found.outlets) is (version >= NEEDS[kind])
    for refused in found.refused:
        assert refused.object == f"AlertChannel/{HOME}/here"
        assert f"Alertmanager {'.'.join(map(str, version))} does not have" in refused.message
        assert f"bring Alertmanager to {'.'.join(map(str, NEEDS[kind]))}" in refused.remedy


def test_a_version_that_nobody_knows_is_taken_for_the_oldest_and_said_so() -> None:
    found = rendered([channel(HOME, kind, **KINDS[kind]) for kind in KINDS], target(()))
    assert {each.channel.name for each in found.outlets} == {"mail", "slack", "hook", "hook-with-token"}
    assert all("the version of Alertmanager is not known" in each.message for each in found.refused)


def test_before_matchers_nothing_can_be_told() -> None:
    found = rendered([channel(HOME, "hook", **KINDS["hook"])], target((0, 21, 0)))
    assert found.document is None
    assert [each.reason for each in found.refused] == ["AlertmanagerTooOld"]


@pytest.mark.parametrize(
    ("version", "field", "there"),
    [((0, 25), "timeout", False), ((0, 27), "timeout", False), ((0, 28), "timeout", True), (CURRENT, "timeout", True)],
    ids=str,
)
def test_a_webhook_is_not_waited_for_longer_than_can_be_said(version: NUMBER, field: str, *, there: bool) -> None:
    found = rendered([channel(HOME, "hook", **KINDS["hook"])], target(version))
    assert (field in receiver(found, f"{HOME}/hook")) is there


@pytest.mark.parametrize(
    ("version", "field"),
    [((0, 22), "mute_time_intervals"), ((0, 23), "mute_time_intervals"), ((0, 24), "time_intervals")],
)
def test_quiet_times_are_written_as_the_version_has_them(version: NUMBER, field: str) -> None:
    quiet = channel(HOME, "hook", **KINDS["hook"], quiet=[{"begins": "22:00", "ends": "06:00", "days": ["Friday"]}])
    found = rendered([quiet], target(version))
    assert dig(document_of(found), field) == [
        {
            "name": f"{HOME}/hook",
            "time_intervals": [
                {"weekdays": ["friday"], "times": [{"start_time": "22:00", "end_time": "24:00"}]},
                {"weekdays": ["saturday"], "times": [{"start_time": "00:00", "end_time": "06:00"}]},
            ],
        }
    ]
    assert dig(route(found, f"{HOME}/hook"), "mute_time_intervals") == [f"{HOME}/hook"]


def test_a_time_zone_needs_a_version_that_has_them() -> None:
    here = channel(HOME, "hook", **KINDS["hook"], quiet=[{}], timeZone="Europe/Berlin")
    assert [each.reason for each in rendered([here], target((0, 24))).refused] == ["NoTimeZones"]
    found = rendered([here], target((0, 25)))
    assert dig(document_of(found), "time_intervals", 0, "time_intervals", 0, "location") == "Europe/Berlin"


def test_every_receiver_says_whether_it_is_told_of_the_end() -> None:
    channels = [
        channel(HOME, f"{kind}-{said}", **KINDS[kind], sendResolved=said) for kind in KINDS for said in (True, False)
    ]
    found = rendered(channels, target())
    for each in channels:
        assert receiver(found, f"{HOME}/{each.metadata.name}")["send_resolved"] is each.spec.send_resolved


def test_the_watchdog_goes_to_steward_alone_and_everything_else_to_steward_first() -> None:
    found = rendered([channel(HOME, "hook", **KINDS["hook"])], target())
    root = table(document_of(found), "route")
    assert text(root, "receiver") == "nobody"
    assert "matchers" not in root
    assert "mute_time_intervals" not in root
    watchdog, _, own, hook = rows(root, "routes")
    assert watchdog == {
        "receiver": "linkerd-steward",
        "matchers": ['alertname="Watchdog"'],
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "60s",
        "repeat_interval": "60s",
    }
    assert (own["receiver"], own["continue"], own["group_by"]) == ("linkerd-steward", True, ["..."])
    assert "matchers" not in own
    assert hook["continue"] is True


async def test_a_trial_goes_to_the_channel_that_it_is_for_and_to_nobody_else(
    each_monitoring_tools: MonitoringTools,
) -> None:
    channels = [channel("shop", name, **KINDS["hook"]) for name in ("one", "two")]
    found = rendered(channels, target(VERSIONS[each_monitoring_tools.generation]))
    told = {"shop/one": ("shop/one",), "shop/two": ("shop/two",), "shop/gone": ("nobody",), "": None}
    amtool, document = Amtool(each_monitoring_tools), json.dumps(document_of(found))
    for trial, wanted in told.items():
        labels = {"alertname": "StewardTest", "severity": "info", "namespace": "shop", TRIAL: trial}
        routed = await amtool.routes_test(document, labels)
        assert routed.receivers == (wanted or ("linkerd-steward", "shop/one", "shop/two"))


def test_steward_is_told_with_its_token() -> None:
    own = receiver(rendered([], target()), "linkerd-steward")
    assert own == {
        "kind": "webhook_configs",
        "send_resolved": True,
        "url": "http://127.0.0.1:9465/alertmanager",
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": "/run/steward/token"}},
        "max_alerts": 0,
        "timeout": "10s",
    }


@pytest.mark.parametrize(
    ("interval", "repeat", "told"),
    [(300, 3600, "3600s"), (300, 3601, "3900s"), (300, 100, "300s"), (7, 60, "63s"), (1, 1, "1s")],
)
def test_a_repetition_comes_at_a_multiple_of_the_interval(interval: int, repeat: int, told: str) -> None:
    here = channel(HOME, "hook", **KINDS["hook"], groupIntervalSeconds=interval, repeatSeconds=repeat)
    found = rendered([here], target())
    assert route(found, f"{HOME}/hook")["repeat_interval"] == told
    assert [each.reason for each in found.remarks] == ([] if told == f"{repeat}s" else ["RepeatRounded"])


def test_elsewhere_than_at_home_a_channel_is_told_of_its_own_namespace_only() -> None:
    here, there = channel(HOME, "hook", **KINDS["hook"]), channel("emojivoto", "hook", **KINDS["hook"])
    found = rendered([here, there], target())
    assert route(found, f"{HOME}/hook")["matchers"] == ['severity!="none"']
    assert route(found, "emojivoto/hook")["matchers"] == ['namespace="emojivoto"', 'severity!="none"']


def test_every_condition_of_a_channel_is_written() -> None:
    match: Json = {
        "severities": ["critical", "warning"],
        "namespaces": ["emojivoto", "books.app"],
        "teams": ['a"b'],
        "alerts": ["LinkerdX"],
        "labels": {"tier": "back\\end"},
    }
    found = rendered([channel(HOME, "hook", **KINDS["hook"], match=match)], target())
    assert route(found, f"{HOME}/hook")["matchers"] == [
        'namespace=~"emojivoto|books\\\\.app"',
        'severity=~"critical|warning"',
        'team="a\\"b"',
        'alertname="LinkerdX"',
        'tier="back\\\\end"',
    ]


async def test_no_inhibition_of_the_packs_is_lost(each_monitoring_tools: MonitoringTools) -> None:
    down = Inhibition(
        (Matcher.equal("alertname", "LinkerdComponentDown"), Matcher.equal("component", "destination")),
        (Matcher.any_of("alertname", ("LinkerdA.b", 'Linkerd"C')),),
        ("cluster",),
    )
    found = rendered([], Target(HOME, OLD, inhibitions=(down, down.where_present())))
    await check(found, each_monitoring_tools)
    first, second = rows(document_of(found), "inhibit_rules")
    assert first == {
        "source_matchers": ['alertname="LinkerdComponentDown"', 'component="destination"'],
        "target_matchers": ['alertname=~"LinkerdA\\\\.b|Linkerd\\"C"'],
        "equal": ["cluster"],
    }
    assert dig(second, "source_matchers", 2) == 'cluster!=""'
