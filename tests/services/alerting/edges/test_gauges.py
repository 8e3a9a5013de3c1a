"""What was seen as numbers: every series of it, and none where nothing was seen."""

import math
from datetime import timedelta

from prometheus_client import CollectorRegistry

from services.alerting.core.exported.certificates import CertificatesSeen, anchors_in, issuer_in, serving_in
from services.alerting.core.exported.exposition import Facts, exposition
from services.alerting.core.exported.progress import UpgradeSeen
from services.alerting.core.exported.renewals import Renewal
from services.alerting.core.exported.scraped import Place, Scrapes
from services.alerting.core.exported.unread import Fact, Unread
from services.alerting.edges.gauges import show
from services.alerting.metrics import METRICS, PREFIX
from steward.jsonvalue import JsonObject
from steward.service.instruments import Instruments
from steward.testing.linkerd.certificates import Trust
from tests.services.alerting.meshes import NOW, mesh, namespace, pod


def certificates() -> CertificatesSeen:
    trust = Trust.for_helm(NOW)
    issuer: JsonObject = {"crt.pem": "bm90aGluZw=="}
    anchors = anchors_in({"data": {"ca-bundle.crt": trust.anchors}}, "linkerd")
    plan = Renewal("linkerd", "issuer", "linkerd-identity-issuer", NOW + timedelta(days=1), ready=True)
    return CertificatesSeen((anchors, issuer_in({"data": issuer}, "linkerd")), (), (plan,))


def test_the_gauges_say_what_was_seen_and_forget_what_is_no_longer_so() -> None:
    instruments = Instruments(CollectorRegistry(), METRICS)

    def sample(metric: str, /, **labels: str) -> float | None:
        return instruments.registry.get_sample_value(f"{PREFIX}_{metric}", labels)

    inventory = mesh(
        namespace("shop", "enabled"), pod("shop", "web", proxy="init"), pod("shop", "bare"), pod("shop", "two")
    )
    scrapes = Scrapes(refused=(Place("shop", "web"),))
    facts = Facts(inventory, certificates(), (UpgradeSeen("edge-26-8-3", acts=True),))
    show(instruments, exposition(facts, scrapes))

    assert sample("meshed_pods", namespace="shop") == 1
    assert sample("unmeshed_pods", namespace="shop") == 2
    assert sample("refused_scrapes", namespace="shop") == 1
    assert sample("unscraped_proxies", namespace="shop") == 1
    assert sample("expected_replicas", component="identity") == 1
    assert sample("ready_replicas", component="identity") == 1
    assert sample("upgrade_in_progress", run="edge-26-8-3") == 1
    place = {"kind": "Issuer", "namespace": "linkerd", "name": "linkerd-identity-issuer"}
    assert sample("certificate_renewal_timestamp_seconds", **place) == (NOW + timedelta(days=1)).timestamp()
    assert sample("certificate_ready", **place) == 1
    assert sample("issuer_agrees") == 0
    assert sample("unread_facts", fact="Certificates") == 1
    assert sample("unread_facts", fact="Mesh") == 0

    show(instruments, exposition(Facts(unread=(Unread(Fact.MESH, "gone"),)), None))

    assert sample("unmeshed_pods", namespace="shop") is None
    assert sample("refused_scrapes", namespace="shop") is None
    assert sample("expected_replicas", component="identity") is None
    assert sample("upgrade_in_progress", run="edge-26-8-3") is None
    assert sample("certificate_ready", **place) is None
    agrees = sample("issuer_agrees")
    assert agrees is not None
    assert math.isnan(agrees), "neither 0 nor 1: an alert over it does not fire"
    assert sample("unread_facts", fact="Mesh") == 1


def test_what_is_wrong_with_certificates_is_told_with_what_could_not_be_read() -> None:
    serving = serving_in(None, "linkerd", "linkerd-proxy-injector-k8s-tls")
    seen = CertificatesSeen((*certificates().holdings, serving))
    missing = Unread(Fact.MESH, "pods cannot be listed", "list pods")
    told = [str(each) for each in exposition(Facts(certificates=seen, unread=(missing,)), None).unread]
    assert told == [
        "pods cannot be listed: the right to list pods is missing",
        "Secret linkerd/linkerd-identity-issuer: it holds no certificate",
        "Secret linkerd/linkerd-proxy-injector-k8s-tls does not exist",
    ]


def test_every_metric_is_named_by_convention() -> None:
    assert len({each.name for each in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("steward_alerting_")
        assert metric.help.endswith(".")
