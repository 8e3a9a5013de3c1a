"""What is wanted, rendered for what was found: policies and services → rules, channels → routes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.alerting.core.channel_units import Writing as WritingChannel
from services.alerting.core.channel_units import channel_unit
from services.alerting.core.rule_units import RuleUnits, own_expressions, rule_units
from services.alerting.core.units import NOT_CHECKED, ChannelUnit, Refusal, RuleUnit
from services.alerting.core.writing import Writing, as_file
from services.alerting.edges.secrets import ChannelSecrets
from services.alerting.edges.watched import Watched
from services.alerting.engine.looking import Sighting
from steward.alerting.channels.target import Target
from steward.alerting.objectives.facts import (
    POLICY,
    MeshFacts,
    grpc_route_facts,
    http_route_facts,
    profile_facts,
    service_facts,
)
from steward.alerting.policy_rules import Whereabouts
from steward.jsonvalue import JsonObject
from steward.kube.mesh_resources import GRPC_ROUTES, HTTP_ROUTES, POLICY_HTTP_ROUTES, SERVICE_PROFILES
from steward.monitoring.json_api import MonitoringError
from steward.monitoring.prometheus import Prometheus
from steward.resources.alert_policy import AlertPolicy

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Objects:
    """As they are at this moment, whatever is watched meanwhile."""

    services: tuple[JsonObject, ...]
    profiles: tuple[JsonObject, ...]
    http_routes: tuple[JsonObject, ...]
    policy_http_routes: tuple[JsonObject, ...]
    grpc_routes: tuple[JsonObject, ...]


class RenderingRules:
    """Policies and annotated objects."""

    def __init__(
        self, watched: Watched, prometheus: Prometheus | None, home: str, runbooks: str, *, write: Writing = as_file
    ) -> None:
        self._watched = watched
        self._prometheus = prometheus
        self._home = home
        self._runbooks = runbooks
        self._write = write
        self._objections: dict[str, str | None] = {}
        self._units = RuleUnits()

    async def __call__(self, seen: Sighting) -> tuple[RuleUnit, ...]:
        """Units, each refused whose own queries Prometheus does not take."""
        # In a thread: hundreds of policies take seconds, in which others want to be answered.
        self._units = await asyncio.to_thread(self._rendered, self._watched.policies(), self._objects(), seen)
        return tuple([await self._checked(unit) for unit in self._units.all])

    def _rendered(self, policies: Iterable[AlertPolicy], objects: _Objects, seen: Sighting) -> RuleUnits:
        around = Whereabouts(_facts(objects), seen.monitoring, self._home, self._runbooks)
        return rule_units(policies, around, self._write, self._units)

    async def _checked(self, unit: RuleUnit) -> RuleUnit:
        for expr in own_expressions(unit.groups):
            try:
                objection = await self._objection(expr)
            except MonitoringError as error:
                message = f"whether Prometheus takes the query {expr!r} cannot be asked: {error}"
                return replace(unit, content=None, refusal=Refusal(NOT_CHECKED, message))
            if objection is not None:
                message = f"Prometheus does not take the query {expr!r}: {objection}"
                return replace(unit, content=None, refusal=Refusal("QueryRefused", message))
        return unit

    async def _objection(self, expr: str) -> str | None:
        """Asked once for each query: what a parser takes it goes on taking."""
        if self._prometheus is None:
            return None
        if expr not in self._objections:
            if len(self._objections) >= _REMEMBERED:
                self._objections.clear()
            self._objections[expr] = await self._prometheus.objection(expr)
        return self._objections[expr]

    def _objects(self) -> _Objects:
        watched = self._watched
        return _Objects(
            services=watched.services(),
            profiles=watched.of(SERVICE_PROFILES),
            http_routes=watched.of(HTTP_ROUTES),
            policy_http_routes=watched.of(POLICY_HTTP_ROUTES),
            grpc_routes=watched.of(GRPC_ROUTES),
        )


def _facts(objects: _Objects) -> MeshFacts:
    return MeshFacts.gathered(
        services=map(service_facts, objects.services),
        profiles=map(profile_facts, objects.profiles),
        routes=(
            *map(http_route_facts, objects.http_routes),
            *(http_route_facts(each, POLICY) for each in objects.policy_http_routes),
            *map(grpc_route_facts, objects.grpc_routes),
        ),
    )


class RenderingChannels:
    """Channels, and the files of their secrets where delivery is by files."""

    def __init__(
        self,
        watched: Watched,
        target: Target,
        secrets: ChannelSecrets | None,
        *,
        write: WritingChannel = channel_unit,
    ) -> None:
        self._watched = watched
        self._target = target
        self._secrets = secrets
        self._write = write

    def target(self, seen: Sighting) -> Target:
        """The Alertmanager as it was last seen."""
        return replace(self._target, alertmanager=seen.monitoring.alertmanager)

    async def secrets_moved(self) -> bool:
        """Whether a Secret says otherwise than when the channels were last rendered. Raises KubeError."""
        return self._secrets is not None and await self._secrets.moved()

    async def __call__(self, seen: Sighting) -> tuple[ChannelUnit, ...]:
        """Units, each refused whose secrets are not there."""
        target = self.target(seen)
        units = tuple(self._write(channel, target) for channel in self._watched.channels())
        if self._secrets is None:
            return units
        return tuple(_refused(units, await self._secrets.laid_out(units)))


def _refused(units: Iterable[ChannelUnit], refusals: dict[str, Refusal]) -> Iterable[ChannelUnit]:
    for unit in units:
        refusal = refusals.get(unit.name)
        yield replace(unit, content=None, refusal=refusal) if refusal is not None and unit.refusal is None else unit
