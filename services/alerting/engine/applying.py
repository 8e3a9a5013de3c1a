"""Policies and channels → what is in force, their statuses, and what is to be told of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from services.alerting import metrics
from services.alerting.core.adoption import Contents
from services.alerting.core.loaded import Loaded
from services.alerting.core.operator_documents import expected
from services.alerting.core.rule_units import blind_alerts
from services.alerting.core.units import ChannelUnit, Refusal, RuleUnit
from services.alerting.core.verdicts import Carried, Sight, channel_status, policy_status
from services.alerting.edges.objects import Objects
from services.alerting.engine.adopting import Adopting, Outcome
from services.alerting.engine.awaiting import Awaiting
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
    unknown: bool = False
    """Of something nobody can tell yet: it is to be looked at again."""
    untried: bool = False
    """Whoever should take it did not answer: it is to be tried again."""


@dataclass(frozen=True, slots=True)
class OwnRoutes:
    """What no channel asks for, and is carried beside them: Steward's own webhook."""

    name: str
    object: str
    content: Callable[[Sighting], str | None]


@dataclass(frozen=True, slots=True)
class Carriers:
    """The way of rules and that of routes. None: there is none."""

    rules: Adopting | None = None
    routes: Adopting | None = None
    rules_awaited: Awaiting | None = None
    """Where what was taken is in force only once it is seen."""
    routes_awaited: Awaiting | None = None
    own: OwnRoutes | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What applying works with. Without a carrier nothing can be in force, and the objects say so."""

    carriers: Carriers
    render_rules: RenderRules
    render_channels: RenderChannels
    objects: Objects
    delivery: str
    missing: str
    """Why there is no carrier; a sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of bringing one kind into force. Without an outcome: the sentence why, and how to tell each unit."""

    outcome: Outcome | None
    problem: str
    awaited: Awaiting | None
    loaded: Loaded

    def carried(self, name: str, refusal: Refusal | None) -> Carried:
        """What became of one unit."""
        found = _carried(name, refusal, self.outcome, self.problem)
        if self.awaited is None or self.outcome is None:
            return found
        return self.awaited.judged(name, found, self.outcome, self.loaded)

    def standing(self, carried: Mapping[str, Carried]) -> Contents:
        """What is in force."""
        good = self.outcome.in_force if self.outcome is not None else {}
        if self.awaited is None:
            return good
        here = {name for name, each in carried.items() if each.in_force or each.standing}
        return {name: content for name, content in good.items() if name in here}


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
        by = self._means.carriers
        own = {by.own.name: by.own.content(seen)} if by.own is not None else {}
        rules = await self._tried(by.rules, {each.file: each.content for each in units}, by.rules_awaited, seen.rules)
        wanted_routes = {**own, **{each.name: each.content for each in channels}}
        routes = await self._tried(by.routes, wanted_routes, by.routes_awaited, seen.routes)
        carried_rules = {each.file: rules.carried(each.file, each.refusal) for each in units}
        carried_routes = {
            each.name: _remarked(routes.carried(each.name, each.refusal), each, seen) for each in channels
        }
        own_carried = {name: routes.carried(name, None) for name, content in own.items() if content is not None}
        named = (
            *((each.object, carried_rules[each.file]) for each in units),
            *((each.object, carried_routes[each.name]) for each in channels),
            *((by.own.object, each) for each in own_carried.values() if by.own is not None),
        )
        self.standing = Standing(
            rules=rules.standing(carried_rules),
            rule_count=sum(each.rules for each in units if carried_rules[each.file].in_force),
            channels=routes.standing(carried_routes),
            refused=_refused(named),
            unknown=any(each.unknown for _, each in named),
            untried=any(carrier and not each.outcome for carrier, each in ((by.rules, rules), (by.routes, routes))),
        )
        self._show(named)
        await self._tell(units, channels, (carried_rules, carried_routes), seen)
        return self.standing

    def rest(self) -> None:
        """Another replica acts from here on, and tells."""
        self.standing = Standing()
        self._show(())
        self._instruments.show(metrics.BLIND, {})

    async def _tried(
        self, carrier: Adopting | None, wanted: Mapping[str, str | None], awaited: Awaiting | None, loaded: Loaded
    ) -> _Tried:
        outcome, problem = await self._adopted(carrier, wanted)
        return _Tried(outcome, problem, awaited, loaded)

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

    def _show(self, carried: Iterable[tuple[str, Carried]]) -> None:
        target = self._means.delivery
        self._instruments.show(metrics.APPLIED, {(target, name): float(each.in_force) for name, each in carried})
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
    return Sight(blind_alerts(unit, seen.metric_names), firing_in(seen.firing, _files(unit, seen)))


def _files(unit: RuleUnit, seen: Sighting) -> frozenset[str]:
    """Of the unit in Prometheus: those that the operator made of its objects, or its own."""
    marks = expected(unit.content).marks if unit.content and seen.rules.files else ()
    return frozenset(seen.rules.files.get(each.object, "") for each in marks) | {unit.file}


def _remarked(carried: Carried, unit: ChannelUnit, seen: Sighting) -> Carried:
    said = [unit.remark] if unit.remark else []
    if seen.routes.narrowed and seen.routes.narrowed == unit.channel.metadata.namespace:
        said.append(
            f'is told only of alerts with namespace="{seen.routes.narrowed}", because of the Alertmanager object\'s '
            "alertmanagerConfigMatcherStrategy: set its type to None to be told of all"
        )
    return replace(carried, remark="; it ".join(said))
