"""Who would be told, told as amtool tells it."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steward.alerting.channels.model import Configuration, Grouping, Receiver, Route
from steward.alerting.channels.plain import document, rendered
from steward.alerting.channels.target import Target
from steward.alerting.inhibition import Inhibition, severe_mutes_lesser
from steward.alerting.matching import fits, mutes
from steward.alerting.promql import Matcher
from steward.alerting.routing import Circumstances, SilenceInForce, who_is_told
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Amtool
from steward.yamlvalue import render_yaml
from tests.common.alerting.channels.specimens import HOME, KINDS, channel, target

LABELS = ("alertname", "namespace", "severity", "team")
VALUES = ("", "a", "b", "a.b", "a|b", 'q"', "back\\slash", "new\nline", "A", "ü", "{{x}}", "a,b", "$")

texts = st.sampled_from(VALUES)
equalities = st.builds(Matcher, st.sampled_from(LABELS), st.sampled_from(("=", "!=")), texts)
alternatives = st.builds(Matcher.any_of, st.sampled_from(LABELS), st.lists(texts, min_size=1, max_size=3))
refusals = st.builds(
    lambda matcher: Matcher(matcher.label, "!~", matcher.value),
    alternatives,
)
patterns = st.builds(
    Matcher, st.sampled_from(LABELS), st.sampled_from(("=~", "!~")), st.sampled_from(("a.*", ".+", "[a-b]"))
)
matchers = st.lists(equalities | alternatives | refusals | patterns, max_size=2).map(tuple)


@st.composite
def routes(draw: st.DrawFn, depth: int = 3) -> Route:
    """A route, sometimes without a receiver of its own, with routes below it."""
    below = st.lists(routes(depth - 1), max_size=3).map(tuple) if depth else st.just(())
    return Route(
        receiver=draw(st.sampled_from(("", "one", "two", "three", "four"))),
        matchers=draw(matchers),
        goes_on=draw(st.booleans()),
        routes=draw(below),
    )


trees = st.lists(routes(), max_size=4).map(
    lambda below: Configuration(
        Route("root", grouping=Grouping(), routes=tuple(below)),
        tuple(Receiver(name) for name in ("root", "one", "two", "three", "four")),
    )
)
alerts = st.dictionaries(st.sampled_from(LABELS), texts, min_size=1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tree=trees, labels=st.lists(alerts, min_size=3, max_size=3))
def test_the_routes_lead_where_alertmanager_says_they_lead(
    tree: Configuration, labels: list[dict[str, str]], each_monitoring_tools: MonitoringTools
) -> None:
    text = render_yaml(document(tree, Target("home")))

    async def ask() -> None:
        for each in labels:
            said = await Amtool(each_monitoring_tools).routes_test(text, each)
            assert said.ok, said.output
            assert tuple(told.receiver for told in who_is_told(tree, each).told) == said.receivers

    asyncio.run(ask())


async def test_the_channels_that_are_told_are_those_that_amtool_names(each_monitoring_tools: MonitoringTools) -> None:
    found = rendered(
        [
            channel(HOME, "all", **KINDS["hook"]),
            channel(HOME, "pages", **KINDS["hook"], match={"severities": ["critical"]}),
            channel("emojivoto", "own", **KINDS["hook"]),
            channel("books", "own", **KINDS["hook"]),
        ],
        target((0, 22)),
    )
    assert found.document is not None
    for labels, receivers in (
        ({"alertname": "A", "severity": "critical"}, ("linkerd-steward", f"{HOME}/all", f"{HOME}/pages")),
        (
            {"alertname": "A", "severity": "info", "namespace": "emojivoto"},
            ("linkerd-steward", "emojivoto/own", f"{HOME}/all"),
        ),
        ({"alertname": "A", "severity": "none"}, ("linkerd-steward",)),
        ({"alertname": "Watchdog", "severity": "critical", "namespace": "books"}, ("linkerd-steward",)),
    ):
        assert who_is_told(found.configuration, labels).notified == receivers
        said = await Amtool(each_monitoring_tools).routes_test(render_yaml(found.document), labels)
        assert said.receivers == receivers


def test_who_is_not_told_is_told_why() -> None:
    pages = Matcher.equal("severity", "critical")
    tree = Configuration(
        Route(
            "root",
            routes=(
                Route("pages", (pages,)),
                Route("team", (Matcher.equal("team", "mesh"),), goes_on=True, routes=(Route("night", (pages,)),)),
                Route("rest"),
                Route("never"),
            ),
        ),
        (),
    )
    answer = who_is_told(tree, {"severity": "warning", "team": "mesh"})
    assert [(each.receiver, each.path) for each in answer.told] == [
        ("team", ((), (Matcher.equal("team", "mesh"),))),
        ("rest", ((), ())),
    ]
    assert [(each.receiver, each.reason, each.failed) for each in answer.not_told] == [
        ("pages", "NotMatched", pages),
        ("night", "NotMatched", pages),
        ("never", "Taken", None),
    ]


def test_a_quiet_time_keeps_only_its_own_route_from_being_told() -> None:
    tree = Configuration(Route("root", routes=(Route("quiet", goes_on=True, muted_at=("night",)), Route("awake"))), ())
    labels = {"alertname": "A"}
    assert who_is_told(tree, labels, Circumstances(muted=frozenset({"night"}))).notified == ("awake",)
    assert who_is_told(tree, labels).notified == ("quiet", "awake")


def test_silenced_or_inhibited_nobody_is_told_and_the_answer_says_by_what() -> None:
    tree = Configuration(Route("root"), (), (severe_mutes_lesser(),))
    warning = {"alertname": "A", "severity": "warning", "namespace": "n", "service": "web"}
    silence = SilenceInForce("s1", (Matcher.equal("alertname", "A"),), "by hand")
    silenced = who_is_told(tree, warning, Circumstances(silences=(silence,)))
    assert (silenced.notified, silenced.silenced) == ((), (silence,))
    same, other = {**warning, "severity": "critical"}, {**warning, "severity": "critical", "service": "voting"}
    inhibited = who_is_told(tree, warning, Circumstances(firing=(warning, other, same)))
    assert (inhibited.notified, [each.by for each in inhibited.inhibited]) == ((), [same])
    assert who_is_told(tree, warning, Circumstances(firing=(warning, other))).notified == ("root",)


def test_what_both_lack_is_equal_unless_it_is_asked_for() -> None:
    down = Inhibition((Matcher.equal("alertname", "Down"),), (Matcher.equal("alertname", "Slow"),), ("cluster",))
    assert mutes(down, {"alertname": "Down"}, {"alertname": "Slow"})
    assert not mutes(down.where_present(), {"alertname": "Down"}, {"alertname": "Slow"})
    assert mutes(down.where_present(), {"alertname": "Down", "cluster": "c"}, {"alertname": "Slow", "cluster": "c"})
    assert not mutes(down, {"alertname": "Down", "cluster": "c"}, {"alertname": "Slow"})


def test_an_alert_that_fits_both_sides_is_muted_by_one_that_does_not_only() -> None:
    rule = Inhibition((Matcher.equal("a", "1"),), (Matcher.fits("b", "1|2"),))
    both = {"a": "1", "b": "1"}
    assert not mutes(rule, both, both)
    assert not mutes(rule, {"a": "1", "b": "2"}, both)
    assert mutes(rule, {"a": "1"}, both)


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_inhibition_without_conditions_would_mute_everything_and_is_refused(side: str) -> None:
    sides = {"source": (Matcher.equal("a", "b"),), "target": (Matcher.equal("c", "d"),), side: ()}
    with pytest.raises(ValueError, match="which alerts mute"):
        Inhibition(sides["source"], sides["target"])


def test_an_expression_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        fits(Matcher("a", "=~", "("), {"a": "b"})
