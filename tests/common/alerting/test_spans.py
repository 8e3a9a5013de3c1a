"""From which Linkerd on a rule has its metrics."""

import pytest

from steward.alerting.families import Exposer, catalogue
from steward.alerting.pack import asked_of, shipped_pack
from steward.alerting.spans import Span, span
from steward.linkerd.version import Version
from tests.common.alerting.found import VERSIONS


def edge(number: str) -> Version:
    return Version.parse(f"edge-{number}")


@pytest.mark.parametrize(
    ("metrics", "by", "found"),
    [
        ((), None, Span()),
        (("request_total", "up"), None, Span()),
        (("request_total", "issuer_cert_ttl_seconds"), None, Span(since=edge("25.2.1"))),
        (("kube_watch_errors_total", "issuer_cert_ttl_seconds"), None, Span(since=edge("25.2.1"))),
        (("identity_cert_expiration_timestamp_seconds",), None, Span(until=edge("24.4.3"))),
        (("grpc_server_handled_total",), None, Span()),
        (("grpc_server_handled_total",), Exposer.POLICY, Span(since=edge("25.10.7"))),
        (("up", "grpc_server_handled_total"), Exposer.IDENTITY, Span()),
        (("response_latency_ms_bucket", "my_own_metric"), None, Span()),
    ],
)
def test_a_rule_is_for_the_versions_that_have_all_its_metrics(
    metrics: tuple[str, ...], by: Exposer | None, found: Span
) -> None:
    assert span(metrics, by) == found


def test_the_span_of_every_expression_of_the_pack_is_that_of_the_catalogue() -> None:
    for tier in (tier for alert in shipped_pack().alerts for tier in alert.tiers):
        for metrics in map(asked_of, tier.expr):
            found = span(metrics, tier.by)
            for version in VERSIONS:
                pages = {name: tier.by for name in metrics if exposed_by(name, tier.by)}
                lacking = [name for name in metrics if catalogue().missing([name], version, pages.get(name))]
                within = (found.since is None or version >= found.since) and (
                    found.until is None or version < found.until
                )
                assert within == (not lacking), (metrics, version)


def exposed_by(name: str, page: Exposer | None) -> bool:
    family = catalogue().family(name)
    return family is not None and page in {each.by for each in family.exposures}
