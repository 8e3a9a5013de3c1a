"""Channels as AlertmanagerConfig objects of the prometheus-operator, which reads their Secrets itself.

The operator puts each object's route before those that Alertmanager has anyway, lets alerts go on to the next, and by
its matcher strategy adds `namespace="…"` of the object to it. An alert without the label `namespace` then reaches no
object at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from steward.alerting.channels import features
from steward.alerting.channels.features import has, lacks
from steward.alerting.channels.model import Grouping, Route
from steward.alerting.channels.operator_receivers import receiver
from steward.alerting.channels.outlets import Outlet, outlet
from steward.alerting.channels.quiet import MuteTime
from steward.alerting.channels.refused import Refused, Remark
from steward.alerting.channels.target import OWN, Target, own_receiver, own_route, watchdog_route
from steward.alerting.inhibition import Inhibition
from steward.alerting.promql import Matcher
from steward.alerting.rules import seconds
from steward.jsonvalue import Json, JsonObject
from steward.resources.alert_channel import AlertChannel, EmailChannel, SlackChannel, TeamsChannel

API_VERSION, KIND = "monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"


class Strategy(StrEnum):
    """`alertmanagerConfigMatcherStrategy` of the Alertmanager object: which alerts an object can see."""

    ON_NAMESPACE = "OnNamespace"
    """Those of its own namespace; the operator's default."""
    EXCEPT_OWN = "OnNamespaceExceptForAlertmanagerNamespace"
    """The same, but in Alertmanager's namespace all."""
    NONE = "None"
    """All."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What is known of the operator's Alertmanager."""

    strategy: Strategy = Strategy.ON_NAMESPACE
    namespace: str = ""
    """Where Alertmanager itself is."""

    def narrows(self, namespace: str) -> bool:
        """Whether an object there sees alerts of its own namespace only."""
        match self.strategy:
            case Strategy.NONE:
                return False
            case Strategy.EXCEPT_OWN:
                return namespace != self.namespace
            case _:
                return True


@dataclass(frozen=True, slots=True)
class ConfigObject:
    """One AlertmanagerConfig."""

    namespace: str
    name: str
    spec: JsonObject

    def to_json(self, labels: Mapping[str, str] | None = None) -> JsonObject:
        """As the API server takes it; `labels` are those that the Alertmanager object selects by."""
        metadata: JsonObject = {"name": self.name, "namespace": self.namespace, "labels": dict(labels or {})}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": self.spec}


@dataclass(frozen=True, slots=True)
class RenderedObjects:
    """The objects, and what became of each channel."""

    own: ConfigObject | None
    """Steward's own webhook, the Watchdog's way to it, and the inhibitions."""
    objects: tuple[ConfigObject, ...] = ()
    """One for each channel that can be."""
    refused: tuple[Refused, ...] = ()
    remarks: tuple[Remark, ...] = ()


def rendered_objects(channels: Iterable[AlertChannel], target: Target, operator: Operator) -> RenderedObjects:
    """Everything that `target` can be told through `operator`; what it cannot is refused, and the rest stands."""
    offers = [offered(channel, target) for channel in channels]
    outlets = [each for each in offers if isinstance(each, Outlet)]
    remarks = [remark for each in outlets for remark in (*each.remarks, *_narrowed(each, target, operator))]
    return RenderedObjects(
        own=_own(target),
        objects=tuple(config_object(each) for each in outlets),
        refused=tuple(each for each in offers if isinstance(each, Refused)),
        remarks=(*remarks, *_own_narrowed(target, operator)),
    )


def offered(channel: AlertChannel, target: Target) -> Outlet | Refused:
    """`channel`, where the operator's objects can say it and this Alertmanager has it."""
    found = outlet(channel, target.home)
    if isinstance(found, Refused):
        return found
    name = found.channel.object
    if isinstance(found.receiver.destination, TeamsChannel) and not has(target.alertmanager, features.TEAMS):
        message = lacks(target.alertmanager, features.TEAMS)
        return Refused(name, "NoTeams", message, f"bring Alertmanager to {features.TEAMS.version}")
    if isinstance(found.receiver.destination, SlackChannel) and found.receiver.destination.bot_token is not None:
        return Refused(
            name,
            "NoBotToken",
            "has a bot's token, which AlertmanagerConfig has no field for",
            "use an incoming webhook, slack.webhook, or delivery by files",
        )
    mail = found.receiver.destination
    if isinstance(mail, EmailChannel) and mail.smarthost.startswith("["):
        return Refused(
            name,
            "NoIpv6Smarthost",
            f"has the mail server {mail.smarthost!r}, whose brackets the operator loses: Alertmanager then refuses its "
            "whole configuration",
            "name the mail server, or use delivery by files",
        )
    if found.mute_time is not None and found.mute_time.time_zone:
        return Refused(
            name,
            "NoTimeZones",
            "has quiet times in a time zone, which AlertmanagerConfig has no field for",
            "write the quiet times in UTC, or use delivery by files",
        )
    return found


def config_object(found: Outlet) -> ConfigObject:
    """The object of one channel, in the channel's namespace."""
    spec: JsonObject = {"route": _route(found.route), "receivers": [receiver(found.receiver)]}
    if found.mute_time is not None:
        spec["muteTimeIntervals"] = [_mute_time(found.mute_time)]
    return ConfigObject(found.channel.namespace, f"{OWN}-{found.channel.name}", spec)


def _own(target: Target) -> ConfigObject | None:
    to_us, told = own_receiver(target), own_route(target)
    if to_us is None or told is None:
        if not target.inhibitions:
            return None
        return ConfigObject(target.home, OWN, {"inhibitRules": [_inhibition(each) for each in target.inhibitions]})
    route = Route(OWN, grouping=told.grouping, routes=(watchdog_route(target),))
    spec: JsonObject = {"route": _route(route), "receivers": [receiver(to_us)]}
    if target.inhibitions:
        spec["inhibitRules"] = [_inhibition(each) for each in target.inhibitions]
    return ConfigObject(target.home, OWN, spec)


def _narrowed(found: Outlet, target: Target, operator: Operator) -> Iterator[Remark]:
    """Elsewhere than at home a channel asks for its own namespace anyway."""
    if found.channel.namespace == target.home and operator.narrows(target.home):
        yield Remark(found.channel.object, "NarrowedByOperator", _narrow(target, operator))


def _own_narrowed(target: Target, operator: Operator) -> Iterator[Remark]:
    if operator.narrows(target.home):
        yield Remark(f"{KIND}/{target.home}/{OWN}", "NarrowedByOperator", _narrow(target, operator))


def _narrow(target: Target, operator: Operator) -> str:
    return (
        f'is told only of alerts with namespace="{target.home}", because the Alertmanager object has '
        f"alertmanagerConfigMatcherStrategy {operator.strategy.value}: set it to None to be told of all; an alert "
        "without a label `namespace` reaches no object at all"
    )


def _route(route: Route) -> JsonObject:
    found: JsonObject = {"receiver": _local(route.receiver), "matchers": _matchers(route.matchers)}
    if route.goes_on:
        found["continue"] = True
    found |= _grouping(route.grouping) if route.grouping is not None else {}
    if route.muted_at:
        found["muteTimeIntervals"] = [_local(each) for each in route.muted_at]
    if route.routes:
        found["routes"] = [_route(each) for each in route.routes]
    return found


def _grouping(grouping: Grouping) -> JsonObject:
    labels: list[Json] = list(grouping.by)
    return {
        **({"groupBy": labels} if labels else {}),
        "groupWait": seconds(grouping.wait),
        "groupInterval": seconds(grouping.interval),
        "repeatInterval": seconds(grouping.repeat),
    }


def _inhibition(inhibition: Inhibition) -> JsonObject:
    equal: list[Json] = list(inhibition.equal)
    return {
        "sourceMatch": _matchers(inhibition.source),
        "targetMatch": _matchers(inhibition.target),
        **({"equal": equal} if equal else {}),
    }


def _matchers(matchers: Iterable[Matcher]) -> list[Json]:
    return [{"name": each.label, "value": each.value, "matchType": each.operator} for each in matchers]


def _mute_time(mute_time: MuteTime) -> JsonObject:
    parts: list[Json] = []
    for span in mute_time.spans:
        begins, ends = span.clock
        days: list[Json] = [day.value.lower() for day in span.days]
        parts.append({"times": [{"startTime": begins, "endTime": ends}], "weekdays": days})
    return {"name": _local(mute_time.name), "timeIntervals": parts}


def _local(name: str) -> str:
    """The operator puts namespace and name of the object before it."""
    return name.rpartition("/")[2]
