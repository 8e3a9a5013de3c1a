"""The Alertmanager that is written for, and Steward's own place in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.channels.model import EACH, NOBODY, Configuration, Grouping, Receiver, Route
from steward.alerting.channels.outlets import Outlet
from steward.alerting.channels.secrets import ChannelName
from steward.alerting.inhibition import Inhibition, severe_mutes_lesser
from steward.alerting.monitoring import NUMBER
from steward.alerting.promql import Matcher
from steward.resources.alert_channel import SecretRef, WebhookChannel

OWN = "linkerd-steward"
"""Name of Steward's receiver. Those of channels have a slash."""
WATCHDOG = (Matcher.equal("alertname", "Watchdog"),)

TRIAL = "steward_test"
"""Label of an alert that only tries a channel, namespace/name. Nobody else is told of it, Steward itself included."""

_TOLD_AT_ONCE = Grouping(EACH, timedelta(), timedelta(seconds=10), timedelta(minutes=10))
"""Each alert by itself, the end of one within ten seconds, and what goes on again after ten minutes."""
_ALIVE = Grouping(EACH, timedelta(), timedelta(minutes=1), timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class OwnWebhook:
    """Where Steward itself is told of all alerts."""

    url: str
    token_file: str = ""
    """The bearer token as a file that Alertmanager can read; for delivery by files."""
    token: SecretRef | None = None
    """The bearer token as an entry of a Secret in Steward's namespace; for the operator's objects."""


@dataclass(frozen=True, slots=True)
class Target:
    """One Alertmanager."""

    home: str
    """Steward's own namespace, whose channels see every alert."""
    alertmanager: NUMBER = ()
    """Its version; unknown is taken for the oldest that can be told anything."""
    secrets: str = "/etc/linkerd-steward/secrets"
    """Folder in which it finds the files of secrets."""
    own: OwnWebhook | None = None
    watchdog: tuple[Matcher, ...] = WATCHDOG
    """The alert that always fires, and that only Steward is told of."""
    inhibitions: tuple[Inhibition, ...] = (severe_mutes_lesser(),)


def own_receiver(target: Target) -> Receiver | None:
    """Steward, as one who is told."""
    if target.own is None:
        return None
    destination = WebhookChannel(url=target.own.url, bearer_token=target.own.token)
    return Receiver(OWN, destination, ChannelName(target.home, OWN), token_file=target.own.token_file)


def watchdog_route(target: Target) -> Route:
    """Takes the Watchdog away from everybody else."""
    receiver = OWN if target.own is not None else NOBODY
    return Route(receiver, target.watchdog, grouping=_ALIVE)


def own_route(target: Target) -> Route | None:
    """All alerts, to Steward."""
    return Route(OWN, goes_on=True, grouping=_TOLD_AT_ONCE) if target.own is not None else None


def trial_route(outlets: Iterable[Outlet]) -> Route | None:
    """Takes trials away from everybody else, and at once to the channel that each is for."""
    ways = tuple(
        Route(str(each.channel), (Matcher.equal(TRIAL, str(each.channel)),), grouping=_TOLD_AT_ONCE) for each in outlets
    )
    return Route(NOBODY, (Matcher.differs(TRIAL, ""),), routes=ways) if ways else None


def configuration(outlets: Iterable[Outlet], target: Target) -> Configuration:
    """The whole tree: the Watchdog, trials, Steward, then every channel; each is asked, whatever others took."""
    channels = sorted(outlets, key=lambda each: each.channel)
    own = own_receiver(target)
    first = (watchdog_route(target), trial_route(channels), own_route(target))
    return Configuration(
        route=Route(
            NOBODY,
            grouping=Grouping(),
            routes=(*(each for each in first if each is not None), *(each.route for each in channels)),
        ),
        receivers=(Receiver(NOBODY), *((own,) if own else ()), *(each.receiver for each in channels)),
        inhibitions=target.inhibitions,
        mute_times=tuple(each.mute_time for each in channels if each.mute_time is not None),
    )
