"""Policies and channels → what is in force, their statuses, and what is to be told of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from services.alerting import metrics
from services.alerting.core.adoption import Contents
from services.alerting.core.rule_units import blind_alerts
from services.alerting.core.units import ChannelUnit, Refusal, RuleUnit
from services.alerting.core.verdicts import Carried, Sight, channel_status, policy_status
from services.alerting.edges.objects import Objects
from services.alerting.engine.adopting import Adopting, Outcome
from services.alerting.engine.looking import Sighting, firing_in
from steward.clock import Clock
from steward.errors import StewardError
from steward.service.chassis import Chassis

RenderRules = Callable[[Sighting], Awaitable[tuple[RuleUnit, ...]]]
RenderChannels = Callable[[Sighting], Awaitable[tuple[ChannelUnit, ...]]]


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

    async def apply(self, seen: Sighting) -> Standing:
        """Bring all of it into force as far as possible; raises where the API server does not take the statuses."""
        units = await self._means.render_rules(seen)
        channels = await self._means.render_channels(seen)
        rules, rule_problem = await self._adopted(self._means.rules, {each.file: each.content for each in units})
        routes, route_problem = await self._adopted(self._means.routes, {each.name: each.content for each in channels})
        carried_rules = {each.file: _carried(each.file, each.refusal, rules, rule_problem) for each in units}
        carried_routes = {each.name: _carried(each.name, each.refusal, routes, route_problem) for each in channels}
        self.standing = Standing(
            rules=rules.in_force if rules else {},
            rule_count=sum(each.rules for each in units if carried_rules[each.file].in_force),
            channels=routes.in_force if routes else {},
            refused={
                **_refused((each.object, carried_rules[each.file]) for each in units),
                **_refused((each.object, carried_routes[each.name]) for each in channels),
            },
        )
        self._show(units, channels, carried_rules, carried_routes)
        await self._tell(units, channels, (carried_rules, carried_routes), seen)
        return self.standing

    async def _adopted(self, carrier: Adopting | None, wanted: Mapping[str, str | None]) -> tuple[Outcome | None, str]:
        """What came of it; without an outcome the sentence why."""
        if carrier is None:
            return None, self._means.missing
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
        self._instruments.show(metrics.APPLIED, applied)
        self._instruments.set(metrics.RULES, self.standing.rule_count)

    async def _tell(
        self,
        units: Iterable[RuleUnit],
        channels: Iterable[ChannelUnit],
        carried: tuple[Mapping[str, Carried], Mapping[str, Carried]],
        seen: Sighting,
    ) -> None:
        rules, routes = carried
        now = self._clock.now()
        blind_alerts: dict[tuple[str, ...], float] = {}
        for unit in units:
            sight = _sight(unit, seen)
            blind_alerts[(unit.object,)] = float(len(sight.blind))
            if unit.policy is not None:
                status = policy_status(unit, rules[unit.file], sight, now)
                await self._means.objects.tell_policy(unit.policy, status)
        for channel in channels:
            status_of = channel_status(channel, routes[channel.name], now)
            await self._means.objects.tell_channel(channel.channel, status_of)
        self._instruments.show(metrics.BLIND, blind_alerts)


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


def _sight(unit: RuleUnit, seen: Sighting) -> Sight:
    if seen.metric_names is None:
        return Sight({}, known=False)
    return Sight(blind_alerts(unit, seen.metric_names), firing_in(seen.firing, unit.file))
