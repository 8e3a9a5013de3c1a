"""The pack as data: what it has, that it asks for metrics that exist, and what keeps what quiet."""

import re

import pytest

from steward.alerting.families import catalogue
from steward.alerting.inhibition import SAME_THING, Inhibition, severe_mutes_lesser
from steward.alerting.own_alerts import OWN_ALERTS
from steward.alerting.pack import UPGRADE, About, PackAlert, asked_of, inhibitions, parse_group, shipped_pack
from steward.alerting.rules import Severity
from steward.errors import ConfigurationError

PACK = shipped_pack()
ALERTS = {alert.name: alert for alert in PACK.alerts}
NAMES = [
    "LinkerdIssuerCertificateExpiring",
    "LinkerdTrustAnchorExpiring",
    "LinkerdWebhookCertificateExpiring",
    "LinkerdProxyCertificateNotRenewing",
    "LinkerdProxyCertificateRejected",
    "LinkerdIdentityIssuanceFailing",
    "LinkerdIdentityRequestsRejected",
    "LinkerdInjectorFailingOpen",
    "LinkerdInjectorBlockingPods",
    "LinkerdInjectorSlow",
    "LinkerdInjectorUnansweredRequests",
    "LinkerdDestinationErrors",
    "LinkerdDestinationUpdatesDropped",
    "LinkerdDestinationInformerLag",
    "LinkerdDestinationNoStreams",
    "LinkerdDestinationStreamSkew",
    "LinkerdPolicyWatchErrors",
    "LinkerdPolicyStatusUpdatesFailing",
    "LinkerdPolicyErrors",
    "LinkerdProxyControlPlaneRequestsFailing",
    "LinkerdProxyNoDestinationEndpoints",
    "LinkerdControlPlaneComponentDown",
    "LinkerdControlPlaneReplicaDown",
    "LinkerdControlPlaneNotHA",
    "LinkerdControlPlaneRestarting",
    "LinkerdControlPlaneSuccessRateLow",
    "LinkerdControlPlaneLatencyHigh",
    "LinkerdProxyVersionSkew",
    "LinkerdUnmeshedPods",
    "LinkerdProxyScrapeMissing",
    "LinkerdRequestsShed",
    "LinkerdAuthorizationDenied",
    "LinkerdMulticlusterGatewayDown",
    "LinkerdAlertingPipelineBroken",
]
each_alert = pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)


def document(**alert: str) -> str:
    said = {"name": "Odd", "title": "t", "summary": "s", "description": "d.", **alert}
    members = "".join(f"\n  {key}: {value}" for key, value in said.items())
    return f"group: g\nterms: {{odd: a + b}}\nmatchers: {{some: 'c=\"d\"'}}\nalerts:\n-{members[2:]}"


def targets(found: Inhibition) -> set[str]:
    return {name for each in found.target if each.label == "alertname" for name in each.value.split("|")}


def test_the_thirty_four_alerts_are_there_in_their_numbers_and_the_watchdog_as_well() -> None:
    assert len(ALERTS) == len(PACK.alerts)
    numbered = {alert.number: alert.name for alert in PACK.alerts if alert.number is not None}
    assert [numbered[number] for number in range(1, 35)] == NAMES
    assert ALERTS["Watchdog"].tiers[0].severity is Severity.NONE


@each_alert
def test_an_alert_asks_for_metrics_of_the_catalogue_alone(alert: PackAlert) -> None:
    for tier in alert.tiers:
        for expr in tier.expr:
            for name in asked_of(expr):
                family = catalogue().family(name)
                assert family is not None, name
                assert name in family.series


@each_alert
def test_labels_that_are_matched_and_grouped_by_are_those_of_the_metrics(alert: PackAlert) -> None:
    scraped = {"job", "instance", "namespace", "pod", "component", "deployment", "statefulset", "daemonset", "le"}
    known = catalogue()
    for expr in (expr for tier in alert.tiers for expr in tier.expr):
        had = {
            label for name in asked_of(expr) if (family := known.family(name)) for label in family.labels | family.also
        }
        made = set(re.findall(r'"(\w+)", "[^"]*", "', expr))
        matched = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expr))
        grouped = {
            each for found in re.findall(r"\b(?:by|on) \(([\w, ]*)\)", expr) for each in found.split(", ") if each
        }
        displaced = {"exported_namespace", "exported_version"}
        assert (matched | grouped) - had - made - scraped - displaced == set(), expr


@each_alert
def test_label_values_that_are_matched_exist(alert: PackAlert) -> None:
    for expr in (expr for tier in alert.tiers for expr in tier.expr):
        for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expr):
            family = catalogue().family(name)
            for label, operator, said in re.findall(r"(\w+)(=~|!~|!=|=)\"([^\"]*)\"", matchers):
                values = family.values.get(label, ()) if family else ()
                pattern = said.replace("\\\\", "\\") if "~" in operator else re.escape(said)
                fits = [value for value in values if re.fullmatch(pattern, value)]
                assert not values or "$" in said or fits, f"{name}: {label}{operator}{said}"


@each_alert
def test_an_alert_says_what_it_is_in_words(alert: PackAlert) -> None:
    assert not alert.title.endswith(".")
    assert not alert.summary.endswith(".")
    assert alert.description.endswith(".")
    for said in (alert.summary, alert.description):
        templates = re.findall(r"\{\{ (?:\$value(?: \| \w+)?|\$labels\.\w+) \}\}", said)
        assert said.count("{{") == said.count("}}") == len(templates)
    for tier in alert.tiers:
        assert (tier.threshold is not None) == any("$threshold" in expr for expr in tier.expr)
    assert bool(alert.unit) == any(tier.threshold is not None for tier in alert.tiers)


def test_severities_of_one_alert_differ_and_the_milder_comes_first() -> None:
    order = list(Severity)
    for alert in PACK.alerts:
        places = [order.index(tier.severity) for tier in alert.tiers]
        assert len(set(places)) == len(places), alert.name
        assert places == sorted(places, reverse=True), alert.name


def test_what_explains_an_alert_is_an_alert_with_that_component_and_severity() -> None:
    for alert in PACK.alerts:
        for cause in alert.causes:
            if cause.alert in {own.name for own in OWN_ALERTS}:
                continue
            source = ALERTS[cause.alert]
            assert not cause.component or cause.component in {source.component, *source.components}
            assert cause.severity is None or cause.severity in {tier.severity for tier in source.tiers}
            assert cause.alert != alert.name


def test_what_an_upgrade_explains_is_muted_while_it_lasts() -> None:
    muted = set(PACK.muted_by_upgrade)
    assert muted == {
        "LinkerdControlPlaneReplicaDown",
        "LinkerdControlPlaneNotHA",
        "LinkerdControlPlaneRestarting",
        "LinkerdProxyVersionSkew",
    }
    (found,) = [each for each in inhibitions() if f'alertname="{UPGRADE}"' in map(str, each.source)]
    assert targets(found) == muted


def test_a_control_plane_that_is_down_keeps_its_consequences_quiet_but_not_expired_certificates() -> None:
    found = {
        str(each.source[-1]): targets(each)
        for each in inhibitions()
        if 'alertname="LinkerdControlPlaneComponentDown"' in map(str, each.source)
    }
    number = {alert.name: alert.number for alert in PACK.alerts}
    assert {number[name] for name in found['component="destination"']} == {12, 13, 14, 15, 16, 20, 21}
    assert {number[name] for name in found['component="identity"']} == {4, 5, 6, 7}
    silenced = {name for each in inhibitions() for name in targets(each)}
    assert not silenced & {"LinkerdProxyCertificateExpired", "LinkerdInjectorFailingOpen", "Watchdog"}


def test_nothing_keeps_itself_quiet_and_every_target_is_an_alert_of_the_pack() -> None:
    assert inhibitions()[0] == severe_mutes_lesser()
    for each in inhibitions()[1:]:
        assert 'steward="control-plane"' in {str(matcher) for matcher in each.target}
        assert targets(each) <= set(ALERTS)
        assert not any(str(matcher) == f'alertname="{name}"' for matcher in each.source for name in targets(each))
        assert each.equal[0] == "cluster"


def test_an_expired_certificate_keeps_quiet_what_it_explains() -> None:
    written = [(tuple(map(str, each.source)), tuple(map(str, each.target)), each.equal) for each in inhibitions()]
    assert (
        ('steward="control-plane"', 'alertname="LinkerdProxyCertificateExpired"'),
        (
            'steward="control-plane"',
            'alertname=~"LinkerdProxyCertificateNotRenewing|LinkerdProxyCertificateRejected"',
        ),
        ("cluster", "namespace"),
    ) in written


def test_what_steward_says_of_a_feature_itself_is_not_said_by_prometheus_again() -> None:
    found = {str(each.source[0]): each for each in inhibitions()[1:] if "feature" in each.equal}
    assert set(found) == {'alertname="LinkerdProtectionFailing"', 'alertname="LinkerdFeatureFailing"'}
    assert all(targets(each) == {"LinkerdConformanceFailed"} for each in found.values())


def test_an_alert_with_several_tiers_is_one_thing_by_labels_that_let_its_milder_tier_be_muted() -> None:
    left = {"LinkerdTrustAnchorExpiring": {"namespace", "name", "serial"}, "LinkerdConformanceFailed": {"feature"}}
    for alert in PACK.alerts:
        if len(alert.tiers) > 1:
            assert left.get(alert.name, {"namespace", "name"}) <= set(SAME_THING)


def test_an_alert_has_a_namespace_of_its_own_only_where_its_expression_leaves_one() -> None:
    for alert in PACK.alerts:
        if alert.namespace is About.SERIES:
            for expr in (expr for tier in alert.tiers for expr in tier.expr):
                assert re.search(r'by \(namespace|"namespace", "\$1"', expr), alert.name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tiers": "[{severity: warning, expr: '$nothing > 1'}]"}, "Odd: $nothing is neither a term nor a matcher"),
        ({"tiers": "[]"}, "tiers"),
        ({"tiers": "[{severity: loud, expr: up}]"}, "severity"),
        ({"tiers": "[{severity: info, expr: up, fro: 5m}]"}, "fro"),
        ({"name": "a_b", "tiers": "[{severity: info, expr: up}]"}, "name"),
    ],
)
def test_a_file_of_the_pack_that_does_not_fit_is_refused_with_its_name(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"(?s)^mine\.yaml: .*{re.escape(said)}"):
        parse_group("mine.yaml", document(**wrong))


def test_a_file_without_alerts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^mine\.yaml: a group of alerts is a mapping"):
        parse_group("mine.yaml", "[]")


def test_terms_are_written_out_in_parentheses_and_matchers_as_they_are() -> None:
    group = parse_group("mine.yaml", document(tiers="[{severity: info, expr: 'e{$some} * $odd'}]"))
    assert group.alerts[0].tiers[0].expr == ('e{c="d"} * (a + b)',)
