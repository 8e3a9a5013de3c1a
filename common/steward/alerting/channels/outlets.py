"""One AlertChannel as a receiver and the route to it, or why it cannot be one."""

from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.channels.addresses import faults
from steward.alerting.channels.model import Destination, Grouping, Receiver, Route, secrets_of
from steward.alerting.channels.quiet import UTC, MuteTime, spans
from steward.alerting.channels.refused import Refused, Remark
from steward.alerting.channels.secrets import ChannelName
from steward.alerting.promql import Matcher
from steward.alerting.rules import Severity
from steward.resources.alert_channel import AlertChannel, AlertChannelSpec, Match, SecretRef


@dataclass(frozen=True, slots=True)
class Outlet:
    """A channel, translated."""

    channel: ChannelName
    receiver: Receiver
    route: Route
    mute_time: MuteTime | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """The entries that it names, in its own namespace."""
        return secrets_of(self.receiver.destination)


def outlet(channel: AlertChannel, home: str) -> Outlet | Refused:
    """`channel` where `home` is Steward's namespace. A channel elsewhere is told of its own namespace only."""
    name = ChannelName(channel.metadata.namespace, channel.metadata.name)
    destination = _destination(name, channel.spec)
    if isinstance(destination, Refused):
        return destination
    problem = next(iter(faults(destination)), None)
    if problem is not None:
        return Refused(name.object, problem.reason, problem.message, problem.remedy)
    matchers = _matchers(name, channel.spec.match, home)
    if isinstance(matchers, Refused):
        return matchers
    muted = _mute_time(name, channel.spec)
    if isinstance(muted, Refused):
        return muted
    grouping, remarks = _grouping(name, channel.spec)
    return Outlet(
        channel=name,
        receiver=Receiver(str(name), destination, name, channel.spec.send_resolved),
        route=Route(str(name), matchers, goes_on=True, grouping=grouping, muted_at=(muted.name,) if muted else ()),
        mute_time=muted,
        remarks=remarks,
    )


def _destination(name: ChannelName, spec: AlertChannelSpec) -> Destination | Refused:
    given = [each for each in (spec.email, spec.slack, spec.pager_duty, spec.webhook, spec.teams) if each is not None]
    if len(given) == 1:
        return given[0]
    message = "says no way to tell anybody" if not given else f"says {len(given)} ways at once"
    return Refused(
        name.object, "NotOneDestination", message, "give exactly one of email, slack, pagerDuty, webhook and teams"
    )


def _matchers(name: ChannelName, match: Match, home: str) -> tuple[Matcher, ...] | Refused:
    foreign = name.namespace != home
    wanted = [{*match.namespaces}] if match.namespaces else []
    wanted += [{match.labels["namespace"]}] if "namespace" in match.labels else []
    if foreign and any(name.namespace not in each for each in wanted):
        return Refused(
            name.object,
            "ForeignNamespace",
            f"asks for alerts of namespace {', '.join(sorted(set().union(*wanted)))}, and where it is, it is told of "
            f"{name.namespace} only",
            f"leave the namespace out, or put the channel into {home}, Steward's own namespace",
        )
    try:
        return tuple(_conditions(match, name.namespace if foreign else ""))
    except ValueError as error:
        return Refused(name.object, "BadMatch", f"has a match that cannot be: {error}", "correct spec.match")


def _conditions(match: Match, namespace: str) -> list[Matcher]:
    """`namespace`: the only one whose alerts are told; empty: of all."""
    found = [Matcher.equal("namespace", namespace)] if namespace else _either("namespace", match.namespaces)
    found += _either("severity", tuple(each.value for each in match.severities)) or [
        # The Watchdog, and what only mutes others, is for machines: whoever wants it says so.
        Matcher.differs("severity", Severity.NONE.value)
    ]
    found += _either("team", match.teams)
    found += _either("alertname", match.alerts)
    found += [Matcher.equal(label, value) for label, value in sorted(match.labels.items())]
    for each in found:
        # The text of a query is the text of a matcher; what cannot be one is told here.
        str(each)
    return list(dict.fromkeys(found))


def _either(label: str, values: tuple[str, ...]) -> list[Matcher]:
    different = tuple(dict.fromkeys(values))
    if len(different) == 1:
        return [Matcher.equal(label, different[0])]
    return [Matcher.any_of(label, different)] if different else []


def _mute_time(name: ChannelName, spec: AlertChannelSpec) -> MuteTime | Refused | None:
    if not spec.quiet:
        return None
    try:
        found = spans(spec.quiet)
    except ValueError as error:
        return Refused(name.object, "BadQuietTime", f"has {error}, which is no time", "let it end later, or drop it")
    return MuteTime(str(name), found, "" if spec.time_zone in UTC else spec.time_zone)


def _grouping(name: ChannelName, spec: AlertChannelSpec) -> tuple[Grouping, tuple[Remark, ...]]:
    """Alertmanager looks at a group once an interval, so a repetition is due at a multiple of it."""
    interval, repeat = spec.group_interval_seconds, spec.repeat_seconds
    rounded = -(-repeat // interval) * interval
    grouping = Grouping(
        by=tuple(dict.fromkeys(spec.group_by)),
        wait=timedelta(seconds=spec.group_wait_seconds),
        interval=timedelta(seconds=interval),
        repeat=timedelta(seconds=rounded),
    )
    if rounded == repeat:
        return grouping, ()
    message = (
        f"what goes on is told again after {rounded} s instead of {repeat}: Alertmanager looks every {interval} s, "
        "as groupIntervalSeconds says"
    )
    return grouping, (Remark(name.object, "RepeatRounded", message),)
