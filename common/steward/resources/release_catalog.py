"""ReleaseCatalog: what is known of Linkerd's releases. People write the spec, version_watcher the status."""

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.events.versions import DriftKind, Recommendation
from steward.resources.base import Column, Condition, Model, Name, Resource, Sentence
from steward.resources.rules import (
    BOUND,
    CHANNEL,
    DIGEST,
    LOGICAL,
    RELEASE,
    SAYS_BOUND,
    SAYS_CHANNEL,
    SAYS_LOGICAL,
    SAYS_RELEASE,
    atomic,
    map_list,
    rules,
)

Release = Annotated[str, Field(pattern=RELEASE, max_length=64, json_schema_extra=SAYS_RELEASE)]
Channel = Annotated[str, Field(pattern=CHANNEL, max_length=32, json_schema_extra=SAYS_CHANNEL)]
Logical = Annotated[str, Field(pattern=LOGICAL, max_length=16, json_schema_extra=SAYS_LOGICAL)]
Bound = Annotated[str, Field(pattern=BOUND, max_length=64, json_schema_extra=SAYS_BOUND)]
Digest = Annotated[str, Field(pattern=DIGEST, max_length=71)]


class Bounds(Model):
    """Oldest and newest version that is supported, both included; an absent one is unbounded."""

    min: Bound | None = None
    max: Bound | None = None


class ReleaseEntry(Model):
    """One release. A person's entry adds to, and wins over, what is shipped and what upstream says."""

    version: Release
    logical_version: Logical | None = Field(default=None, description="The 2.X it belongs to.")
    released_at: AwareDatetime | None = None
    chart_version: str | None = Field(default=None, max_length=64)
    recommendation: Recommendation | None = None
    reason: Sentence | None = Field(default=None, description="Why it is recommended or not.")
    superseded_by: Release | None = None
    url: str | None = Field(default=None, max_length=2048)
    kubernetes: Bounds | None = None
    gateway_api: Bounds | None = Field(default=None, alias="gatewayAPI")
    notices: tuple[Sentence, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    digests: dict[str, Digest] = Field(
        default_factory=dict,
        description="SHA-256 of artifacts by name: `linkerd-linux-amd64`, or the name of a chart.",
        json_schema_extra={"maxProperties": 64},
    )


class ReleaseCatalogSpec(Model):
    """What people and their pipelines know better."""

    releases: tuple[ReleaseEntry, ...] = Field(default=(), max_length=1000, json_schema_extra=map_list("version"))


class Head(Model):
    """A release that was the head of a channel."""

    version: Release
    observed_at: AwareDatetime


class ChannelStatus(Model):
    """A channel's head and how it came there: the history of an endpoint that has none."""

    name: Channel
    head: Release | None = Field(default=None, description="The newest head that was ever seen.")
    head_observed_at: AwareDatetime | None = None
    offered: Release | None = Field(default=None, description="What the feed says at present.")
    regressed: bool = Field(default=False, description="The feed offers something older than the head.")
    previous_heads: tuple[Head, ...] = Field(default=(), max_length=50, json_schema_extra=atomic())
    announced: Release | None = Field(
        default=None, description="The newest head that needs no event any more, because it is stored or needed none."
    )


class SourceStatus(Model):
    """One source and how the last look at it went."""

    name: Name
    reason: str
    message: Sentence = ""
    healthy: bool
    last_success_at: AwareDatetime | None = None
    last_attempt_at: AwareDatetime | None = None


class ProxyCount(Model):
    """How many meshed pods run a proxy version; empty version where it cannot be told."""

    version: str
    pods: int = Field(ge=0)


class DriftStatus(Model):
    """One kind of difference between the mesh and what is expected of it."""

    kind: DriftKind
    count: int
    message: Sentence
    examples: tuple[Annotated[str, Field(max_length=512)], ...] = Field(
        default=(), max_length=10, description="Some of the objects.", json_schema_extra=atomic()
    )


class DriftAnnouncement(Model):
    """What an event that is not stored yet will say of the mesh."""

    number: int = Field(ge=1)
    time: AwareDatetime
    control_plane: str | None = None
    expected_proxy: str | None = None
    meshed_pods: int = 0
    drifts: tuple[DriftStatus, ...] = Field(default=(), max_length=32, json_schema_extra=atomic())
    fingerprint: str


class MeshStatus(Model):
    """What runs in this cluster."""

    control_plane: str | None = None
    install_method: str | None = None
    expected_proxy: str | None = None
    meshed_pods: int = 0
    pinned_pods: int = Field(default=0, description="Meshed pods whose proxy version people fixed by annotation.")
    proxies: tuple[ProxyCount, ...] = Field(default=(), max_length=100, json_schema_extra=atomic())
    drifts: tuple[DriftStatus, ...] = Field(default=(), max_length=32, json_schema_extra=atomic())
    fingerprint: str = Field(default="", description="Of the drifts that were last announced.")
    announcements: int = Field(default=0, description="How often a drift was announced: makes each one an event.")
    unpublished: tuple[DriftAnnouncement, ...] = Field(
        default=(),
        max_length=20,
        description="Announcements that are not stored as events yet.",
        json_schema_extra=atomic(),
    )
    observed_at: AwareDatetime | None = None


class Withdrawal(Model):
    """A release that was announced as withdrawn."""

    version: Release
    reason: Sentence
    announced_at: AwareDatetime
    published: bool = Field(default=False, description="Whether the event is stored.")


class ReleaseCatalogStatus(Model):
    """What version_watcher found."""

    observed_generation: int = 0
    channels: tuple[ChannelStatus, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("name"))
    releases: tuple[ReleaseEntry, ...] = Field(
        default=(),
        max_length=500,
        description="Everything known of the releases that matter here: shipped, found upstream and written above.",
        json_schema_extra=map_list("version"),
    )
    withdrawn: tuple[Withdrawal, ...] = Field(default=(), max_length=500, json_schema_extra=map_list("version"))
    sources: tuple[SourceStatus, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("name"))
    mesh: MeshStatus | None = None
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


class ReleaseCatalog(Resource):
    """What is known of Linkerd's releases, and what this cluster runs."""

    kind_name: ClassVar[str] = "ReleaseCatalog"
    plural: ClassVar[str] = "releasecatalogs"
    short_names: ClassVar[tuple[str, ...]] = ("lrc",)
    description: ClassVar[str] = "What is known of Linkerd's releases, and what this cluster runs."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Running", json_path=".status.mesh.controlPlane"),
        Column(name="Head", json_path=".status.channels[0].head"),
        Column(name="Meshed", json_path=".status.mesh.meshedPods", type="integer"),
        Column(name="Fresh", json_path='.status.conditions[?(@.type=="Fresh")].status'),
        Column(name="AsExpected", json_path='.status.conditions[?(@.type=="MeshAsExpected")].status'),
        Column(name="Reason", json_path='.status.conditions[?(@.type=="MeshAsExpected")].message', priority=1),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "ReleaseCatalog"
    spec: ReleaseCatalogSpec = Field(
        default=ReleaseCatalogSpec(),
        json_schema_extra=rules(
            (
                "!has(self.releases) || self.releases.all(r, !has(r.supersededBy) || r.supersededBy != r.version)",
                "a release cannot be superseded by itself",
            ),
        ),
    )
    status: ReleaseCatalogStatus | None = None
