"""The settings of version_watcher: `STEWARD_VERSION_WATCHER__<FIELD>`, beside those that every service has."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator

from services.version_watcher.core.reading import Source
from steward.service.settings import Group, ServiceSettings

Interval = Annotated[timedelta, Field(ge=timedelta(milliseconds=100), le=timedelta(days=30))]
MB = 1_000_000


class SourceSettings(Group):
    """One source of knowledge about releases."""

    enabled: bool = True
    """False where the cluster may not reach the source: people then write `spec.releases` of the catalog."""
    url: str
    """Where it is; a mirror with the same content will do."""
    interval: Interval
    """How often it is asked, give or take a tenth. Unchanged documents are not sent again."""
    largest_bytes: Annotated[int, Field(gt=0, le=256 * MB)]
    """An answer that is larger is not read to its end."""

    @field_validator("url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError("a source is an address that begins with https:// or http://")
        return url


class VersionCheck(SourceSettings):
    """The document that Linkerd's own `check` reads, asked without any parameter: nothing is told of the cluster."""

    url: str = "https://versioncheck.linkerd.io/version.json"
    interval: Interval = timedelta(minutes=10)
    largest_bytes: Annotated[int, Field(gt=0, le=256 * MB)] = 1 * MB


class ReleaseNotes(SourceSettings):
    """The releases with their notes, where advice is written after the fact."""

    url: str = "https://api.github.com/repos/linkerd/linkerd2/releases?per_page=100"
    interval: Interval = timedelta(hours=1)
    largest_bytes: Annotated[int, Field(gt=0, le=256 * MB)] = 16 * MB


class HelmIndexSource(SourceSettings):
    """The index of the Helm repository."""

    url: str = "https://helm.linkerd.io/edge/index.yaml"
    interval: Interval = timedelta(hours=6)
    largest_bytes: Annotated[int, Field(gt=0, le=256 * MB)] = 32 * MB


class FetchSettings(Group):
    """How patient a look at a source is."""

    timeout: Interval = timedelta(seconds=30)
    """For one attempt, from the first byte sent to the last one received."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Before a look has failed; what was read before stays known."""
    backoff: Interval = timedelta(seconds=2)
    """Before the second attempt; twice as long before each further one, never longer than a minute."""
    redirects: Annotated[int, Field(ge=0, le=10)] = 3
    """How many are followed, and never from https to http."""


class VersionWatcherGroup(Group):
    """What is watched and when it is said."""

    catalog: Annotated[str, Field(min_length=1, max_length=253)] = "default"
    """Name of the ReleaseCatalog whose status this service writes; it is created where it does not exist."""
    channels: tuple[Annotated[str, Field(pattern=r"^[a-z][A-Za-z]*$")], ...] = ("edge",)
    """Channels whose heads are followed and announced."""
    version_check: VersionCheck = Field(default_factory=VersionCheck)
    """Where heads come from."""
    release_notes: ReleaseNotes = Field(default_factory=ReleaseNotes)
    """Where recommendations and digests of the CLI come from."""
    helm_index: HelmIndexSource = Field(default_factory=HelmIndexSource)
    """Where chart versions, Kubernetes bounds and digests of charts come from."""
    fetch: FetchSettings = Field(default_factory=FetchSettings)
    """How sources are asked."""
    stale_after: Interval = timedelta(days=1)
    """Condition Fresh turns False when the version document was not read for so long."""
    drift_quiet: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(minutes=1)
    """A difference is announced when it has stood still for so long: rolling pods differ for seconds."""
    drift_at_most: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(minutes=15)
    """A difference that never stands still is announced after so long."""
    settle: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(seconds=5)
    """Changes that come within this time are looked at together."""
    retry: Interval = timedelta(seconds=15)
    """After the API server or NATS refused; nothing is lost meanwhile."""
    first_sync: Interval = timedelta(minutes=1)
    """How long the first look waits for the caches; after that heads are announced without an inventory."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources that are asked."""
        chosen = {
            Source.VERSION_CHECK: self.version_check.enabled,
            Source.RELEASE_NOTES: self.release_notes.enabled,
            Source.HELM_INDEX: self.helm_index.enabled,
        }
        return tuple(source for source, enabled in chosen.items() if enabled)


class VersionWatcherSettings(ServiceSettings):
    """All of them."""

    version_watcher: VersionWatcherGroup = Field(default_factory=VersionWatcherGroup)
    """What is watched."""
