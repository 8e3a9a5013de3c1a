"""The metrics of conformance. Labels are features and closed sets, never a run, a pod or the text of a cause."""

from steward.service.instruments import LONG_SECONDS, Metric, counter, gauge, histogram

PREFIX = "steward_conformance"

LOCK_HELD = gauge(f"{PREFIX}_lock_held", "1 while this replica is the one that acts.")
STATUS = gauge(
    f"{PREFIX}_feature_status", "1 while a feature works, 0 while that cannot be told, -1 while it does not.", "feature"
)
RESULTS = counter(f"{PREFIX}_feature_results_total", "Cycles by feature and verdict.", "feature", "verdict")
SECONDS = histogram(
    f"{PREFIX}_feature_duration_seconds", "How long cycles took, retries included.", "feature", buckets=LONG_SECONDS
)
PROPAGATION = histogram(
    f"{PREFIX}_feature_propagation_seconds",
    "From a change of configuration to its effect on traffic.",
    "feature",
    "stage",
)
CONSECUTIVE = gauge(f"{PREFIX}_feature_consecutive_failures", "Failed cycles in a row.", "feature")
SINCE_PASS = gauge(f"{PREFIX}_feature_seconds_since_pass", "How long ago a feature was last seen to work.", "feature")
BURN = gauge(
    f"{PREFIX}_feature_burn_rate",
    "How many times faster than its objective allows a feature fails.",
    "feature",
    "window",
)
COVERAGE = gauge(f"{PREFIX}_coverage_ratio", "Share of cycles that came to a verdict.")
RUN_PHASE = gauge(f"{PREFIX}_runs", "Runs that are not over, by phase.", "phase")
LATENESS = histogram(
    f"{PREFIX}_prober_lateness_seconds", "How much later than due a cycle began.", "tier", buckets=LONG_SECONDS
)
UNTOLD = gauge(f"{PREFIX}_events_waiting", "Events that happened and are not published yet.")
UNKEPT = gauge(f"{PREFIX}_results_waiting", "Results that wait for NATS to keep them.")
SWEPT = counter(f"{PREFIX}_namespaces_swept_total", "Abandoned namespaces that the sweeper asked to be deleted.")
ERRORS = counter(f"{PREFIX}_errors_total", "What went wrong while runs were conducted, by kind of error.", "error")

METRICS: tuple[Metric, ...] = (
    LOCK_HELD,
    STATUS,
    RESULTS,
    SECONDS,
    PROPAGATION,
    CONSECUTIVE,
    SINCE_PASS,
    BURN,
    COVERAGE,
    RUN_PHASE,
    LATENESS,
    UNTOLD,
    UNKEPT,
    SWEPT,
    ERRORS,
)
