"""Certificates as numbers: every one of them, who trusts whom, and nothing where nothing is known."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.core.exported.bundles import Bundle
from services.alerting.core.exported.certificates import (
    CertificateGauges,
    CertificatesSeen,
    Holding,
    Kind,
    Standing,
    anchors_in,
    caller_of_api,
    callers_in,
    certificate_gauges,
    issuer_in,
    serving_in,
)
from services.alerting.core.exported.renewals import Renewal
from services.alerting.core.exported.samples import Samples
from steward.jsonvalue import JsonObject
from steward.linkerd.certificates import parse_bundle
from steward.testing.linkerd.certificates import Authority, Pair, Validity, webhook_pair

NOW = datetime(2026, 8, 22, tzinfo=UTC)
ROOT = Authority.self_signed("root.linkerd.cluster.local", Validity.around(NOW, timedelta(days=3650)))
OTHER = Authority.self_signed("root.linkerd.cluster.local", Validity.around(NOW, timedelta(days=10)))
ISSUER = ROOT.issue_authority("identity.linkerd.cluster.local", Validity.around(NOW, timedelta(days=2)))
INJECTOR = "linkerd-proxy-injector"
SECRET = f"{INJECTOR}-k8s-tls"
WEBHOOK = f"{INJECTOR}.linkerd.io"


@cache
def server(name: str = INJECTOR) -> Pair:
    return webhook_pair(name, NOW, life=timedelta(days=1), quick=True)


def encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def anchors(*pems: str) -> Holding:
    return anchors_in({"data": {"ca-bundle.crt": "".join(pems)}}, "linkerd")


def issuer(authority: Authority = ISSUER) -> Holding:
    data: JsonObject = {"crt.pem": encoded(authority.pair.certificate), "key.pem": encoded(authority.pair.key)}
    return issuer_in({"type": "Opaque", "data": data}, "linkerd")


def serving(pair: Pair) -> Holding:
    data: JsonObject = {"tls.crt": encoded(pair.certificate), "tls.key": encoded(pair.key)}
    return serving_in({"data": data}, "linkerd", SECRET)


def configuration(bundle: str, *, name: str = INJECTOR) -> JsonObject:
    service: JsonObject = {"name": name, "namespace": "linkerd"}
    hook: JsonObject = {"name": f"{name}.linkerd.io", "clientConfig": {"caBundle": bundle, "service": service}}
    return {"metadata": {"name": f"{name}-webhook-config"}, "webhooks": [hook]}


def gauges(*holdings: Holding, **rest: object) -> CertificateGauges:
    return certificate_gauges(replace(CertificatesSeen(holdings), **rest))  # type: ignore[arg-type] # by its fields


def serial(pem: str) -> str:
    return f"{parse_bundle(pem)[0].serial:x}"


def values(samples: Samples) -> dict[tuple[str, ...], float]:
    found = {each.labels: each.value for each in samples}
    assert len(found) == len(samples), "two samples of one series"
    return found


def test_every_anchor_in_the_middle_of_a_rotation_has_its_own_dates() -> None:
    old, new = OTHER.pair.certificate, ROOT.pair.certificate
    found = gauges(anchors(old, new))
    place = ("TrustAnchor", "linkerd", "linkerd-identity-trust-roots")
    assert values(found.not_after) == {
        (*place, serial(old)): (NOW + timedelta(days=10)).timestamp(),
        (*place, serial(new)): (NOW + timedelta(days=3650)).timestamp(),
    }
    assert set(values(found.not_before)) == set(values(found.not_after))
    assert found.problems == ()


def test_the_same_anchor_twice_is_one_series() -> None:
    assert len(gauges(anchors(ROOT.pair.certificate, ROOT.pair.certificate)).not_after) == 1


def test_of_two_anchors_with_one_serial_number_the_one_that_ends_first_is_shown() -> None:
    first, second = parse_bundle(OTHER.pair.certificate)[0], parse_bundle(ROOT.pair.certificate)[0]
    bundle = Bundle((replace(second, serial=1), replace(first, serial=1)))
    holding = Holding(Kind.TRUST_ANCHOR, "linkerd", "roots", Standing.THERE, bundle)
    found = gauges(holding)
    assert values(found.not_after) == {("TrustAnchor", "linkerd", "roots", "1"): first.not_after.timestamp()}
    assert values(found.not_before) == {("TrustAnchor", "linkerd", "roots", "1"): first.not_before.timestamp()}


def test_a_bundle_of_a_thousand_authorities_makes_no_thousand_series_and_shows_those_that_end_first() -> None:
    (root,) = parse_bundle(ROOT.pair.certificate)
    many = tuple(
        replace(root, serial=number, not_after=NOW + timedelta(days=1000 - number), sha256=str(number))
        for number in range(1000)
    )
    found = gauges(Holding(Kind.TRUST_ANCHOR, "linkerd", "roots", Standing.THERE, Bundle(many)))
    assert len(found.not_after) == 64
    assert min(values(found.not_after).values()) == (NOW + timedelta(days=1)).timestamp()
    assert found.problems == ("ConfigMap linkerd/roots: of 1000 certificates the 64 that end first are shown",)


@pytest.mark.parametrize(
    ("type_", "data", "found"),
    [
        ("Opaque", {"crt.pem": ISSUER, "key.pem": OTHER}, ISSUER),
        ("kubernetes.io/tls", {"tls.crt": ISSUER, "ca.crt": ROOT}, ISSUER),
        ("Opaque", {"crt.pem": ISSUER, "tls.crt": OTHER}, ISSUER),
        ("kubernetes.io/tls", {"crt.pem": OTHER, "tls.crt": ISSUER}, ISSUER),
    ],
)
def test_the_issuer_is_read_from_the_layout_that_the_identity_controller_reads(
    type_: str, data: dict[str, Authority], found: Authority
) -> None:
    stored: JsonObject = {key: encoded(each.pair.certificate) for key, each in data.items()}
    holding = issuer_in({"type": type_, "data": stored}, "linkerd")
    assert holding.bundle.certificates == parse_bundle(found.pair.certificate)


def test_no_key_of_a_secret_is_in_what_is_made_of_it() -> None:
    for holding, key in ((issuer(), ISSUER.pair.key), (serving(server()), server().key)):
        for line in key.splitlines()[1:-1]:
            assert line not in repr(holding)
            assert base64.b64encode(line.encode()).decode()[:20] not in repr(holding)


@pytest.mark.parametrize(
    ("bundle", "signer", "agrees"),
    [((ROOT,), ISSUER, 1.0), ((OTHER,), ISSUER, 0.0), ((OTHER, ROOT), ISSUER, 1.0), ((OTHER,), OTHER, 1.0)],
)
def test_the_issuer_agrees_when_some_anchor_verifies_it(
    bundle: tuple[Authority, ...], signer: Authority, agrees: float
) -> None:
    found = gauges(anchors(*(each.pair.certificate for each in bundle)), issuer(signer))
    assert values(found.issuer_agrees) == {(): agrees}


def test_an_issuer_without_anchors_disagrees_and_both_missing_say_nothing() -> None:
    gone = anchors_in(None, "linkerd")
    found = gauges(gone, issuer())
    assert values(found.issuer_agrees) == {(): 0.0}
    assert found.problems == ("ConfigMap linkerd/linkerd-identity-trust-roots does not exist",)
    nothing = gauges(gone, issuer_in(None, "linkerd"))
    assert nothing.issuer_agrees == ()
    assert nothing.problems == (), "where Linkerd is not installed nothing of it is missing"


def test_an_unreadable_anchor_beside_a_good_one_changes_nothing_but_is_reported() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    found = gauges(anchors(broken, ROOT.pair.certificate), issuer())
    assert values(found.issuer_agrees) == {(): 1.0}
    assert found.problems[0].startswith("ConfigMap linkerd/linkerd-identity-trust-roots: block 1 of 2: ")


def test_of_what_could_not_be_read_nothing_is_said() -> None:
    unknown = Holding(Kind.ISSUER, "linkerd", "linkerd-identity-issuer", Standing.UNKNOWN)
    found = gauges(anchors(ROOT.pair.certificate), unknown)
    assert found.issuer_agrees == ()
    assert [each.labels[0] for each in found.not_after] == ["TrustAnchor"]


@pytest.mark.parametrize(
    ("pair", "bundle", "agrees"),
    [
        (server(), encoded(server().certificate), 1.0),
        (server(), encoded(ROOT.pair.certificate), 0.0),
        (server("linkerd-sp-validator"), encoded(server("linkerd-sp-validator").certificate), 0.0),
        (server(), "", 0.0),
        (server(), "rubbish", 0.0),
    ],
)
def test_a_webhook_agrees_when_its_bundle_verifies_the_server_under_the_name_it_is_called_by(
    pair: Pair, bundle: str, agrees: float
) -> None:
    found = gauges(serving(pair), callers=callers_in(configuration(bundle), "linkerd", SECRET))
    assert values(found.webhook_agrees) == {(WEBHOOK, SECRET): agrees}


def test_a_ca_bundle_that_cannot_be_read_is_reported_with_its_webhook() -> None:
    found = gauges(serving(server()), callers=callers_in(configuration("rubbish"), "linkerd", SECRET))
    assert found.problems == (f"caBundle of {WEBHOOK} in {INJECTOR}-webhook-config: it is not the base64 of a text",)


def test_a_webhook_without_its_secret_disagrees_and_one_that_may_not_be_read_says_nothing() -> None:
    callers = callers_in(configuration(encoded(server().certificate)), "linkerd", SECRET)
    assert values(gauges(serving_in(None, "linkerd", SECRET), callers=callers).webhook_agrees) == {
        (WEBHOOK, SECRET): 0.0
    }
    unknown = Holding(Kind.WEBHOOK, "linkerd", SECRET, Standing.UNKNOWN)
    assert gauges(unknown, callers=callers).webhook_agrees == ()


def test_an_extension_api_agrees_as_a_webhook_does() -> None:
    pair = ROOT.issue_leaf("tap.linkerd-viz.svc", Validity.around(NOW))
    tap = serving_in({"data": {"tls.crt": encoded(pair.certificate)}}, "linkerd-viz", "tap-k8s-tls")
    service: JsonObject = {
        "metadata": {"name": "v1alpha1.tap.linkerd.io"},
        "spec": {
            "caBundle": encoded(ROOT.pair.certificate),
            "service": {"name": "tap", "namespace": "linkerd-viz"},
        },
    }
    found = gauges(tap, callers=(caller_of_api(service, "linkerd-viz", "tap-k8s-tls"),))
    assert values(found.webhook_agrees) == {("v1alpha1.tap.linkerd.io", "tap-k8s-tls"): 1.0}


def test_what_cert_manager_renews_has_its_plan_and_what_nobody_renews_has_none() -> None:
    due = NOW + timedelta(hours=23)
    plan = Renewal("linkerd", "issuer", "linkerd-identity-issuer", due, ready=True)
    found = gauges(anchors(ROOT.pair.certificate), issuer(), serving(server()), renewals=(plan,))
    place = ("Issuer", "linkerd", "linkerd-identity-issuer")
    assert values(found.renewal) == {place: due.timestamp()}
    assert values(found.ready) == {place: 1.0}


def test_a_certificate_that_cert_manager_never_issued_has_no_plan_and_is_not_ready() -> None:
    plan = Renewal("linkerd", "issuer", "linkerd-identity-issuer", None, ready=False)
    found = gauges(issuer(), renewals=(plan,))
    assert found.renewal == ()
    assert list(values(found.ready).values()) == [0.0]


def test_two_certificates_for_one_secret_count_as_the_worse_of_both() -> None:
    plans = (
        Renewal("linkerd", "a", "linkerd-identity-issuer", NOW + timedelta(days=2), ready=True),
        Renewal("linkerd", "b", "linkerd-identity-issuer", NOW + timedelta(days=1), ready=False),
        Renewal("shop", "c", "linkerd-identity-issuer", NOW, ready=True),
    )
    found = gauges(issuer(), renewals=plans)
    assert list(values(found.renewal).values()) == [(NOW + timedelta(days=1)).timestamp()]
    assert list(values(found.ready).values()) == [0.0]


@given(st.lists(st.sampled_from([ROOT, OTHER, ISSUER, None]), max_size=8), st.lists(st.text(max_size=30), max_size=3))
def test_any_bundle_has_a_series_for_each_certificate_and_a_problem_where_it_has_none(
    parts: list[Authority | None], between: list[str]
) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    pems = [broken if each is None else each.pair.certificate for each in parts]
    found = gauges(anchors("\n".join((*between, *pems))), issuer())
    different = {each.pair.certificate for each in parts if each is not None}
    assert len([each for each in found.not_after if each.labels[0] == "TrustAnchor"]) == len(different)
    assert bool(found.problems) == (None in parts or not parts)
    assert values(found.issuer_agrees) == {(): float(ROOT in parts or ISSUER in parts)}
