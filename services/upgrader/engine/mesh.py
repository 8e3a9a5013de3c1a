"""The mesh as the engine sees it."""

from typing import Protocol

from services.upgrader.core.observations import Unseen, VersionsSeen
from steward.linkerd.inventory import Inventory
from steward.linkerd.version import Version


class Mesh(Protocol):
    """A live view of one mesh: `steward.mesh.view.MeshView`."""

    @property
    def is_synced(self) -> bool:
        """Whether everything was listed: until then an inventory would be missing things."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Why something cannot be read at present; empty while all is well."""
        ...

    def inventory(self) -> Inventory:
        """The mesh as it is known at this moment."""
        ...


def look(mesh: Mesh) -> Inventory | Unseen:
    """The inventory, unless the view is blind: absence in a stale cache is no absence."""
    if not mesh.is_synced:
        return Unseen("MeshUnseen", "the mesh was not listed yet: it will be", transient=True)
    if mesh.problems:
        message = f"the mesh cannot be watched at present: {'; '.join(mesh.problems)}"
        return Unseen("MeshUnseen", message, transient=True)
    return mesh.inventory()


def versions(inventory: Inventory) -> VersionsSeen | Unseen:
    """Which versions run."""
    control_plane = inventory.control_plane
    if control_plane is None:
        return Unseen("MeshUnseen", "no control plane of Linkerd is to be seen: is it installed?")
    proxies: list[tuple[Version, int]] = []
    unknown = 0
    for label, pods in sorted(inventory.proxies().items()):
        version = Version.maybe(label)
        if version is None:
            unknown += pods
        else:
            proxies.append((version, pods))
    return VersionsSeen(
        control_plane=tuple(each for each in map(Version.maybe, control_plane.running) if each is not None),
        configured=Version.maybe(control_plane.configured),
        proxies=tuple(proxies),
        unknown_proxies=unknown,
    )
