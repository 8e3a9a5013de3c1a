"""What the policy controller writes back: conditions of routes, EgressNetworks and rate limits."""

from collections.abc import Callable, Iterator

from steward.jsonvalue import Json, JsonObject, rows, table, text, whole
from steward.kube.resources import SERVICES, Resource
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.kinds import (
    EGRESS_NETWORKS,
    GRPC_ROUTES,
    HTTP,
    RATE_LIMITS,
    ROUTES,
    SERVERS,
    TCP_ROUTES,
    TLS_ROUTES,
)
from steward.testing.dataplane.control.routes import refers_to
from steward.testing.dataplane.control.world import World, by_age, name_of, namespace_of
from steward.testing.dataplane.faults import Faults
from steward.testing.kubernetes.metadata import stamp
from steward.testing.linkerd.simulation.statuses import write_status

CONTROLLER = "linkerd.io/policy-controller"
_PARENTS: dict[str, Resource] = {"Service": SERVICES, "Server": SERVERS, "EgressNetwork": EGRESS_NETWORKS}
_STRENGTH = (TCP_ROUTES.kind, TLS_ROUTES.kind, "HTTPRoute", GRPC_ROUTES.kind)


class Statuses:
    """Written by the leader among the policy controllers."""

    def __init__(self, world: World, faults: Faults, now: Callable[[], str] | None = None) -> None:
        self._world = world
        self._faults = faults
        self._now = now or (lambda: stamp(world.cluster.clock.now()))

    def write(self) -> None:
        """Bring every status up to date."""
        for kind in ROUTES:
            for route in list(self._world.all(kind)):
                place = Client(pod=name_of(route), namespace=namespace_of(route))
                if not self._faults.on(broken.ROUTE_STATUS_ABSENT, place):
                    wrong = self._faults.on(broken.ROUTE_STATUS_WRONG, place)
                    self._write_route(kind, route, wrong=wrong)
        for network in list(self._world.all(EGRESS_NETWORKS)):
            accepted = self._condition(network, "Accepted", "Accepted", holds=True)
            self._put(EGRESS_NETWORKS, network, {"conditions": [accepted]})
        self._write_limits()

    def _write_route(self, kind: Resource, route: JsonObject, *, wrong: bool) -> None:
        before = rows(route, "status", "parents")
        others = [one for one in before if text(one, "controllerName") != CONTROLLER]
        own: list[JsonObject] = []
        for reference in rows(route, "spec", "parentRefs"):
            if text(reference, "kind") in _PARENTS:
                there = next((one for one in before if table(one, "parentRef") == reference), {})
                own.append(self._parent(kind, route, reference, there, wrong=wrong))
        if own or before:
            self._put(kind, route, {"parents": list[Json]([*others, *own])})

    def _parent(
        self, kind: Resource, route: JsonObject, reference: JsonObject, before: JsonObject, *, wrong: bool
    ) -> JsonObject:
        reason = "NoMatchingParent" if wrong else self._refusal(kind, route, reference)
        found: list[Json] = [
            self._condition(before, "Accepted", reason or "Accepted", holds=not reason, inside=("conditions",))
        ]
        if text(reference, "kind") != SERVERS.kind:
            missing = any(not self._exists(one, route) for one in _backend_refs(route))
            resolved = "BackendNotFound" if missing else "ResolvedRefs"
            found.append(self._condition(before, "ResolvedRefs", resolved, holds=not missing, inside=("conditions",)))
        return {"controllerName": CONTROLLER, "parentRef": dict(reference), "conditions": found}

    def _refusal(self, kind: Resource, route: JsonObject, reference: JsonObject) -> str:
        parent = self._found(reference, namespace_of(route))
        if parent is None or not refers_to(reference, route, parent, 0):
            return "NoMatchingParent"
        if text(reference, "kind") == SERVERS.kind:
            return ""
        port = whole(reference, "port")
        stronger = _STRENGTH[_STRENGTH.index(kind.kind) + 1 :]
        for other_kind in (*HTTP, GRPC_ROUTES, TLS_ROUTES):
            if other_kind.kind in stronger and self._is_taken(other_kind, parent, port):
                return "RouteReasonConflicted"
        return ""

    def _is_taken(self, kind: Resource, parent: JsonObject, port: int) -> bool:
        return any(
            refers_to(reference, route, parent, port)
            for route in self._world.all(kind)
            for reference in rows(route, "spec", "parentRefs")
        )

    def _found(self, reference: JsonObject, home: str) -> JsonObject | None:
        resource = _PARENTS[text(reference, "kind")]
        return self._world.find(resource, text(reference, "name"), text(reference, "namespace") or home)

    def _exists(self, reference: JsonObject, route: JsonObject) -> bool:
        resource = _PARENTS.get(text(reference, "kind", default="Service"), SERVICES)
        namespace = text(reference, "namespace") or namespace_of(route)
        return self._world.find(resource, text(reference, "name"), namespace) is not None

    def _write_limits(self) -> None:
        taken: set[tuple[str, str]] = set()
        for policy in by_age(list(self._world.all(RATE_LIMITS))):
            target = table(policy, "spec", "targetRef")
            key = namespace_of(policy), text(target, "name")
            reason = ""
            if self._world.find(SERVERS, key[1], key[0]) is None:
                reason = "NoMatchingTarget"
            elif key in taken:
                reason = "RateLimitReasonAlreadyExists"
            taken.add(key)
            accepted = self._condition(policy, "Accepted", reason or "Accepted", holds=not reason)
            self._put(RATE_LIMITS, policy, {"conditions": [accepted], "targetRef": dict(target)})

    def _condition(
        self,
        holder: JsonObject,
        kind: str,
        reason: str,
        *,
        holds: bool,
        inside: tuple[str, ...] = ("status", "conditions"),
    ) -> JsonObject:
        status = "True" if holds else "False"
        before = next((one for one in rows(holder, *inside) if text(one, "type") == kind), {})
        same = text(before, "status") == status and text(before, "reason") == reason
        since = text(before, "lastTransitionTime") if same else self._now()
        return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": since}

    def _put(self, kind: Resource, value: JsonObject, status: JsonObject) -> None:
        write_status(self._world.cluster, kind, name_of(value), status, namespace_of(value))


def _backend_refs(route: JsonObject) -> Iterator[JsonObject]:
    for rule in rows(route, "spec", "rules"):
        yield from rows(rule, "backendRefs")
