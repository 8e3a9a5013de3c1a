"""ConformanceSuite: what to probe, how often, how boldly, and how sure to be before anybody is woken."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.conformance.results import Safety, Tier
from steward.resources.base import Column, Condition, Model, Patience, Resource, Sentence
from steward.resources.feature_pattern import FeaturePattern
from steward.resources.rules import atomic, map_list, rules

Prefix = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=40)]


class TierInterval(Model):
    """How long from one cycle of a tier to the next in a continuous run."""

    tier: Tier
    interval_seconds: int = Field(ge=10, le=604_800)


class Confirmation(Model):
    """How often a failure must be seen before it is one."""

    inline_retries: int = Field(default=2, ge=0, le=5, description="Tried again at once, within seconds.")
    consecutive: int = Field(default=3, ge=1, le=20, description="Cycles in a row; one is enough for security.")


class Objective(Model):
    """How much of the time a feature, or every feature of a group, must work."""

    feature: FeaturePattern
    target_percent: float = Field(default=99.9, ge=1, le=99.999)
    window_seconds: int = Field(default=2_419_200, ge=3_600, le=7_776_000)


class QuarantineEntry(Model):
    """A feature that still runs and wakes nobody until a date."""

    feature: FeaturePattern
    owner: str = Field(min_length=1, max_length=253)
    reason: Sentence = Field(min_length=1)
    until: AwareDatetime


class Footprint(Model):
    """What the probes may cost at most."""

    max_pods: int = Field(default=12, ge=9, le=200)
    max_requests_per_second: int = Field(default=15, ge=1, le=1000)
    cpu_millis: int = Field(default=2_000, ge=500, le=64_000)
    memory_mebibytes: int = Field(default=2_048, ge=512, le=262_144)


class Where(Model):
    """Namespaces of the probes: made for a run, named with the prefix, deleted with it or when their time is over."""

    prefix: Prefix = "steward-probes"
    ttl_seconds: Patience = Field(
        default=7_200, description="Renewed while the run lives; then a sweeper deletes them."
    )


class ConformanceSuiteSpec(Model):
    """What to probe and how."""

    include: tuple[FeaturePattern, ...] = Field(default=(), max_length=256, json_schema_extra=atomic())
    exclude: tuple[FeaturePattern, ...] = Field(default=(), max_length=256, json_schema_extra=atomic())
    tiers: tuple[Tier, ...] = Field(
        default=(Tier.FOUNDATION, Tier.TRAFFIC, Tier.DEPTH), max_length=5, json_schema_extra=atomic()
    )
    allow: tuple[Safety, ...] = Field(
        default=(Safety.SAFE, Safety.ENVIRONMENT), min_length=1, max_length=4, json_schema_extra=atomic()
    )
    schedule: tuple[TierInterval, ...] = Field(
        default=(
            TierInterval(tier=Tier.FOUNDATION, interval_seconds=60),
            TierInterval(tier=Tier.TRAFFIC, interval_seconds=480),
            TierInterval(tier=Tier.DEPTH, interval_seconds=900),
            TierInterval(tier=Tier.ENVIRONMENT, interval_seconds=3600),
        ),
        max_length=5,
        json_schema_extra=map_list("tier"),
    )
    jitter_percent: int = Field(default=10, ge=0, le=50)
    confirmation: Confirmation = Field(default=Confirmation())
    objectives: tuple[Objective, ...] = Field(default=(), max_length=64, json_schema_extra=map_list("feature"))
    quarantine: tuple[QuarantineEntry, ...] = Field(default=(), max_length=64, json_schema_extra=map_list("feature"))
    footprint: Footprint = Field(default=Footprint())
    where: Where = Field(default=Where())
    image: str = Field(default="", max_length=512, description="Of the exerciser; the service's own where empty.")
    node_names: tuple[str, ...] = Field(
        default=(),
        max_length=500,
        description="Nodes with a client of their own; none: wherever it is scheduled.",
        json_schema_extra=atomic(),
    )


class ConformanceSuiteStatus(Model):
    """What conformance thinks of the suite."""

    observed_generation: int = 0
    digest: str = ""
    features: int = 0
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


class ConformanceSuite(Resource):
    """What to probe, how often and how boldly."""

    kind_name: ClassVar[str] = "ConformanceSuite"
    plural: ClassVar[str] = "conformancesuites"
    short_names: ClassVar[tuple[str, ...]] = ("lcs",)
    description: ClassVar[str] = "What to probe in the mesh, how often and how boldly."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Features", json_path=".status.features", type="integer"),
        Column(name="Valid", json_path='.status.conditions[?(@.type=="Valid")].status'),
        Column(name="Digest", json_path=".status.digest", priority=1),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "ConformanceSuite"
    spec: ConformanceSuiteSpec = Field(
        default=ConformanceSuiteSpec(),
        json_schema_extra=rules(
            (
                "!has(self.tiers) || !self.tiers.exists(t, t == 'Disruptive') || "
                "(has(self.allow) && self.allow.exists(a, a == 'Disruptive'))",
                "the tier Disruptive needs the explicit word: allow must name Disruptive too",
            ),
        ),
    )
    status: ConformanceSuiteStatus | None = None


class Pace(StrEnum):
    """Once through everything, or again and again."""

    ONCE = "Once"
    CONTINUOUS = "Continuous"
