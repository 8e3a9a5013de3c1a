"""What was seen as numbers for Prometheus."""

import math

from services.alerting import metrics
from services.alerting.core.exported.exposition import Exposition
from services.alerting.core.exported.samples import Samples
from steward.service.instruments import Instruments, Metric


def show(instruments: Instruments, seen: Exposition) -> None:
    """Make the gauges say what was seen; what was not seen has no series."""
    for metric, samples in _labelled(seen):
        instruments.show(metric, {each.labels: each.value for each in samples})
    agrees = seen.certificates.issuer_agrees
    # A gauge without labels cannot be taken away, and its 0 would be an alarm.
    instruments.set(metrics.ISSUER_AGREES, agrees[0].value if agrees else math.nan)


def _labelled(seen: Exposition) -> tuple[tuple[Metric, Samples], ...]:
    return (
        (metrics.NOT_AFTER, seen.certificates.not_after),
        (metrics.NOT_BEFORE, seen.certificates.not_before),
        (metrics.RENEWAL, seen.certificates.renewal),
        (metrics.CERTIFICATE_READY, seen.certificates.ready),
        (metrics.WEBHOOK_AGREES, seen.certificates.webhook_agrees),
        (metrics.EXPECTED_REPLICAS, seen.replicas.expected),
        (metrics.READY_REPLICAS, seen.replicas.ready),
        (metrics.MESHED_PODS, seen.meshed_pods),
        (metrics.UNMESHED_PODS, seen.unmeshed_pods),
        (metrics.REFUSED_SCRAPES, seen.refused_scrapes),
        (metrics.UNSCRAPED_PROXIES, seen.unscraped_proxies),
        (metrics.UPGRADE_IN_PROGRESS, seen.upgrades),
        (metrics.CONFORMANCE_FAILED, seen.failed_features),
        (metrics.UNREAD_FACTS, seen.unread_facts),
    )
