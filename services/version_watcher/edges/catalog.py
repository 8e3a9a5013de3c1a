"""The ReleaseCatalog on the API server: read, made where it is missing, its status written only over what was read."""

from dataclasses import dataclass

from pydantic import ValidationError

from steward.errors import StewardError
from steward.jsonvalue import JsonObject, text, whole
from steward.kube.client import Kube
from steward.kube.errors import AlreadyExists, NotFound
from steward.kube.recorder import Reference, reference_to
from steward.kube.resources import RELEASE_CATALOGS
from steward.resources.release_catalog import ReleaseCatalog, ReleaseCatalogStatus


class CatalogUnusable(StewardError):
    """The catalog is not there and cannot be made, or its spec breaks its own schema."""


@dataclass(frozen=True, slots=True)
class Held:
    """The catalog as it was read."""

    raw: JsonObject
    catalog: ReleaseCatalog
    status_was_readable: bool

    @property
    def reference(self) -> Reference:
        """The object that Events are about."""
        return reference_to(self.raw)


class CatalogStore:
    """One ReleaseCatalog by name."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.name = name
        self._kube = kube

    async def read(self) -> Held:
        """The catalog as it is; created, without a word in its spec, where it does not exist."""
        found = await self._kube.find(RELEASE_CATALOGS, self.name)
        return held(found if found is not None else await self._create())

    async def write(self, before: Held, status: ReleaseCatalogStatus) -> Held:
        """Put the status; `Conflict` where anybody changed the object since it was read."""
        body: JsonObject = {**before.raw, "status": status.to_json()}
        return held(await self._kube.replace(RELEASE_CATALOGS, body, subresource="status"))

    async def _create(self) -> JsonObject:
        body: JsonObject = {
            "apiVersion": RELEASE_CATALOGS.api_version,
            "kind": RELEASE_CATALOGS.kind,
            "metadata": {"name": self.name, "labels": {"app.kubernetes.io/managed-by": "linkerd-steward"}},
            "spec": {},
        }
        try:
            return await self._kube.create(RELEASE_CATALOGS, body)
        except AlreadyExists:
            return await self._kube.get(RELEASE_CATALOGS, self.name)
        except NotFound as error:
            raise CatalogUnusable(
                "the API server knows no ReleaseCatalog: install the CustomResourceDefinitions in deploy/crds"
            ) from error


def spec_version(raw: JsonObject) -> tuple[str, str, int]:
    """What changes when people change the catalog, and not when we write its status."""
    return text(raw, "metadata", "name"), text(raw, "metadata", "uid"), whole(raw, "metadata", "generation")


def held(raw: JsonObject) -> Held:
    """Read an object. A status that does not fit, written by hand or by other versions, is as good as none."""
    try:
        return Held(raw, ReleaseCatalog.of(raw), status_was_readable=True)
    except ValidationError:
        without: JsonObject = {key: value for key, value in raw.items() if key != "status"}
    try:
        return Held(raw, ReleaseCatalog.of(without), status_was_readable=False)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in problem["loc"])
        raise CatalogUnusable(f"ReleaseCatalog has a spec that does not fit: {where}: {problem['msg']}") from error
