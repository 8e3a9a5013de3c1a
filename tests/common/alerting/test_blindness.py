"""Alerts whose metrics are missing: each metric of the pack dropped and renamed, one after the other."""

from functools import cache

import pytest

from steward.alerting.blindness import Blind, BlindReason, blind
from steward.alerting.families import Appears, Family, catalogue
from steward.alerting.pack import asked_of, shipped_pack
from steward.alerting.reading import read
from steward.alerting.rendering import Rendered, render
from steward.alerting.rules import Alerting, Group, Recording, Severity
from steward.linkerd.version import Version
from tests.common.alerting.found import VERSIONS, monitoring

KNOWN = catalogue()


@cache
def exposed(version: Version | None) -> frozenset[str]:
    return frozenset(series for family in KNOWN.exposed(version) for series in family.series)


@cache
def rendered(version: Version | None) -> Rendered:
    return render(shipped_pack(), monitoring(version=version))


def alerts_that_need(found: Rendered, names: frozenset[str]) -> set[str]:
    return {
        rule.alert
        for group in found.groups
        for rule in group.rules
        if isinstance(rule, Alerting) and read(rule.expr).needed & names
    }


def used(found: Rendered) -> list[Family]:
    asked = {name for group in found.groups for rule in group.rules for name in asked_of(rule.expr)}
    return sorted(
        {family.name: family for name in asked if (family := KNOWN.family(name))}.values(), key=lambda each: each.name
    )


PAIRS = [(version, family) for version in VERSIONS for family in used(rendered(version))]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_no_alert_is_blind_where_everything_is_exposed(version: Version) -> None:
    assert blind(rendered(version).groups, exposed(version)) == ()


@pytest.mark.parametrize(("version", "family"), PAIRS, ids=[f"{version}-{family.name}" for version, family in PAIRS])
@pytest.mark.parametrize("renamed", [False, True], ids=["dropped", "renamed"])
def test_an_alert_whose_metric_is_dropped_or_renamed_is_told(
    version: Version, family: Family, *, renamed: bool
) -> None:
    found = rendered(version)
    gone = frozenset(family.series)
    present = exposed(version) - gone | ({f"{name}_renamed" for name in gone} if renamed else set())
    told = blind(found.groups, present)
    assert {each.alert for each in told} == alerts_that_need(found, gone)
    for each in told:
        assert set(each.metrics) <= gone
        assert each.certain == (family.appears is Appears.ALWAYS)
        assert each.sentence.startswith(f"{each.alert} {'cannot fire' if each.certain else 'may be blind'}: ")


def test_every_metric_of_the_pack_has_an_alert_that_is_told_but_those_that_are_asked_for_absence_alone() -> None:
    found = rendered(VERSIONS[-1])
    assert all(alerts_that_need(found, frozenset(family.series)) for family in used(found))


def test_a_page_that_nobody_scrapes_makes_even_rare_counters_certain() -> None:
    page = {name for name in exposed(None) if name.startswith("apiserver_")}
    (injector,) = [
        each
        for each in blind(rendered(None).groups, exposed(None) - page)
        if each.alert == "LinkerdInjectorFailingOpen"
    ]
    assert injector == Blind(
        "LinkerdInjectorFailingOpen",
        ("apiserver_admission_webhook_fail_open_count",),
        BlindReason.METRIC_MISSING,
        "LinkerdInjectorFailingOpen cannot fire: Prometheus does not have apiserver_admission_webhook_fail_open_count.",
    )


def test_nothing_scraped_leaves_only_what_asks_for_absence_or_for_nothing() -> None:
    told = {each.alert for each in blind(rendered(VERSIONS[-1]).groups, ())}
    seeing = {alert.name for alert in shipped_pack().alerts} - told
    assert seeing == {"LinkerdControlPlaneComponentDown", "LinkerdStewardExporterMissing", "Watchdog"}


def test_a_recorded_series_is_there_where_its_sources_are() -> None:
    group = Group(
        "objectives",
        (
            Recording("a:rate5m", "sum(rate(response_total[5m]))"),
            Recording("a:burn", "a:rate5m / 0.001 + a:burn"),
            Alerting("WebBurns", "a:burn > 14.4", Severity.CRITICAL),
            Alerting("WebGone", "my_own_metric == 0", Severity.WARNING),
        ),
    )
    assert blind([group], {"response_total", "my_own_metric"}) == ()
    burns, gone = blind([group], {"a:rate5m", "a:burn"})
    assert (burns.alert, burns.metrics, burns.certain) == ("WebBurns", ("response_total",), True)
    assert (gone.alert, gone.metrics, gone.certain) == ("WebGone", ("my_own_metric",), True)
