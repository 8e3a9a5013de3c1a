"""The API server, as probes and runs need it. Every write is bound to the namespaces of a run by whoever asks."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.conformance.core import safety
from services.conformance.core.capability import ClusterSeen
from services.conformance.core.evidence import Turned, Would
from services.conformance.core.ports import Landed, Unable
from services.conformance.core.stage import Place
from services.conformance.core.steps import Looked
from services.conformance.edges.kinds import PROBED, Kinds
from services.conformance.edges.surveying import Surveyor
from steward.jsonvalue import JsonObject, table, text, texts
from steward.kube.client import Kube
from steward.kube.errors import Conflict, EvictionRefused, Forbidden, Invalid, KubeError, NotFound
from steward.kube.resources import NAMESPACES, NODES, PODS
from steward.linkerd.pods import trim
from steward.resources.conformance_run import OwnedNamespace
from steward.viz.events import TapEvent

PROBE = "steward.linkerd.io/probe"
"""Label of everything that a probe applies; what has it when no probe runs was left behind."""
_ZONE = "topology.kubernetes.io/zone"
_DELETED = "Background"


@dataclass(frozen=True, slots=True)
class ProbedCluster:
    """One cluster."""

    kube: Kube
    surveyor: Surveyor
    kinds: Kinds = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", Kinds(self.kube))

    async def apply(self, thing: JsonObject, manager: str) -> Landed | Turned:
        """Create the object, or change exactly these fields of it."""
        resource = await self.kinds.of(thing)
        name, namespace = text(thing, "metadata", "name"), text(thing, "metadata", "namespace") or None
        before = await self.kube.find(resource, name, namespace)
        existed = before is not None and PROBE not in texts(before, "metadata", "labels")
        body = thing if existed else _marked(thing, manager)
        try:
            landed = await self.kube.apply(resource, body, manager=manager, force=True)
        except (Invalid, Forbidden, Conflict, NotFound) as error:
            return Turned(error.code, error.message)
        return Landed(landed, existed)

    async def state(self, thing: JsonObject, manager: str) -> JsonObject | Turned:
        """Change the status of an object that is there."""
        resource = await self.kinds.of(thing)
        try:
            return await self.kube.apply(resource, thing, manager=manager, force=True, subresource="status")
        except (Invalid, Forbidden, Conflict, NotFound) as error:
            return Turned(error.code, error.message)

    async def put(self, thing: JsonObject) -> None:
        """Make an object of the run's own production, or put it back. A refusal is raised."""
        await self.kube.apply(await self.kinds.of(thing), thing, force=True)

    async def remove(self, thing: JsonObject) -> None:
        """Delete the object; nothing happens where it is gone."""
        resource = await self.kinds.of(thing)
        await self.kube.delete(
            resource,
            text(thing, "metadata", "name"),
            text(thing, "metadata", "namespace") or None,
            propagation=_DELETED,
        )

    async def release(self, thing: JsonObject, manager: str) -> None:
        """Give up what `manager` set on an object of somebody else: an apply of nothing takes its fields away."""
        resource = await self.kinds.of(thing)
        bare: JsonObject = {"name": text(thing, "metadata", "name")}
        if namespace := text(thing, "metadata", "namespace"):
            bare["namespace"] = namespace
        await self.kube.apply(resource, {"metadata": bare}, manager=manager, force=True)

    async def attempt(self, thing: JsonObject) -> Would | Turned:
        """Create as a dry run."""
        try:
            resource = await self.kinds.of(thing)
            return Would(
                await self.kube.create(resource, thing, text(thing, "metadata", "namespace") or None, dry_run=True)
            )
        except KubeError as error:
            if not error.code:
                raise
            return Turned(error.code, error.message)

    async def look(self, looked: Looked) -> tuple[JsonObject, ...]:
        """Read objects; one that is not there is left out."""
        namespace = looked.namespace or None
        if looked.names:
            found = [await self.kube.find(looked.resource, name, namespace) for name in looked.names]
            return tuple(each for each in found if each is not None)
        return tuple((await self.kube.list(looked.resource, namespace, labels=looked.labels)).items)

    async def log(self, namespace: str, pod: str, container: str, since: timedelta) -> str:
        """What a container wrote within the time until now."""
        return await self.kube.log(namespace, pod, container, since)

    async def tap(self, namespace: str, deployment: str, path: str) -> AsyncGenerator[TapEvent, None]:
        """Listen to the requests of a Deployment whose path begins so; raises TapRefused."""
        # Its messages are loaded where somebody listens, which few clusters let anybody.
        from steward.viz.tap import Target, tap

        async with aclosing(tap(self.kube, Target(namespace, deployment, path))) as told:
            async for event in told:
                yield event

    async def evict(self, pod: JsonObject) -> Turned | None:
        """Ask a pod to go, as its disruption budgets allow; why not, where it is not let go."""
        name, namespace = text(pod, "metadata", "name"), text(pod, "metadata", "namespace")
        try:
            await self.kube.evict(namespace, name, uid=text(pod, "metadata", "uid"))
        except NotFound:
            return None
        except (EvictionRefused, Forbidden, Conflict, Invalid) as error:
            return Turned(error.code, error.message)
        return None

    async def places(self, namespaces: Sequence[str]) -> Mapping[str, tuple[Place, ...]]:
        """The pods of these namespaces by what they play; those of a version also under its name."""
        zones = await self._zones()
        found: dict[str, list[Place]] = {}
        for namespace in namespaces:
            for pod in (await self.kube.list(PODS, namespace)).items:
                if text(pod, "metadata", "deletionTimestamp") or text(pod, "status", "phase") in (
                    "Succeeded",
                    "Failed",
                ):
                    continue
                labels = texts(pod, "metadata", "labels")
                for actor in dict.fromkeys((labels.get("app", ""), labels.get("version", ""))):
                    if actor:
                        found.setdefault(actor, []).append(_place(pod, zones))
        return {actor: tuple(sorted(each, key=lambda place: place.pod)) for actor, each in found.items()}

    async def _zones(self) -> dict[str, str]:
        try:
            nodes = (await self.kube.list(NODES)).items
        except Forbidden:
            return {}
        return {text(node, "metadata", "name"): texts(node, "metadata", "labels").get(_ZONE, "") for node in nodes}

    async def claim(self, namespace: JsonObject) -> OwnedNamespace:
        """Make a namespace, or renew the one that is ours. Raise where the name belongs to somebody else."""
        name = text(namespace, "metadata", "name")
        before = await self.kube.find(NAMESPACES, name)
        if before is not None:
            judged = safety.judge(before)
            wanted = texts(namespace, "metadata", "labels").get(safety.RUN_UID)
            if isinstance(judged, safety.Kept) or judged.run_uid != wanted:
                raise Unable(
                    "NamespaceTaken", f"namespace {name!r} exists and is not ours: choose another where.prefix"
                )
            if text(before, "metadata", "deletionTimestamp"):
                raise Unable("NamespaceGoing", f"namespace {name!r} is being deleted: it can be made again afterwards")
        made = await self.kube.apply(NAMESPACES, namespace, force=True)
        return OwnedNamespace(name=name, uid=text(made, "metadata", "uid"))

    async def remains(self, owned: Sequence[OwnedNamespace]) -> tuple[OwnedNamespace, ...]:
        """Those that still exist."""
        found = []
        for each in owned:
            live = await self.kube.find(NAMESPACES, each.name)
            if live is not None and text(live, "metadata", "uid") == each.uid:
                found.append(each)
        return tuple(found)

    async def drop(self, owned: OwnedNamespace, run_uid: str) -> str:
        """Ask for the deletion of a namespace of a run; why not, where it is not certainly ours."""
        live = await self.kube.find(NAMESPACES, owned.name)
        if live is None:
            return ""
        judged = safety.may_delete(live, owned, run_uid)
        if isinstance(judged, safety.Kept):
            return judged.reason
        if not text(live, "metadata", "deletionTimestamp"):
            await self.kube.delete(NAMESPACES, judged.name, uid=judged.uid)
        return ""

    async def abandoned(self, living: frozenset[str], now: datetime) -> tuple[tuple[OwnedNamespace, str], ...]:
        """Namespaces of ours that nobody will clean up, each with the uid of its run."""
        listed = (await self.kube.list(NAMESPACES, labels=f"{safety.MANAGED_BY}={safety.MANAGER}")).items
        return tuple(
            (
                OwnedNamespace(name=text(each, "metadata", "name"), uid=text(each, "metadata", "uid")),
                texts(each, "metadata", "labels")[safety.RUN_UID],
            )
            for each in listed
            if safety.is_abandoned(each, living, now)
        )

    async def leftovers(self, namespaces: Sequence[str]) -> tuple[JsonObject, ...]:
        """Objects that a probe applied and could not remove, because its process ended."""
        found: list[JsonObject] = []
        for resource in PROBED:
            for namespace in namespaces:
                try:
                    found += (await self.kube.list(resource, namespace, labels=PROBE)).items
                except (NotFound, Forbidden):
                    break
        return tuple(found)

    async def survey(self) -> tuple[ClusterSeen, str]:
        """What this cluster and its mesh have, and the API server's version."""
        return await self.surveyor.survey()

    async def refusals(self) -> tuple[str, ...]:
        """The rights that are missing, in sentences."""
        return await self.surveyor.refusals()


def _place(pod: JsonObject, zones: Mapping[str, str]) -> Place:
    facts = trim(pod)
    node = text(pod, "spec", "nodeName")
    return Place(
        pod=facts.name,
        namespace=facts.namespace,
        ip=text(pod, "status", "podIP"),
        node=node,
        zone=zones.get(node, ""),
        proxy=facts.proxy.label if facts.proxy else "",
        ready=facts.ready and not facts.deleting,
    )


def _marked(thing: JsonObject, manager: str) -> JsonObject:
    metadata = table(thing, "metadata")
    labels = {**table(metadata, "labels"), PROBE: manager.rpartition("/")[2][:63]}
    return {**thing, "metadata": {**metadata, "labels": labels}}
