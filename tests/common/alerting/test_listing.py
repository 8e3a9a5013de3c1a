"""The pack as a list, with and without a cluster."""

import json

from steward.alerting.listing import ListedRule, PackListing, pack_listing
from steward.alerting.monitoring import ScrapeKind
from steward.alerting.pack import shipped_pack
from steward.alerting.rendering import render
from steward.alerting.rules import Alerting, Severity
from steward.alerting.runbooks import runbook_names
from steward.linkerd.version import Version
from steward.resources.alert_policy import ControlPlane, PackChange
from tests.common.alerting.found import monitoring


def named(listing: PackListing, alert: str) -> list[ListedRule]:
    return [rule for rule in listing.rules if rule.name == alert]


def test_without_a_cluster_every_rule_is_listed_with_metrics_versions_and_runbook() -> None:
    listing = pack_listing()
    rules = [rule for group in render(shipped_pack(), monitoring(version=None)).groups for rule in group.rules]
    assert sorted(rule.expression for rule in listing.rules) == sorted(rule.expr for rule in rules)
    assert {rule.number for rule in listing.rules if rule.number} == set(range(1, 35))
    for rule in listing.rules:
        assert (rule.left_out, rule.message) == ("", "")
        assert rule.runbook in runbook_names()
        assert bool(rule.metrics) == (rule.name != "Watchdog")
        assert all(metric in rule.expression for metric in rule.metrics)


def test_what_older_versions_are_asked_instead_is_listed_as_well() -> None:
    (expired,) = named(pack_listing(), "LinkerdProxyCertificateExpired")
    assert expired.versions == "since edge-24.4.3 (Linkerd 2.16)"
    (before,) = expired.alternatives
    assert before.versions == "before edge-24.4.3 (Linkerd 2.16)"
    assert before.metrics == ("identity_cert_expiration_timestamp_seconds",)
    issuer = named(pack_listing(), "LinkerdIssuerCertificateExpiring")
    assert [rule.versions for rule in issuer] == ["since edge-25.2.1 (Linkerd 2.18)"] * 2
    assert [each.versions for rule in issuer for each in rule.alternatives] == ["all", "all"]


def test_of_a_version_that_is_known_only_what_it_is_asked_is_listed() -> None:
    listing = pack_listing(monitoring(ScrapeKind.VIZ, Version.parse("edge-24.3.1")))
    assert listing.linkerd == "edge-24.3.1"
    (expired,) = named(listing, "LinkerdProxyCertificateExpired")
    assert expired.metrics == ("identity_cert_expiration_timestamp_seconds",)
    assert expired.alternatives == ()
    (errors,) = named(listing, "LinkerdPolicyErrors")
    assert (errors.expression, errors.left_out) == ("", "MetricMissing")
    assert errors.metrics == ("grpc_server_handled_total",)
    assert errors.versions == "since edge-25.10.7 (Linkerd 2.19)"
    assert errors.message.endswith("and this is edge-24.3.1.")


def test_a_policy_shows_in_the_list() -> None:
    policy = ControlPlane(
        exclude=("LinkerdInjectorSlow", "LinkerdNothing"),
        changes=(
            PackChange(alert="LinkerdDestinationErrors", severity=Severity.WARNING, threshold=0.2, for_seconds=60),
        ),
    )
    listing = pack_listing(monitoring(), policy)
    (slow,) = named(listing, "LinkerdInjectorSlow")
    assert (slow.expression, slow.left_out) == ("", "Excluded")
    (errors,) = named(listing, "LinkerdDestinationErrors")
    assert (errors.severity, errors.threshold, errors.lasting) == (Severity.WARNING, 0.2, "60s")
    assert errors.expression.endswith("> 0.2")
    assert [each for each in listing.refused if "LinkerdNothing" in each]


def test_a_part_of_the_control_plane_is_a_line_of_its_own() -> None:
    assert [rule.component for rule in named(pack_listing(), "LinkerdControlPlaneComponentDown")] == [
        "destination", "identity", "policy", "proxy-injector", "sp-validator",
    ]  # fmt: skip


def test_the_list_is_json_that_programs_read() -> None:
    document = json.loads(pack_listing(monitoring()).model_dump_json(by_alias=True))
    (first,) = [rule for rule in document["rules"] if rule["name"] == "LinkerdProxyCertificateNotRenewing"]
    assert first["for"] == "300s"
    assert first["severity"] == "critical"
    assert first["inhibitedBy"] == [
        "LinkerdProxyCertificateExpired", "LinkerdControlPlaneComponentDown", "LinkerdIssuerCertificateExpiring",
    ]  # fmt: skip
    assert first["unit"] == "share of the certificate's life that is left"


def test_every_rule_that_is_rendered_is_listed_for_every_version() -> None:
    for version in ("edge-24.2.4", "edge-25.4.4", "edge-26.9.1"):
        found = monitoring(version=Version.parse(version))
        rendered = [
            rule for group in render(shipped_pack(), found).groups for rule in group.rules if isinstance(rule, Alerting)
        ]
        listed = [rule for rule in pack_listing(found).rules if not rule.left_out]
        assert len(listed) == len(rendered)
        assert {rule.expression for rule in listed} == {rule.expr for rule in rendered}
