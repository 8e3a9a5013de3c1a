"""The pack for the monitoring that was found: what is rendered, changed, refused and left out."""

from datetime import timedelta

import pytest

from steward.alerting.families import catalogue
from steward.alerting.monitoring import Monitoring, ScrapeKind
from steward.alerting.pack import asked_of, shipped_pack
from steward.alerting.rendering import LeftOutReason, Rendered, render
from steward.alerting.rules import Alerting, Severity
from steward.linkerd.version import Version
from steward.resources.alert_policy import ControlPlane, PackChange
from tests.common.alerting.found import PROFILES, VERSIONS, monitoring

PACK = shipped_pack()
OF_ONE_RULE = "LinkerdInjectorSlow"
OF_TWO_TIERS = "LinkerdTrustAnchorExpiring"

each_kind = pytest.mark.parametrize("kind", ScrapeKind)
each_version = pytest.mark.parametrize("version", [None, *VERSIONS], ids=str)


def rules(rendered: Rendered, alert: str = "") -> list[Alerting]:
    return [
        rule
        for group in rendered.groups
        for rule in group.rules
        if isinstance(rule, Alerting) and alert in ("", rule.alert)
    ]


def changed(change: PackChange) -> Rendered:
    return render(PACK, monitoring(), ControlPlane(changes=(change,)))


@each_kind
@each_version
def test_every_rule_is_whole_and_like_no_other(kind: ScrapeKind, version: Version | None) -> None:
    rendered = render(PACK, monitoring(kind, version))
    found = rules(rendered)
    assert len({(rule.alert, rule.severity, *sorted(rule.labels.items())) for rule in found}) == len(found)
    for rule in found:
        assert "$" not in rule.expr.replace('"$1"', "")
        assert rule.labels["steward"] == "control-plane"
        assert rule.annotations["runbook"] == rule.alert
        assert "runbook_url" not in rule.annotations
        assert "$component" not in rule.annotations["summary"] + rule.annotations["description"]
    assert {rule.alert for rule in found} | {each.alert for each in rendered.left_out} == {
        alert.name for alert in PACK.alerts
    }
    assert rendered.refused == ()


@each_version
def test_no_rule_asks_for_what_its_version_lacks(version: Version | None) -> None:
    found = rules(render(PACK, monitoring(version=version)))
    asked = {name for rule in found for name in asked_of(rule.expr)}
    assert catalogue().missing(asked, version) == ()


@pytest.mark.parametrize(
    ("version", "left_out"),
    [
        ("edge-24.2.4", {"LinkerdPolicyWatchErrors", "LinkerdPolicyStatusUpdatesFailing", "LinkerdPolicyErrors"}),
        ("edge-24.8.2", {"LinkerdPolicyErrors"}),
        ("edge-25.4.4", {"LinkerdPolicyErrors"}),
        ("edge-25.10.7", set()),
        ("edge-26.9.1", set()),
        ("enterprise-2.17.1-1", {"LinkerdPolicyErrors"}),
    ],
)
def test_a_rule_whose_metric_a_version_lacks_is_left_out_with_metric_and_versions(
    version: str, left_out: set[str]
) -> None:
    rendered = render(PACK, monitoring(version=Version.parse(version)))
    assert {each.alert for each in rendered.left_out} == left_out
    for each in rendered.left_out:
        assert each.reason is LeftOutReason.METRIC_MISSING
        assert each.sentence.endswith(f"and this is {version}.")
    told = [each.sentence for each in rendered.left_out if each.alert == "LinkerdPolicyErrors"]
    assert told in (
        [],
        [
            "LinkerdPolicyErrors (critical) is left out: grpc_server_handled_total exists since edge-25.10.7 "
            f"(Linkerd 2.19), and this is {version}."
        ],
    )


@pytest.mark.parametrize(
    ("version", "issuer", "leaf"),
    [
        ("edge-24.2.4", "steward_alerting_certificate_not_after_", "identity_cert_expiration_"),
        ("edge-24.11.8", "steward_alerting_certificate_not_after_", "control_identity_cert_expiration_"),
        ("edge-25.4.4", "issuer_cert_ttl_seconds", "control_identity_cert_expiration_"),
        (None, "issuer_cert_ttl_seconds", "control_identity_cert_expiration_"),
    ],
)
def test_an_alert_with_several_expressions_takes_the_first_that_the_version_can_answer(
    version: str | None, issuer: str, leaf: str
) -> None:
    rendered = render(PACK, monitoring(version=Version.maybe(version)))
    for rule in rules(rendered, "LinkerdIssuerCertificateExpiring"):
        assert rule.expr.startswith(("((min(" + issuer, "(((max(" + issuer))
    (expired,) = rules(rendered, "LinkerdProxyCertificateExpired")
    assert expired.expr.startswith("count by (namespace) ((" + leaf)


@each_kind
def test_matchers_are_those_of_the_scrape_profile(kind: ScrapeKind) -> None:
    profile = PROFILES[kind]
    found = rules(render(PACK, monitoring(kind)))
    together = "\n".join(rule.expr for rule in found)
    for matcher in (profile.proxies, profile.controllers, profile.multicluster, profile.api_server, profile.exporter):
        assert str(matcher) in together
    (unanswered,) = [rule for rule in found if rule.alert == "LinkerdInjectorUnansweredRequests"]
    assert f"sum by ({profile.own_namespace})" in unanswered.expr


def test_alerts_about_the_control_plane_bear_its_namespace() -> None:
    elsewhere = Monitoring(PROFILES[ScrapeKind.STEWARD], linkerd_namespace="mesh-system")
    for rule in rules(render(PACK, elsewhere)):
        alert = PACK.find(rule.alert)
        assert alert is not None
        assert rule.labels.get("namespace") == (None if alert.namespace == "series" else "mesh-system")
    (rate,) = rules(render(PACK, elsewhere), "LinkerdControlPlaneSuccessRateLow")
    assert 'namespace="mesh-system"' in rate.expr


def test_a_namespace_that_is_none_changes_no_query() -> None:
    with pytest.raises(ValueError, match="is no name of a namespace"):
        render(PACK, Monitoring(PROFILES[ScrapeKind.STEWARD], linkerd_namespace='a"} or up{x="'))


def test_a_part_of_the_control_plane_has_a_rule_of_its_own() -> None:
    found = rules(render(PACK, monitoring()), "LinkerdControlPlaneComponentDown")
    assert [rule.labels["component"] for rule in found] == [
        "destination", "identity", "policy", "proxy-injector", "sp-validator",
    ]  # fmt: skip
    assert found[0].annotations["summary"] == "destination of the control plane is gone"
    assert 'component="destination"' in found[0].expr


def test_pages_have_an_address_only_where_one_is_set() -> None:
    (rule,) = rules(render(PACK, monitoring(), runbooks="https://pages.acme.org/mesh/"), OF_ONE_RULE)
    assert rule.annotations["runbook_url"] == "https://pages.acme.org/mesh/linkerdinjectorslow"


def test_what_a_policy_excludes_is_left_out_because_it_says_so() -> None:
    rendered = render(PACK, monitoring(), ControlPlane(exclude=(OF_ONE_RULE,)))
    assert rules(rendered, OF_ONE_RULE) == []
    (left_out,) = rendered.left_out
    assert (left_out.alert, left_out.reason) == (OF_ONE_RULE, LeftOutReason.EXCLUDED)


def test_a_change_changes_severity_duration_and_threshold() -> None:
    (rule,) = rules(
        changed(PackChange(alert=OF_ONE_RULE, severity=Severity.CRITICAL, for_seconds=60, threshold=1.25)), OF_ONE_RULE
    )
    assert (rule.severity, rule.lasting) == (Severity.CRITICAL, timedelta(minutes=1))
    assert rule.expr.endswith("> 1.25")


def test_the_severity_of_a_change_names_the_tier() -> None:
    warning, critical = rules(
        changed(PackChange(alert=OF_TWO_TIERS, severity=Severity.CRITICAL, threshold=432_000)), OF_TWO_TIERS
    )
    assert warning.expr.endswith("< 5184000")
    assert critical.expr.endswith("< 432000")


def test_a_severity_that_no_tier_has_makes_one_rule_of_it() -> None:
    (rule,) = rules(changed(PackChange(alert=OF_TWO_TIERS, severity=Severity.INFO)), OF_TWO_TIERS)
    assert rule.severity is Severity.INFO
    assert rule.expr.endswith("< 5184000")


def test_a_duration_without_a_severity_is_that_of_every_tier() -> None:
    found = rules(changed(PackChange(alert=OF_TWO_TIERS, for_seconds=120)), OF_TWO_TIERS)
    assert [rule.lasting for rule in found] == [timedelta(minutes=2)] * 2


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (
            PackChange(alert=OF_TWO_TIERS, threshold=5),
            LeftOutReason.AMBIGUOUS_CHANGE,
            "say with severity warning or critical which one is meant",
        ),
        (PackChange(alert="Watchdog", threshold=5), LeftOutReason.NO_THRESHOLD, "Watchdog has no threshold"),
        (PackChange(alert="LinkerdNothing"), LeftOutReason.UNKNOWN_ALERT, "no alert that is called LinkerdNothing"),
    ],
)
def test_a_change_that_means_nothing_is_refused_and_the_alert_stays(
    change: PackChange, reason: LeftOutReason, said: str
) -> None:
    rendered = changed(change)
    (refused,) = rendered.refused
    assert (refused.alert, refused.reason) == (change.alert, reason)
    assert said in refused.sentence
    assert rules(rendered) == rules(render(PACK, monitoring()))


def test_excluding_what_does_not_exist_is_refused() -> None:
    (refused,) = render(PACK, monitoring(), ControlPlane(exclude=("LinkerdNothing",))).refused
    assert refused.reason is LeftOutReason.UNKNOWN_ALERT
    assert "`linkerd-steward alerts pack` lists" in refused.sentence
