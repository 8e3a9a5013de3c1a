"""The metrics of alerting. Labels are names of Kubernetes objects and closed sets, bounded by the mesh itself."""

from steward.service.instruments import Metric, counter, gauge

PREFIX = "steward_alerting"

NOT_AFTER = gauge(
    f"{PREFIX}_certificate_not_after_timestamp_seconds",
    "When a trust anchor, the issuer or a webhook's certificate ends.",
    "kind",
    "namespace",
    "name",
    "serial",
)
NOT_BEFORE = gauge(
    f"{PREFIX}_certificate_not_before_timestamp_seconds",
    "From when on a trust anchor, the issuer or a webhook's certificate is valid.",
    "kind",
    "namespace",
    "name",
    "serial",
)
RENEWAL = gauge(
    f"{PREFIX}_certificate_renewal_timestamp_seconds",
    "When cert-manager renews a certificate; none where nobody renews it.",
    "kind",
    "namespace",
    "name",
)
CERTIFICATE_READY = gauge(
    f"{PREFIX}_certificate_ready",
    "1 while cert-manager calls a certificate ready; none where nobody renews it.",
    "kind",
    "namespace",
    "name",
)
WEBHOOK_AGREES = gauge(
    f"{PREFIX}_webhook_ca_agrees",
    "1 while the caBundle of a webhook verifies its server's certificate.",
    "webhook",
    "name",
)
ISSUER_AGREES = gauge(
    f"{PREFIX}_issuer_agrees", "1 while a trust anchor verifies the issuer; NaN where that cannot be told."
)
EXPECTED_REPLICAS = gauge(
    f"{PREFIX}_expected_replicas", "Pods that a component of the control plane should have.", "component"
)
READY_REPLICAS = gauge(
    f"{PREFIX}_ready_replicas", "Pods of a component of the control plane that are ready.", "component"
)
MESHED_PODS = gauge(f"{PREFIX}_meshed_pods", "Running pods with a proxy.", "namespace")
UNMESHED_PODS = gauge(f"{PREFIX}_unmeshed_pods", "Running pods that should have a proxy and have none.", "namespace")
REFUSED_SCRAPES = gauge(f"{PREFIX}_refused_scrapes", "Proxies that answer Prometheus 401 or 403.", "namespace")
UNSCRAPED_PROXIES = gauge(
    f"{PREFIX}_unscraped_proxies", "Running pods with a proxy that Prometheus does not scrape.", "namespace"
)
UPGRADE_IN_PROGRESS = gauge(f"{PREFIX}_upgrade_in_progress", "1 while an UpgradeRun acts.", "run")
CONFORMANCE_FAILED = gauge(
    f"{PREFIX}_conformance_failed", "1 for a feature that is confirmed not to work.", "feature", "security"
)
UNREAD_FACTS = gauge(
    f"{PREFIX}_unread_facts", "Things that could not be read or understood, by what they were for.", "fact"
)
BLIND = gauge(f"{PREFIX}_blind_alerts", "Alerts of a policy whose metrics this Prometheus does not have.", "policy")
WATCHDOG_SEEN = gauge(
    f"{PREFIX}_watchdog_seen_timestamp_seconds", "When the Watchdog last came back through Alertmanager."
)
APPLIED = gauge(
    f"{PREFIX}_applied", "1 while an object is in force as asked, 0 while it was refused.", "target", "object"
)

LEADING = gauge(f"{PREFIX}_leading", "1 while this replica is the one that acts.")
RULES = gauge(f"{PREFIX}_rules", "Rules that are in force.")
UNREACHABLE = gauge(f"{PREFIX}_unreachable", "1 while something of the monitoring does not answer.")
WATCHDOG_SILENT = gauge(f"{PREFIX}_watchdog_silent", "1 while the Watchdog does not come back through Alertmanager.")
WEBHOOKS = counter(f"{PREFIX}_webhooks_total", "What Alertmanager told us, by what became of it.", "result")
TOLD = counter(f"{PREFIX}_told_total", "Events said of alerts.", "event")
POSTED = counter(f"{PREFIX}_posted_alerts_total", "Alerts of our own, told to Alertmanager.")

METRICS: tuple[Metric, ...] = (
    LEADING,
    RULES,
    UNREACHABLE,
    WATCHDOG_SILENT,
    WEBHOOKS,
    TOLD,
    POSTED,
    NOT_AFTER,
    NOT_BEFORE,
    RENEWAL,
    CERTIFICATE_READY,
    WEBHOOK_AGREES,
    ISSUER_AGREES,
    EXPECTED_REPLICAS,
    READY_REPLICAS,
    MESHED_PODS,
    UNMESHED_PODS,
    REFUSED_SCRAPES,
    UNSCRAPED_PROXIES,
    UPGRADE_IN_PROGRESS,
    CONFORMANCE_FAILED,
    UNREAD_FACTS,
    BLIND,
    WATCHDOG_SEEN,
    APPLIED,
)
