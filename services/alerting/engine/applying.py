"""Policies and channels → what is in force, their statuses, and what is to be told of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from services.alerting import metrics
from services.alerting.core.adoption import Contents
from services.alerting.core.rule_units import blind_alerts, doubtful_alerts, needed_metrics
from services.alerting.core.units import NOT_CHECKED, ChannelUnit, Refusal, RuleUnit, rule_file
from services.alerting.core.verdicts import Carried, Sight, channel_status, policy_status
from services.alerting.edges.objects import Objects
from services.alerting.engine.adopting import Adopting, Outcome
from services.alerting.engine.looking import Sighting
from steward.clock import Clock
from steward.errors import StewardError
from steward.resources.alert_policy import AlertPolicy
from steward.service.chassis import Chassis

RenderRules = Callable[[Sighting], Awaitable[tuple[RuleUnit, ...]]]
RenderChannels = Callable[[Sighting], Awaitable[tuple[ChannelUnit, ...]]]
Present = Callable[[frozenset[str]], Awaitable[frozenset[str] | None]]
"""Which of these metrics have series; None where nobody can tell."""
Unreadable = Callable[[], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force, and what is refused: object → why."""

    rules: Contents = field(default_factory=dict)
    rule_count: int = 0
    channels: Contents = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Means:
    """What applying works with. Without a carrier nothing can be in force, and the objects say so."""

    rules: Adopting | None
    routes: Adopting | None
    render_rules: RenderRules
    render_channels: RenderChannels
    present: Present
    unreadable: Unreadable
    """`AlertPolicy/namespace/name` of what is there and cannot be read: what was good of it stays."""
    objects: Objects
    delivery: str
    missing: str
    """Why there is no carrier; a sentence with the remedy."""


class Applying:
    """One thing at a time, from the beginning each time."""

    def __init__(self, chassis: Chassis, means: Means) -> None:
        self._clock: Clock = chassis.clock
        self._instruments = chassis.instruments
        self._log = chassis.log
        self._means = means
        self.standing = Standing()
        self.settled = True
        """False where a target did not answer, or refused even what was good: then it is to be asked again."""

    async def begin(self) -> None:
        """After a start: the rules that were good are in force before the API server is asked for others."""
        if self._means.rules is None:
            return
        try:
            await self._means.rules.begin()
        except StewardError as error:
            self._log.warning("what was in force is not shown yet", error=str(error))

    async def apply(self, seen: Sighting) -> Standing:
        """Bring all of it into force as far as possible; raises where the API server does not take the statuses."""
        units = await self._means.render_rules(seen)
        channels = await self._means.render_channels(seen)
        lost = _lost(self._means.unreadable())
        wanted_rules = {**lost.rules, **{each.file: each.content for each in units}}
        wanted_routes = {**lost.channels, **{each.name: each.content for each in channels}}
        rules, rule_problem = await self._adopted(self._means.rules, wanted_rules, seen.prometheus_unseen)
        routes, route_problem = await self._adopted(self._means.routes, wanted_routes, seen.alertmanager_unseen)
        unchecked = any(each.refusal is not None and each.refusal.reason == NOT_CHECKED for each in units)
        silent = (rule_problem and self._means.rules) or (route_problem and self._means.routes)
        self.settled = not silent and not unchecked
        carried_rules = {each.file: _carried(each.file, each.refusal, rules, rule_problem) for each in units}
        carried_routes = {each.name: _carried(each.name, each.refusal, routes, route_problem) for each in channels}
        self.standing = Standing(
            rules=rules.in_force if rules else {},
            rule_count=sum(each.rules for each in units if carried_rules[each.file].in_force),
            channels=routes.in_force if routes else {},
            refused={
                **lost.refused,
                **_refused((each.object, carried_rules[each.file]) for each in units),
                **_refused((each.object, carried_routes[each.name]) for each in channels),
            },
        )
        sights = await self._sights(units, seen)
        self._show(units, channels, carried_rules, carried_routes)
        self._instruments.set(metrics.UNREACHABLE, float(bool(seen.problems)))
        self._instruments.show(metrics.BLIND, {(name,): float(len(each.blind)) for name, each in sights.items()})
        await self._tell(units, channels, (carried_rules, carried_routes), sights)
        return self.standing

    async def _sights(self, units: Iterable[RuleUnit], seen: Sighting) -> Mapping[str, Sight]:
        names = await asyncio.to_thread(needed_metrics, units)
        present = await self._means.present(names)
        return await asyncio.to_thread(lambda: {each.object: _sight(each, present, seen) for each in units})

    async def _adopted(
        self, carrier: Adopting | None, wanted: Mapping[str, str | None], unseen: str
    ) -> tuple[Outcome | None, str]:
        """What came of it; without an outcome the sentence why. What nobody has seen yet is not rendered for."""
        if carrier is None or unseen:
            return None, unseen if carrier else self._means.missing
        try:
            good = await carrier.good()
            # What could not even be rendered stays as it was.
            texts = {name: text if text is not None else good.get(name) for name, text in wanted.items()}
            outcome = await carrier.adopt({name: text for name, text in texts.items() if text is not None})
        except StewardError as error:
            self._log.warning("nothing could be applied", error=str(error))
            return None, str(error)
        if outcome.shown:
            self._log.info("applied", in_force=len(outcome.in_force), refused=sorted(outcome.refused))
        return outcome, outcome.broken

    def _show(
        self,
        units: Iterable[RuleUnit],
        channels: Iterable[ChannelUnit],
        rules: Mapping[str, Carried],
        routes: Mapping[str, Carried],
    ) -> None:
        target = self._means.delivery
        applied: dict[tuple[str, ...], float] = {
            (target, each.object): float(rules[each.file].in_force) for each in units
        }
        applied |= {(target, each.object): float(routes[each.name].in_force) for each in channels}
        applied |= {(target, name): 0.0 for name in self._means.unreadable()}
        self._instruments.show(metrics.APPLIED, applied)
        self._instruments.set(metrics.RULES, self.standing.rule_count)

    async def _tell(
        self,
        units: Iterable[RuleUnit],
        channels: Iterable[ChannelUnit],
        carried: tuple[Mapping[str, Carried], Mapping[str, Carried]],
        sights: Mapping[str, Sight],
    ) -> None:
        rules, routes = carried
        now = self._clock.now()
        for unit in units:
            if unit.policy is not None:
                status = policy_status(unit, rules[unit.file], sights[unit.object], now)
                await self._means.objects.tell_policy(unit.policy, status)
        for channel in channels:
            status_of = channel_status(channel, routes[channel.name], now)
            await self._means.objects.tell_channel(channel.channel, status_of)


def _carried(name: str, refusal: Refusal | None, outcome: Outcome | None, problem: str) -> Carried:
    if outcome is None:
        return Carried(in_force=False, refusal=refusal or Refusal("TargetUnknown", problem), unknown=refusal is None)
    standing = name in outcome.in_force
    if refusal is not None:
        return Carried(in_force=False, refusal=refusal, standing=standing)
    if outcome.broken and name in outcome.refused:
        message = f"the target refuses even what was good before, so the fault lies elsewhere: {outcome.broken}"
        return Carried(in_force=False, refusal=Refusal("TargetBroken", message), standing=standing)
    if name in outcome.refused:
        return Carried(in_force=False, refusal=Refusal("TargetRefused", outcome.refused[name]), standing=standing)
    return Carried(in_force=True)


def _refused(carried: Iterable[tuple[str, Carried]]) -> dict[str, Refusal]:
    return {name: each.refusal for name, each in carried if each.refusal is not None and not each.unknown}


def _sight(unit: RuleUnit, present: frozenset[str] | None, seen: Sighting) -> Sight:
    fires = seen.firing.get(unit.file, 0)
    if present is None:
        return Sight({}, firing=fires, known=False)
    return Sight(blind_alerts(unit, present), doubtful_alerts(unit, present), fires)


@dataclass(frozen=True, slots=True)
class _Lost:
    """Objects that cannot be read, under the names of their contents."""

    rules: Mapping[str, None]
    channels: Mapping[str, None]
    refused: Mapping[str, Refusal]


def _lost(unreadable: Iterable[str]) -> _Lost:
    rules: dict[str, None] = {}
    channels: dict[str, None] = {}
    refused: dict[str, Refusal] = {}
    for name in unreadable:
        kind, namespace, own = name.split("/", 2)
        if kind == AlertPolicy.kind_name:
            rules[rule_file(namespace, own)] = None
        else:
            channels[f"{namespace}.{own}"] = None
        refused[name] = Refusal("Unreadable", "it does not fit its schema: apply the CRDs of this version of Steward")
    return _Lost(rules, channels, refused)
