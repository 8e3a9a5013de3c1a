"""All channels as alertmanager.yml. Every secret is the name of a file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steward.alerting.channels import features
from steward.alerting.channels.features import Feature, has, lacks
from steward.alerting.channels.model import Configuration, Route
from steward.alerting.channels.outlets import Outlet, outlet
from steward.alerting.channels.plain_receivers import receiver
from steward.alerting.channels.quiet import MuteTime
from steward.alerting.channels.refused import Refused, Remark
from steward.alerting.channels.secrets import SecretFile, secret_file
from steward.alerting.channels.target import Target, configuration
from steward.alerting.inhibition import Inhibition
from steward.alerting.promql import Matcher
from steward.alerting.rules import seconds
from steward.jsonvalue import Json, JsonObject
from steward.resources.alert_channel import AlertChannel, EmailChannel, PagerDutyChannel, SlackChannel, WebhookChannel


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole configuration, and what became of each channel."""

    document: JsonObject | None
    """None where this Alertmanager cannot be told anything, as each of `refused` says."""
    configuration: Configuration
    """The same, as it can be asked who would be told."""
    outlets: tuple[Outlet, ...] = ()
    """The channels that are in it."""
    secret_files: tuple[SecretFile, ...] = ()
    refused: tuple[Refused, ...] = ()
    remarks: tuple[Remark, ...] = ()


def rendered(channels: Iterable[AlertChannel], target: Target) -> Rendered:
    """Everything that `target` can be told of `channels`; what it cannot is refused, and the rest stands."""
    offers = [offered(channel, target) for channel in channels]
    outlets = tuple(each for each in offers if isinstance(each, Outlet))
    tree = configuration(outlets, target)
    return Rendered(
        document=document(tree, target) if has(target.alertmanager, features.MATCHERS) else None,
        configuration=tree,
        outlets=outlets,
        secret_files=tuple(secret_file(target.secrets, each.channel, ref) for each in outlets for ref in each.secrets),
        refused=tuple(each for each in offers if isinstance(each, Refused)),
        remarks=tuple(remark for each in outlets for remark in each.remarks),
    )


def offered(channel: AlertChannel, target: Target) -> Outlet | Refused:
    """`channel`, where this version of Alertmanager can be told of it by files."""
    found = outlet(channel, target.home)
    if isinstance(found, Refused):
        return found
    for feature, reason, remedy in _needs(found):
        if not has(target.alertmanager, feature):
            upgrade = f"bring Alertmanager to {feature.version}"
            advice = f"{remedy}, or {upgrade}" if remedy else upgrade
            return Refused(found.channel.object, reason, lacks(target.alertmanager, feature), advice)
    return found


def document(tree: Configuration, target: Target) -> JsonObject:
    """The content of alertmanager.yml. Everything in `tree` is something that this version has."""
    found: JsonObject = {
        "route": _route(tree.route),
        "receivers": [receiver(each, target) for each in tree.receivers],
    }
    if tree.inhibitions:
        found["inhibit_rules"] = [_inhibition(each) for each in tree.inhibitions]
    if tree.mute_times:
        known = has(target.alertmanager, features.TIME_INTERVALS)
        found["time_intervals" if known else "mute_time_intervals"] = [_mute_time(each) for each in tree.mute_times]
    return found


def _needs(found: Outlet) -> Iterator[tuple[Feature, str, str]]:
    """Each feature without which the channel cannot be; the reason of a refusal, and what to do instead."""
    yield features.MATCHERS, "AlertmanagerTooOld", ""
    match found.receiver.destination:
        case EmailChannel(password=password) if password is not None:
            yield features.PASSWORD_FILE, "NoPasswordFile", "use a mail server that asks for no password"
        case SlackChannel(bot_token=token) if token is not None:
            yield features.BOT_TOKEN_FILE, "NoBotToken", "use an incoming webhook, slack.webhook"
        case PagerDutyChannel():
            yield features.ROUTING_KEY_FILE, "NoRoutingKeyFile", ""
        case WebhookChannel(url_from=secret) if secret is not None:
            remedy = "keep the secret in webhook.bearerToken and the address in webhook.url"
            yield features.URL_FILE, "NoUrlFile", remedy
        case EmailChannel() | SlackChannel() | WebhookChannel() | None:
            pass
        case _:
            yield features.TEAMS, "NoTeams", ""
    if found.mute_time is not None and found.mute_time.time_zone:
        yield features.TIME_ZONES, "NoTimeZones", "write the quiet times in UTC"


def _route(route: Route) -> JsonObject:
    found: JsonObject = {"receiver": route.receiver}
    if route.matchers:
        found["matchers"] = _matchers(route.matchers)
    if route.goes_on:
        found["continue"] = True
    if route.grouping is not None:
        labels: list[Json] = list(route.grouping.by)
        found |= {
            # An empty list does not override a parent's before 0.31; the root has none, so that it need not.
            **({"group_by": labels} if labels else {}),
            "group_wait": seconds(route.grouping.wait),
            "group_interval": seconds(route.grouping.interval),
            "repeat_interval": seconds(route.grouping.repeat),
        }
    if route.muted_at:
        found["mute_time_intervals"] = list(route.muted_at)
    if route.routes:
        found["routes"] = [_route(each) for each in route.routes]
    return found


def _inhibition(inhibition: Inhibition) -> JsonObject:
    equal: list[Json] = list(inhibition.equal)
    return {
        "source_matchers": _matchers(inhibition.source),
        "target_matchers": _matchers(inhibition.target),
        **({"equal": equal} if equal else {}),
    }


def _matchers(matchers: Iterable[Matcher]) -> list[Json]:
    """Each as `name="value"`, which the parsers of all versions read alike."""
    return [str(each) for each in matchers]


def _mute_time(mute_time: MuteTime) -> JsonObject:
    parts: list[Json] = []
    for span in mute_time.spans:
        begins, ends = span.clock
        days: list[Json] = [day.value.lower() for day in span.days]
        part: JsonObject = {"weekdays": days, "times": [{"start_time": begins, "end_time": ends}]}
        if mute_time.time_zone:
            part["location"] = mute_time.time_zone
        parts.append(part)
    return {"name": mute_time.name, "time_intervals": parts}
