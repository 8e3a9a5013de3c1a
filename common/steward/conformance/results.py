"""One result of one probe, as it is kept in the stream of results, in a report and in a file."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from steward.events.base import Part
from steward.events.conformance import Feature, FoundCause, Rung


class Tier(StrEnum):
    """How often and how boldly a probe runs; the names say what a tier is for."""

    FOUNDATION = "Foundation"
    TRAFFIC = "Traffic"
    DEPTH = "Depth"
    ENVIRONMENT = "Environment"
    DISRUPTIVE = "Disruptive"


class Safety(StrEnum):
    """What a probe may touch."""

    SAFE = "Safe"
    ENVIRONMENT = "Environment"
    INTRUSIVE = "Intrusive"
    DISRUPTIVE = "Disruptive"


class Verdict(StrEnum):
    """What a probe found. Only `Failed` says that the mesh is wrong; `Inconclusive` is trouble of our own."""

    PASSED = "Passed"
    FAILED = "Failed"
    FLAKY = "Flaky"
    INCONCLUSIVE = "Inconclusive"
    SKIPPED = "Skipped"
    UNSUPPORTED = "Unsupported"
    NOT_APPLICABLE = "NotApplicable"


class Capability(StrEnum):
    """Whether this mesh, on this cluster, has the feature at all."""

    SUPPORTED = "Supported"
    UNSUPPORTED = "Unsupported"
    NOT_APPLICABLE = "NotApplicable"
    UNKNOWN = "Unknown"


class AssertionResult(Part):
    """One thing that had to be so."""

    name: str
    expected: str
    observed: str
    ok: bool
    doubt: str = Field(default="", description="Why it says nothing against the mesh that this did not hold.")


class Timing(Part):
    """Seconds; a part that was not measured is None. `effect` is from the change to the first effect on traffic."""

    accepted_seconds: float | None = None
    proxy_seconds: float | None = None
    effect_seconds: float | None = None
    total_seconds: Annotated[float, Field(ge=0)] = 0.0


class Actors(Part):
    """Between whom it happened; what failing features have in common is looked for here."""

    client_pod: str = ""
    client_node: str = ""
    client_nodes: tuple[str, ...] = Field(
        default=(), description="Of a feature that is tried on many nodes: all of them, or those on which it fails."
    )
    client_zone: str = ""
    client_proxy: str = ""
    server_pods: tuple[str, ...] = ()
    server_nodes: tuple[str, ...] = ()
    server_zones: tuple[str, ...] = ()
    server_proxies: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    protocol: str = ""


class Attempt(Part):
    """One try within a cycle; a result keeps them all."""

    verdict: Verdict
    at: AwareDatetime
    message: str = ""


class FeatureResult(Part):
    """What one cycle found out about one feature. Append-only; `id` names the cycle, so a repetition is recognised."""

    id: str = Field(description="`<run uid>/<feature>/<cycle>`: the same cycle told twice is one result.")
    run: str
    run_uid: str
    feature: Feature
    tier: Tier
    cycle: Annotated[int, Field(ge=0)]
    at: AwareDatetime
    capability: Capability = Capability.SUPPORTED
    verdict: Verdict
    reason: str = Field(description="CamelCase, stable.")
    message: str
    assertions: tuple[AssertionResult, ...] = ()
    control_ok: bool | None = Field(default=None, description="The negative control; None where there is none.")
    because: str = Field(default="", description="The feature whose failure made this one be skipped.")
    rung: Rung | None = None
    causes: tuple[FoundCause, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    timing: Timing = Timing()
    actors: Actors = Actors()
    evidence: str = Field(default="", description="Name in the object store steward-evidence.")


class State(StrEnum):
    """What many results together say of a feature."""

    UNKNOWN = "Unknown"
    HEALTHY = "Healthy"
    SUSPECT = "Suspect"
    FAILING = "Failing"
    FLAKY = "Flaky"
    QUARANTINED = "Quarantined"
    STALE = "Stale"


class Quarantine(Part):
    """A feature that still runs and wakes nobody; never without an owner, a reason and an end."""

    owner: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    until: AwareDatetime


class FeatureState(Part):
    """Derived from results alone: folding them again, in whatever order they come, gives the same."""

    feature: Feature
    state: State = State.UNKNOWN
    since: AwareDatetime | None = None
    consecutive: int = 0
    last_passed: AwareDatetime | None = None
    last_failed: AwareDatetime | None = None
    flip_rate: float = 0.0
    good: int = 0
    valid: int = 0
    inconclusive: int = 0
    failure_low: float = Field(default=0.0, description="Lower Wilson bound (95 %) of the share of bad cycles.")
    failure_high: float = 1.0
    burn_1h: float = 0.0
    burn_6h: float = 0.0
    coverage: float = 1.0
    quarantine: Quarantine | None = None


RESULT_STREAM_KEY = "conformance"
"""Results travel on `steward.results.v1.<cluster>.conformance.<run>.<feature tokens…>`."""
RETENTION = timedelta(days=14)
