"""The metrics of version_watcher, as data: whoever documents or charts them reads `METRICS`.

Versions are labels, so their number is bounded: the heads that are followed, and at most twenty proxy versions.
"""

from steward.service.instruments import Metric, counter, gauge, histogram

PREFIX = "steward_version_watcher"

LEADING = gauge(f"{PREFIX}_leading", "1 while this replica is the one that acts.")
FETCHES = counter(f"{PREFIX}_fetches_total", "Looks at a source, by result.", "source", "result")
FETCH_SECONDS = histogram(f"{PREFIX}_fetch_seconds", "How long a look at a source took, attempts included.", "source")
LAST_SUCCESS = gauge(
    f"{PREFIX}_source_last_success_timestamp_seconds", "When a source was last read successfully.", "source"
)
HEAD = gauge(f"{PREFIX}_head_info", "1 for the newest release that a channel ever offered.", "channel", "release")
HEAD_OBSERVED = gauge(
    f"{PREFIX}_head_observed_timestamp_seconds", "When the head of a channel was first seen.", "channel"
)
HEAD_AGE = gauge(f"{PREFIX}_head_age_seconds", "How long ago the head of a channel was first seen.", "channel")
REGRESSED = gauge(f"{PREFIX}_head_regressed", "1 while a channel offers less than its head.", "channel")
CONTROL_PLANE = gauge(
    f"{PREFIX}_control_plane_info", "1 for the control plane of this cluster.", "release", "install_method"
)
PROXIES = gauge(f"{PREFIX}_proxies", "Meshed pods by proxy version; other and unknown are labels too.", "version")
PINNED = gauge(f"{PREFIX}_pinned_pods", "Meshed pods whose proxy version people fixed by annotation.")
DRIFTS = gauge(f"{PREFIX}_drifts", "Objects that differ from the mesh's configuration, by kind.", "kind")
INVENTORY_SECONDS = histogram(f"{PREFIX}_inventory_seconds", "How long it took to compare the mesh with itself.")
STALENESS = gauge(f"{PREFIX}_cache_staleness_seconds", "How long ago the API server was heard of the mesh.")
STATUS_WRITES = counter(f"{PREFIX}_status_writes_total", "Writes of the catalog's status, by result.", "result")
EVENTS_OWED = gauge(f"{PREFIX}_events_owed", "Events that the status owes and NATS has not stored yet.")
EVENTS_SAID = counter(f"{PREFIX}_events_said_total", "Events that are stored, by how that was learnt.", "event", "how")

METRICS: tuple[Metric, ...] = (
    LEADING,
    FETCHES,
    FETCH_SECONDS,
    LAST_SUCCESS,
    HEAD,
    HEAD_OBSERVED,
    HEAD_AGE,
    REGRESSED,
    CONTROL_PLANE,
    PROXIES,
    PINNED,
    DRIFTS,
    INVENTORY_SECONDS,
    STALENESS,
    STATUS_WRITES,
    EVENTS_OWED,
    EVENTS_SAID,
)

MOST_VERSIONS = 20
