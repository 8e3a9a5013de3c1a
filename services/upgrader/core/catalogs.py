"""All ReleaseCatalogs as one: what version_watcher found out, with what people wrote on top of it."""

from collections.abc import Iterable

from steward.resources.release_catalog import ChannelStatus, ReleaseCatalog, ReleaseCatalogStatus, ReleaseEntry


def merged(catalogs: Iterable[ReleaseCatalog]) -> ReleaseCatalogStatus:
    """The first catalog by name wins a channel; a person's entry wins over what was found, member by member."""
    ordered = sorted(catalogs, key=lambda each: each.metadata.name)
    channels: dict[str, ChannelStatus] = {}
    releases: dict[str, ReleaseEntry] = {}
    for catalog in ordered:
        if catalog.status is not None:
            for channel in catalog.status.channels:
                channels.setdefault(channel.name, channel)
            for entry in catalog.status.releases:
                releases.setdefault(entry.version, entry)
    for catalog in ordered:
        for entry in catalog.spec.releases:
            releases[entry.version] = _over(releases.get(entry.version), entry)
    return ReleaseCatalogStatus(channels=tuple(channels.values()), releases=tuple(releases.values()))


def _over(found: ReleaseEntry | None, written: ReleaseEntry) -> ReleaseEntry:
    if found is None:
        return written
    said = {name: getattr(written, name) for name in written.model_fields_set if getattr(written, name) is not None}
    said["digests"] = {**found.digests, **written.digests}
    return found.model_copy(update=said)
