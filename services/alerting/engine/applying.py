"""Policies and channels → what is in force, their statuses, and what is to be told of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.alerting import metrics
from services.alerting.core.adoption import Contents
from services.alerting.core.loaded import Loaded
from services.alerting.core.operator_documents import expected
from services.alerting.core.rule_units import blind_alerts, doubtful_alerts, needed_metrics
from services.alerting.core.units import NOT_CHECKED, ChannelUnit, Refusal, RuleUnit
from services.alerting.core.unreadable import UNREADABLE, lost
from services.alerting.core.verdicts import Carried, Sight, channel_status, digest_of, policy_status
from services.alerting.edges.objects import Objects
from services.alerting.engine.adopting import Adopting, Outcome
from services.alerting.engine.awaiting import Awaiting
from services.alerting.engine.looking import Sighting
from steward.clock import Clock
from steward.errors import StewardError
from steward.resources.alert_policy import AlertPolicy, AlertPolicyStatus
from steward.service.chassis import Chassis

RenderRules = Callable[[Sighting], Awaitable[tuple[RuleUnit, ...]]]
RenderChannels = Callable[[Sighting], Awaitable[tuple[ChannelUnit, ...]]]
Present = Callable[[frozenset[str]], Awaitable[frozenset[str] | None]]
"""Which of these metrics have series; None where nobody can tell."""
Unreadable = Callable[[], Iterable[str]]
SecretsMoved = Callable[[], Awaitable[bool]]
"""Whether a Secret of a channel is otherwise than when the channels were last rendered."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force, and what is refused: object → why."""

    rules: Contents = field(default_factory=dict)
    channels: Contents = field(default_factory=dict)
    rule_count: int = 0
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    unknown: bool = False
    """Of something nobody can tell yet: it is to be looked at again."""
    digest: str = digest_of()
    """A short name for what is in force."""
    untried: bool = False
    """Whoever should take it did not answer, or refused even what was good: it is to be tried again."""


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
    present: Present
    unreadable: Unreadable
    """`AlertPolicy/namespace/name` of what is there and cannot be read: what was good of it stays."""
    secrets_moved: SecretsMoved
    objects: Objects
    delivery: str
    missing: str
    """Why there is no carrier; a sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How one kind is brought into force at this moment."""

    carrier: Adopting | None
    awaited: Awaiting | None
    loaded: Loaded
    unseen: str
    """Why nobody knows yet for what to render; empty where it is known."""


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of bringing one kind into force. Without an outcome: the sentence why, and how to tell each unit."""

    way: _Way
    outcome: Outcome | None
    problem: str

    @property
    def silent(self) -> bool:
        """Whether the target did not answer, or refused even what was good."""
        return self.way.carrier is not None and (self.outcome is None or bool(self.problem))

    def carried(self, name: str, refusal: Refusal | None) -> Carried:
        """What became of one unit."""
        found = _carried(name, refusal, self.outcome, self.problem)
        if self.way.awaited is None or self.outcome is None:
            return found
        return self.way.awaited.judged(name, found, self.outcome, self.way.loaded)

    def standing(self, carried: Mapping[str, Carried]) -> Contents:
        """What is in force."""
        good = self.outcome.in_force if self.outcome is not None else {}
        if self.way.awaited is None:
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

    async def begin(self) -> None:
        """After a start: the rules that were good are in force before the API server is asked for others."""
        rules = self._means.carriers.rules
        if rules is None:
            return
        try:
            await rules.begin()
        except StewardError as error:
            self._log.warning("what was in force is not shown yet", error=str(error))

    async def rules_known(self) -> Iterable[str]:
        """The texts of rules in force; while nobody can tell, of those that were so last. Raises where nobody knows."""
        rules, standing = self._means.carriers.rules, self.standing
        if rules is None or not (standing.untried or standing.unknown):
            return standing.rules.values()
        return {**await rules.good(), **standing.rules}.values()

    async def apply(self, seen: Sighting) -> Standing:
        """Bring all of it into force as far as possible; raises where the API server does not take the statuses."""
        units = await self._means.render_rules(seen)
        channels = await self._means.render_channels(seen)
        gone = lost(self._means.unreadable())
        by = self._means.carriers
        own = {by.own.name: by.own.content(seen)} if by.own is not None else {}
        wanted_rules = {**dict.fromkeys(gone.rules), **{each.file: each.content for each in units}}
        wanted_routes = {**own, **dict.fromkeys(gone.channels), **{each.name: each.content for each in channels}}
        rules = await self._tried(_Way(by.rules, by.rules_awaited, seen.rules, seen.prometheus_unseen), wanted_rules)
        routes = await self._tried(
            _Way(by.routes, by.routes_awaited, seen.routes, seen.alertmanager_unseen), wanted_routes
        )
        carried_rules = {
            **{name: rules.carried(name, UNREADABLE) for name in gone.rules},
            **{each.file: rules.carried(each.file, each.refusal) for each in units},
        }
        carried_routes = {
            **{name: routes.carried(name, UNREADABLE) for name in gone.channels},
            **{each.name: _remarked(routes.carried(each.name, each.refusal), each, seen) for each in channels},
        }
        own_carried = {name: routes.carried(name, None) for name, content in own.items() if content is not None}
        named = (
            *((found, carried_rules[name]) for name, found in gone.rules.items()),
            *((found, carried_routes[name]) for name, found in gone.channels.items()),
            *((each.object, carried_rules[each.file]) for each in units),
            *((each.object, carried_routes[each.name]) for each in channels),
            *((by.own.object, each) for each in own_carried.values() if by.own is not None),
        )
        in_force = rules.standing(carried_rules), routes.standing(carried_routes)
        # In a thread, as all that goes through ten thousand rules.
        digest = await asyncio.to_thread(digest_of, *in_force)
        self.standing = Standing(
            *in_force,
            rule_count=sum(each.rules for each in units if carried_rules[each.file].in_force),
            digest=digest,
            refused=_refused(named),
            unknown=any(each.unknown for _, each in named),
            untried=rules.silent or routes.silent or any(map(_unchecked, units)),
        )
        sights = await self._sights(units, seen)
        self._show(named)
        self._instruments.show(metrics.BLIND, {(name,): float(len(each.blind)) for name, each in sights.items()})
        now = self._clock.now()
        # In a thread: hundreds of statuses, of which few differ from what the objects say already.
        told = await asyncio.to_thread(_policies_told, units, carried_rules, sights, now)
        for policy, status in told:
            await self._means.objects.tell_policy(policy, status)
        for channel in channels:
            status_of = channel_status(channel, carried_routes[channel.name], now)
            await self._means.objects.tell_channel(channel.channel, status_of)
        return self.standing

    def rest(self) -> None:
        """Another replica acts from here on, and tells."""
        self.standing = Standing()
        self._show(())
        self._instruments.show(metrics.BLIND, {})

    async def _sights(self, units: Iterable[RuleUnit], seen: Sighting) -> Mapping[str, Sight]:
        names = await asyncio.to_thread(needed_metrics, units)
        present = await self._means.present(names)
        return await asyncio.to_thread(lambda: {each.object: _sight(each, present, seen) for each in units})

    async def _tried(self, way: _Way, wanted: Mapping[str, str | None]) -> _Tried:
        outcome, problem = await self._adopted(way, wanted)
        return _Tried(way, outcome, problem)

    async def _adopted(self, way: _Way, wanted: Mapping[str, str | None]) -> tuple[Outcome | None, str]:
        """What came of it; without an outcome the sentence why. What nobody has seen yet is not rendered for."""
        carrier = way.carrier
        if carrier is None or way.unseen:
            return None, way.unseen if carrier else self._means.missing
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


def _policies_told(
    units: Iterable[RuleUnit], carried: Mapping[str, Carried], sights: Mapping[str, Sight], now: datetime
) -> tuple[tuple[AlertPolicy, AlertPolicyStatus], ...]:
    """Policies that are to be told another status."""
    every = (
        (unit.policy, policy_status(unit, carried[unit.file], sights[unit.object], now))
        for unit in units
        if unit.policy is not None
    )
    return tuple((policy, status) for policy, status in every if policy.status != status)


def _carried(name: str, refusal: Refusal | None, outcome: Outcome | None, problem: str) -> Carried:
    if outcome is None:
        # A query that nobody could check is no fault of the policy's: nobody can tell anything of this target.
        certain = refusal if refusal is not None and refusal.reason != NOT_CHECKED else None
        return Carried(in_force=False, refusal=certain or Refusal("TargetUnknown", problem), unknown=certain is None)
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


def _unchecked(unit: RuleUnit) -> bool:
    return unit.refusal is not None and unit.refusal.reason == NOT_CHECKED


def _sight(unit: RuleUnit, present: frozenset[str] | None, seen: Sighting) -> Sight:
    fires = sum(seen.firing.get(file, 0) for file in _files(unit, seen))
    if present is None:
        return Sight({}, firing=fires, known=False, problem="; ".join(seen.problems))
    return Sight(blind_alerts(unit, present), doubtful_alerts(unit, present), fires)


def _files(unit: RuleUnit, seen: Sighting) -> frozenset[str]:
    """Of the unit in Prometheus: those that the operator made of its objects, or its own."""
    files = seen.rules.files
    marks = expected(unit.content).marks if unit.content and files else ()
    return frozenset(files[each.object] for each in marks if each.object in files) | {unit.file}


def _remarked(carried: Carried, unit: ChannelUnit, seen: Sighting) -> Carried:
    said = [unit.remark] if unit.remark else []
    if seen.routes.narrowed and seen.routes.narrowed == unit.channel.metadata.namespace:
        said.append(
            f'is told only of alerts with namespace="{seen.routes.narrowed}", because of the Alertmanager object\'s '
            "alertmanagerConfigMatcherStrategy: set its type to None to be told of all"
        )
    return replace(carried, remark="; it ".join(said))
