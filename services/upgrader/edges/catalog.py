"""What the ReleaseCatalogs know of one release: its digests above all, without which no tool of it is ever fetched."""

from dataclasses import dataclass

from pydantic import ValidationError

from steward.kube.client import Kube
from steward.kube.resources import RELEASE_CATALOGS
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseCatalog, ReleaseEntry


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every ReleaseCatalog of the cluster, read when asked."""

    kube: Kube

    async def entry(self, version: Version) -> ReleaseEntry | None:
        """What is known of `version`; None where nobody knows it, or the catalogs are not installed."""
        if not await self.kube.serves(RELEASE_CATALOGS):
            return None
        known: ReleaseEntry | None = None
        for raw in (await self.kube.list(RELEASE_CATALOGS)).items:
            try:
                catalog = ReleaseCatalog.of(raw)
            except ValidationError:
                # An object of another version of the schema is no knowledge, and no reason to give up on the others.
                continue
            for entry in _entries(catalog):
                if entry.version == str(version):
                    known = entry if known is None else merged(known, entry)
        return known


def merged(known: ReleaseEntry, further: ReleaseEntry) -> ReleaseEntry:
    """`known` with what `further` says; for digests, member by member."""
    said = {name: getattr(further, name) for name in further.model_fields_set if getattr(further, name) is not None}
    said["digests"] = {**known.digests, **further.digests}
    return known.model_copy(update=said)


def _entries(catalog: ReleaseCatalog) -> tuple[ReleaseEntry, ...]:
    """What was found out, then what people wrote, which wins."""
    found = catalog.status.releases if catalog.status is not None else ()
    return (*found, *catalog.spec.releases)
