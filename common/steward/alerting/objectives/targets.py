"""The target of an objective, resolved: which object it is, and where its requests are counted."""

from typing import assert_never

from steward.alerting.objectives.counting import Counting, counted_by_clients, counted_by_profile, counted_by_route
from steward.alerting.objectives.facts import MeshFacts, Place
from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.server_side import counted_by_pods
from steward.alerting.objectives.wanted import Target, View
from steward.resources.alert_policy import Side, TargetKind


def counted(target: Target, view: View, facts: MeshFacts) -> tuple[Counting, ...]:
    """Where the requests of a target are counted: once, but for each Service by itself that a route is attached to."""
    match target.kind:
        case TargetKind.SERVICE:
            return (_service(target.place, view, facts),)
        case TargetKind.SERVICE_PROFILE:
            return (_profile(target.place, view, facts),)
        case TargetKind.HTTP_ROUTE | TargetKind.GRPC_ROUTE:
            return _route(target, view, facts)
        case _:
            assert_never(target.kind)


def _service(place: Place, view: View, facts: MeshFacts) -> Counting:
    service = facts.services.get(place)
    if service is None:
        return _missing("Service", place)
    if view.side is Side.SERVER:
        return counted_by_pods(service, view.granularity, facts)
    return counted_by_clients(service, facts)


def _profile(place: Place, view: View, facts: MeshFacts) -> Counting:
    profile = facts.profiles.get(place)
    if profile is None:
        return _missing("ServiceProfile", place)
    if view.side is Side.CLIENT:
        return counted_by_profile(profile, facts)
    if profile.service is None or not profile.for_everybody:
        return Refused(
            "NoServerSide",
            f"ServiceProfile {place.name!r} is for the clients in namespace {place.namespace!r}, and no pod counts by "
            "it: look at it from the side of the client",
        )
    return _service(profile.service, view, facts)


def _route(target: Target, view: View, facts: MeshFacts) -> tuple[Counting, ...]:
    found = facts.routes.get((target.kind, target.place), ())
    if not found:
        return (_missing(target.kind, target.place),)
    name = f"{target.kind} {target.place.name!r}"
    if view.side is Side.SERVER:
        return (
            Refused(
                "NoServerSide",
                f"requests by {name} are counted by clients only: look at it from the side of the client",
            ),
        )
    parents = dict.fromkeys(parent.service for route in found for parent in route.parents)
    if not parents:
        return (
            Refused(
                "NoServiceParent",
                f"{name} is attached to no Service, so no client counts requests by it: give it a Service for a parent",
            ),
        )
    return tuple(counted_by_route(found, parent, facts) for parent in parents)


def _missing(kind: str, place: Place) -> Refused:
    return Refused("NoSuchTarget", f"there is no {kind} {place.name!r} in namespace {place.namespace!r}")
