"""The catalogue of metrics: against pages of a real mesh, and version by version."""

import json
import re
from functools import cache

import pytest

from steward.alerting.families import Appears, Exposer, MetricKind, MissingReason, catalogue, parse_catalogue
from steward.errors import ConfigurationError
from steward.jsonvalue import Json, JsonObject
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from tests.common.testing_linkerd.recorded import path

KNOWN = catalogue()
BEGINNINGS = {each.name: each.edge for each in shipped().logical}
EXPIRY = "control_identity_cert_expiration_timestamp_seconds"
EXPIRY_BEFORE = "identity_cert_expiration_timestamp_seconds"
_PART = re.compile(r"(.*)_(bucket|count|sum)")

each_version = pytest.mark.parametrize("edge", BEGINNINGS.values(), ids=BEGINNINGS)


@cache
def recorded() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of every family on the recorded pages, without what Prometheus makes of a family's parts."""
    pages = json.loads(path("recordings", "dataplane", "metrics-catalog.json").read_text())
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for name, entry in pages.items():
        part = _PART.fullmatch(name)
        family = part[1] if part and f"{part[1]}_count" in pages else name
        _, before = found.get(family, ("", frozenset()))
        found[family] = (entry["type"], before | (frozenset(entry["labels"]) - {"le", "quantile"}))
    return found


def document(**row: Json) -> JsonObject:
    family: JsonObject = {"name": "up", "type": "gauge", "labels": [], "by": ["prometheus"], **row}
    return {"format": 1, "families": [family]}


def test_every_recorded_family_is_known_or_left_out_for_a_reason() -> None:
    for name in recorded():
        reasons = [reason for prefix, reason in KNOWN.left_out if name.startswith(prefix)]
        assert (name in KNOWN.families) != bool(reasons), name
        assert all(reason.endswith(".") for reason in reasons)


def test_types_and_labels_are_those_of_the_recorded_pages() -> None:
    known = {name: KNOWN.families[name] for name in recorded() if name in KNOWN.families}
    assert len(known) > 200
    assert {name: (family.kind.value, family.labels) for name, family in known.items()} == {
        name: recorded()[name] for name in known
    }


def test_what_a_recorded_release_exposes_is_exposed_by_it_here() -> None:
    exposed = {family.name for family in KNOWN.exposed(Version.parse("edge-26.8.3"))}
    assert {name for name in recorded() if name in KNOWN.families} - exposed == set()


def test_names_that_are_gone_are_on_no_recorded_page() -> None:
    gone = {each.name for each in KNOWN.families.values() if all(exposure.until for exposure in each.exposures)}
    assert {EXPIRY_BEFORE, "identity_cert_refresh_count", "tcp_connection_duration_ms"} <= gone
    assert gone & set(recorded()) == set()


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ("edge-24.2.4", EXPIRY_BEFORE, EXPIRY),
        ("edge-24.4.2", EXPIRY_BEFORE, EXPIRY),
        ("edge-24.5.1", EXPIRY, EXPIRY_BEFORE),
        ("edge-26.9.1", EXPIRY, EXPIRY_BEFORE),
        ("stable-2.15.1", EXPIRY_BEFORE, EXPIRY),
        ("enterprise-2.16.0", EXPIRY, EXPIRY_BEFORE),
        ("enterprise-2.17.1-1", EXPIRY, "issuer_cert_ttl_seconds"),
        ("enterprise-2.18.0", "issuer_cert_ttl_seconds", "rustls_info"),
        ("edge-25.1.2", EXPIRY, "issuer_cert_ttl_seconds"),
        ("edge-25.2.1", "issuer_cert_ttl_seconds", "workload_subscribers"),
        ("edge-25.10.3", "workload_subscribers", "ip_port_subscribers"),
        ("edge-25.10.7", "inbound_http_requests_total", "inbound_http_statuses_total"),
        ("stable-2.14.10", "request_total", EXPIRY),
        ("enterprise-3.1.0", "inbound_http_statuses_total", EXPIRY_BEFORE),
    ],
)
def test_a_family_is_exposed_from_its_first_version_to_its_last(version: str, present: str, absent: str) -> None:
    exposed = {family.name for family in KNOWN.exposed(Version.parse(version))}
    assert present in exposed
    assert absent not in exposed
    assert [each.metric for each in KNOWN.missing([present, absent], Version.parse(version))] == [absent]


def test_a_metric_that_is_not_there_is_told_with_its_versions_and_its_old_name() -> None:
    (missing,) = KNOWN.missing([EXPIRY], Version.parse("edge-24.3.1"))
    assert missing.reason is MissingReason.NOT_YET
    assert missing.sentence == (
        f"{EXPIRY} exists since edge-24.4.3 (Linkerd 2.16); before, it was called {EXPIRY_BEFORE}, "
        "and this is edge-24.3.1."
    )
    (gone,) = KNOWN.missing([EXPIRY_BEFORE], Version.parse("edge-26.8.3"))
    assert (gone.reason, gone.sentence) == (
        MissingReason.NO_LONGER,
        f"{EXPIRY_BEFORE} is gone since edge-24.4.3 (Linkerd 2.16), and this is edge-26.8.3.",
    )
    (unknown,) = KNOWN.missing(["linkerd_circuit_breaker_trips_total"], Version.parse("edge-26.8.3"))
    assert unknown.reason is MissingReason.UNKNOWN_METRIC
    assert unknown.sentence.startswith("linkerd_circuit_breaker_trips_total is in no version of Linkerd")


def test_a_family_may_be_on_one_page_before_it_is_on_another() -> None:
    early = Version.parse("edge-24.8.2")
    assert KNOWN.missing(["grpc_server_handled_total"], early) == ()
    assert KNOWN.missing(["grpc_server_handled_total"], early, Exposer.IDENTITY) == ()
    (missing,) = KNOWN.missing(["grpc_server_handled_total"], early, Exposer.POLICY)
    assert missing.reason is MissingReason.NOT_YET
    (never,) = KNOWN.missing(["grpc_server_handled_total"], early, Exposer.PROXY)
    assert never.sentence == "The page of proxy does not expose grpc_server_handled_total."


def test_an_unknown_version_has_everything_but_what_went_before_all_that_are_known() -> None:
    everything = {family.name for family in KNOWN.exposed(None)}
    assert {EXPIRY, EXPIRY_BEFORE, "issuer_cert_ttl_seconds"} <= everything
    assert "tcp_connection_duration_ms" not in everything
    assert {family.name for family in KNOWN.exposed(Version.parse("preview-1.2"))} == everything
    (gone,) = KNOWN.missing(["tcp_connection_duration_ms", EXPIRY], None)
    assert gone.sentence.endswith("and this is a later version.")


@each_version
def test_a_version_loses_nothing_but_names_that_were_replaced(edge: Version) -> None:
    exposed = {family.name for family in KNOWN.exposed(edge)}
    earlier = [older for older in BEGINNINGS.values() if older < edge]
    lost = {family.name for older in earlier for family in KNOWN.exposed(older)} - exposed
    replaced = {family.was for family in KNOWN.exposed(edge) if family.was}
    assert lost <= replaced


def test_series_of_a_histogram_belong_to_its_family() -> None:
    family = KNOWN.families["response_latency_ms"]
    assert family.kind is MetricKind.HISTOGRAM
    assert family.series == ("response_latency_ms_bucket", "response_latency_ms_count", "response_latency_ms_sum")
    assert all(KNOWN.family(series) is family for series in family.series)
    assert (family.buckets[0], family.buckets[-1], len(family.buckets)) == (1, 50000, 25)


def test_buckets_go_up_and_only_histograms_have_them() -> None:
    for family in KNOWN.families.values():
        assert list(family.buckets) == sorted(set(family.buckets)), family.name
        assert not family.buckets or family.kind is MetricKind.HISTOGRAM, family.name


def test_what_appears_once_has_a_witness_on_the_same_page_that_is_always_there() -> None:
    for family in KNOWN.families.values():
        if not family.witness:
            assert family.appears is not Appears.ONCE, family.name
            continue
        witness = KNOWN.families[family.witness]
        assert witness.appears is Appears.ALWAYS, family.name
        assert {each.by for each in family.exposures} <= {each.by for each in witness.exposures}, family.name


def test_labels_with_few_values_are_labels_of_the_family_and_old_names_exist() -> None:
    for family in KNOWN.families.values():
        assert set(family.values) <= family.labels, family.name
        assert not family.labels & family.also, family.name
        assert not family.was or family.was in KNOWN.families, family.name
        assert not family.note or family.note.endswith("."), family.name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"type": "meter"}, "up: 'meter' is not a valid MetricKind"),
        ({"labels": ["$nothing"]}, "up: there is no set of labels that is called 'nothing'"),
        ({"buckets": "nothing"}, "up: there are no buckets that are called 'nothing'"),
        ({"by": ["nobody"]}, "up: 'nobody' is not a valid Exposer"),
        ({"since": "soon"}, "up: 'soon' is no Linkerd version"),
        ({"name": "{up,up}"}, "has up twice"),
    ],
)
def test_a_catalogue_that_does_not_fit_is_refused_with_the_family(wrong: JsonObject, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse_catalogue(document(**wrong), shipped())


def test_a_catalogue_of_another_format_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="another format than 1"):
        parse_catalogue({"format": 2}, shipped())
