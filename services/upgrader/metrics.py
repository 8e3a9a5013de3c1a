"""The metrics of upgrader. Every label has few values: releases that are in use, and closed sets."""

from steward.service.instruments import LONG_SECONDS, counter, gauge, histogram

RUN_INFO = gauge(
    "steward_upgrader_run_info",
    "1 for each run that is kept, by where it begins, where it leads and its phase.",
    "run",
    "from",
    "to",
    "phase",
)
STEP_SECONDS = histogram(
    "steward_upgrader_step_duration_seconds",
    "How long attempts at steps took, by type of step and result.",
    "type",
    "result",
    buckets=LONG_SECONDS,
)
GATES = counter(
    "steward_upgrader_gate_results_total", "Answers of gates, by type of gate and result.", "gate", "result"
)
WORKLOADS = gauge("steward_upgrader_workloads", "Workloads of the run that is acted on, by where they stand.", "state")
PROXY_PODS = gauge(
    "steward_upgrader_proxy_pods",
    "Pods of the data plane by the version of their proxy; empty where unknown.",
    "version",
)
PATH_AVAILABLE = gauge(
    "steward_upgrader_path_available", "1 while a newer release may be upgraded to and a plan leads there.", "channel"
)
LOCK_HELD = gauge("steward_upgrader_lock_held", "1 while this replica is the one that acts.")
RESTARTS = counter(
    "steward_upgrader_workload_restarts_total", "Restarts of workloads, by kind and result.", "kind", "result"
)
SKIPPED = gauge(
    "steward_upgrader_skipped_workloads", "Workloads of the run that are left as they are, by reason.", "reason"
)
PAUSED_SECONDS = counter("steward_upgrader_paused_seconds_total", "How long runs stood still, by reason.", "reason")
UNTOLD = gauge("steward_upgrader_events_waiting", "Events that happened and are not published yet.")
ERRORS = counter(
    "steward_upgrader_errors_total", "What went wrong while a run was conducted, by kind of error.", "error"
)

METRICS = (
    RUN_INFO,
    STEP_SECONDS,
    GATES,
    WORKLOADS,
    PROXY_PODS,
    PATH_AVAILABLE,
    LOCK_HELD,
    RESTARTS,
    SKIPPED,
    PAUSED_SECONDS,
    UNTOLD,
    ERRORS,
)
