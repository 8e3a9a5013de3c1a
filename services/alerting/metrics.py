"""The metrics of alerting itself; those of the mesh that it exports are beside them."""

from steward.service.instruments import Metric, counter, gauge

LEADING = gauge("steward_alerting_leading", "1 while this replica is the one that acts.")
RULES = gauge("steward_alerting_rules", "Rules that are in force.")
APPLIED = gauge(
    "steward_alerting_applied",
    "1 while a policy or channel is in force as it asks, 0 while it is refused and the last good one stays.",
    "target",
    "object",
)
BLIND = gauge("steward_alerting_blind_alerts", "Alerts whose metrics this Prometheus does not have.", "policy")
UNREACHABLE = gauge("steward_alerting_unreachable", "1 while something of the monitoring does not answer.")
WATCHDOG_SEEN = gauge(
    "steward_alerting_watchdog_seen_timestamp_seconds", "When the Watchdog last came back through Alertmanager."
)
WEBHOOKS = counter("steward_alerting_webhooks_total", "What Alertmanager told us, by what became of it.", "result")
TOLD = counter("steward_alerting_told_total", "Events said of alerts.", "event")
POSTED = counter("steward_alerting_posted_alerts_total", "Alerts of our own, told to Alertmanager.")

METRICS: tuple[Metric, ...] = (
    LEADING,
    RULES,
    APPLIED,
    BLIND,
    UNREACHABLE,
    WATCHDOG_SEEN,
    WEBHOOKS,
    TOLD,
    POSTED,
)
