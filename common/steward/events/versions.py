"""What version_watcher says: a release appeared, a release is no longer advised, the mesh is not what it should be."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.events.base import Event, Part


class Recommendation(StrEnum):
    """What upstream advises, often long after the release. Unknown is not a yes."""

    RECOMMENDED = "Recommended"
    NOT_RECOMMENDED = "NotRecommended"
    UNKNOWN = "Unknown"


class NewVersion(Event):
    """A release that this cluster's channel had not offered before became its head."""

    name: ClassVar[str] = "new-version"

    channel: str = Field(description="The channel, for example `edge`.")
    release: str = Field(description="The release, for example `edge-26.8.3`.")
    previous: str | None = Field(default=None, description="The head before, where one was known.")
    logical_version: str | None = Field(default=None, description="The 2.X that the release belongs to.")
    chart_version: str | None = Field(default=None, description="Version of the Helm charts, for example `2026.8.3`.")
    kubernetes_minimum: str | None = Field(default=None, description="Oldest Kubernetes the charts accept.")
    recommendation: Recommendation = Recommendation.UNKNOWN
    notices: tuple[str, ...] = Field(default=(), description="What this release demands of people, a sentence each.")
    observed_at: AwareDatetime = Field(description="When the release was first seen as head.")
    running: str | None = Field(default=None, description="The control plane that runs in the cluster.")
    url: str | None = Field(default=None, description="Where the release is described.")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.channel,)


class VersionWithdrawn(Event):
    """A release is not recommended any more: by its own release notes, or by a person in the catalog."""

    name: ClassVar[str] = "version-withdrawn"

    channel: str
    release: str
    reason: str = Field(description="Why, in upstream's or the person's words.")
    superseded_by: str | None = Field(default=None, description="The release to use instead, where one is named.")
    url: str | None = None
    running: bool = Field(description="Whether this cluster runs the release.")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.channel,)


class DriftKind(StrEnum):
    """How the mesh differs from what its own configuration says."""

    CONTROL_PLANE_VERSION = "ControlPlaneVersion"
    STALE_PROXY = "StaleProxy"
    MISSING_PROXY = "MissingProxy"
    FOREIGN_TRUST = "ForeignTrust"
    SIDECAR_MODE = "SidecarMode"
    UNKNOWN_PROXY = "UnknownProxy"
    VERSION_SKEW = "VersionSkew"


class Drift(Part):
    """One kind of difference: how many objects, and some of them by name."""

    kind: DriftKind
    count: Annotated[int, Field(ge=1)]
    message: str
    examples: tuple[str, ...] = Field(default=(), description="At most ten `namespace/name`.")


class MeshDrifted(Event):
    """The mesh differs from what is expected of it, in another way than was last said."""

    name: ClassVar[str] = "mesh-drifted"

    control_plane: str | None = Field(default=None, description="The version that linkerd-config names.")
    expected_proxy: str | None = Field(default=None, description="The proxy version that new pods get.")
    meshed_pods: Annotated[int, Field(ge=0)]
    drifts: tuple[Drift, ...]
    fingerprint: str = Field(description="The same for the same differences, whatever their order.")

    @property
    def key(self) -> tuple[str, ...]:
        return ("mesh",)
