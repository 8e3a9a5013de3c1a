"""What the exporter tells of the mesh, gathered: live views of what changes, one look at what is read by name.

The least rights that it needs, beside those of `steward.mesh.view.MeshView`:

    get           configmaps linkerd-identity-trust-roots, secrets linkerd-identity-issuer and the webhooks'
                  *-k8s-tls, each by name, in the namespaces of Linkerd and of viz
    get           the webhook configurations of Linkerd and viz and the APIService of tap, by name
    list          certificates.cert-manager.io in the same namespaces
    list, watch   upgraderuns and conformanceruns of steward.linkerd.io

A right that is missing, and what is not there to be read, take away the numbers that need it and nothing else.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from services.alerting.core.exported.exposition import Facts
from services.alerting.core.exported.progress import conformance_seen, upgrade_seen
from services.alerting.core.exported.unread import Fact, Unread
from services.alerting.edges.certificate_facts import CertificateFacts
from services.alerting.edges.looking import TOO_OLD, Look, Question, unread
from services.alerting.edges.perhaps_installed import PerhapsInstalled
from steward.kube.client import Kube
from steward.kube.resources import CONFORMANCE_RUNS, UPGRADE_RUNS
from steward.linkerd.inventory import Inventory
from steward.mesh.view import MeshView

T = TypeVar("T")

_VIZ = "viz"


class MeshFacts:
    """The mesh that `view` shows, and what else is told of it. Whoever runs the view also runs this."""

    def __init__(self, kube: Kube, view: MeshView, *, on_change: Callable[[], None] | None = None) -> None:
        self._view = view
        changed = on_change or _nobody
        self._certificates = CertificateFacts(kube, view.namespace)
        self._upgrades = PerhapsInstalled(kube, UPGRADE_RUNS, trim=upgrade_seen, on_change=changed)
        self._conformance = PerhapsInstalled(kube, CONFORMANCE_RUNS, trim=conformance_seen, on_change=changed)

    async def run(self) -> None:
        """Keep the runs current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for cache in (self._upgrades, self._conformance):
                tasks.create_task(cache.run(), name=f"cache of {cache.resource}")

    async def look(self) -> Facts:
        """Everything as it is now. Raises nothing of the API's: what cannot be read is in `Facts.unread`."""
        look = Look()
        inventory = self._inventory(look)
        viz = _extensions(inventory, _VIZ) if inventory is not None else ()
        certificates = await self._certificates.seen(look, viz)
        upgrades = _known(look, Fact.UPGRADES, self._upgrades)
        conformance = _known(look, Fact.CONFORMANCE, self._conformance)
        return Facts(
            inventory=inventory,
            certificates=certificates,
            upgrades=upgrades,
            upgrades_known=self._upgrades.values is not None,
            conformance=conformance,
            unread=tuple(look.unread),
        )

    def _inventory(self, look: Look) -> Inventory | None:
        problems = self._view.problems
        look.unread += (Unread(Fact.MESH, problem) for problem in problems)
        if not self._view.is_synced:
            if not problems:
                look.unread.append(Unread(Fact.MESH, "the mesh was not listed yet"))
            return None
        silent = self._view.staleness
        if silent > TOO_OLD:
            look.unread.append(Unread(Fact.MESH, f"the API server was last heard of the mesh {silent} ago"))
            return None
        return self._view.inventory()


def _extensions(inventory: Inventory, name: str) -> tuple[str, ...]:
    return tuple(sorted(each.name for each in inventory.namespaces.values() if each.extension == name))


def _known(look: Look, fact: Fact, cache: PerhapsInstalled[T]) -> tuple[T, ...]:
    """What the cache holds; where it holds nothing because it cannot be read, that is noted."""
    problem = cache.problem
    if problem is not None:
        look.unread.append(unread(Question(fact, "list and watch", cache.resource), problem))
    values = cache.values
    if values is None and problem is None:
        look.unread.append(Unread(fact, f"{cache.resource} were not listed yet"))
    return values or ()


def _nobody() -> None:
    """Nobody wants to know."""
