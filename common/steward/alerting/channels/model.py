"""What Alertmanager is to do, whatever the form in which it is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from steward.alerting.channels.quiet import MuteTime
from steward.alerting.channels.secrets import ChannelName
from steward.alerting.inhibition import Inhibition
from steward.alerting.promql import Matcher
from steward.resources.alert_channel import (
    EmailChannel,
    PagerDutyChannel,
    SecretRef,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
)

Destination: TypeAlias = EmailChannel | SlackChannel | PagerDutyChannel | WebhookChannel | TeamsChannel


def secrets_of(destination: Destination | None) -> tuple[SecretRef, ...]:
    """Every entry of a Secret that a destination needs."""
    return tuple(each for each in _entries(destination) if each is not None)


def _entries(destination: Destination | None) -> tuple[SecretRef | None, ...]:
    match destination:
        case EmailChannel():
            return (destination.password,)
        case SlackChannel():
            return (destination.webhook, destination.bot_token)
        case PagerDutyChannel():
            return (destination.routing_key,)
        case WebhookChannel():
            return (destination.url_from, destination.bearer_token)
        case TeamsChannel():
            return (destination.webhook,)
        case None:
            return ()


NOBODY = "nobody"
"""The receiver that tells nobody."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who is told, in one way. Secrets are entries in the namespace of `channel`."""

    name: str
    destination: Destination | None = None
    """None: nobody is told."""
    channel: ChannelName | None = None
    send_resolved: bool = True
    token_file: str = ""
    """A bearer token that lies in a file anyway, instead of one in a Secret."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which alerts are told together, and how often."""

    by: tuple[str, ...] = ()
    """Labels; `...` for each alert by itself, nothing for all together."""
    wait: timedelta = timedelta(seconds=30)
    interval: timedelta = timedelta(minutes=5)
    repeat: timedelta = timedelta(hours=4)


EACH = ("...",)
"""Every alert is a group of its own."""


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the tree: where alerts go that fit all matchers, and no child takes."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    goes_on: bool = False
    """Whether the next sibling is asked too (`continue`)."""
    grouping: Grouping | None = None
    """None: as the parent."""
    muted_at: tuple[str, ...] = ()
    """Names of times."""
    routes: tuple["Route", ...] = ()

    def walk(self) -> Iterator["Route"]:
        """Itself and everything below, in order."""
        yield self
        for child in self.routes:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that Alertmanager is told. The root route has no matchers and is never muted."""

    route: Route
    receivers: tuple[Receiver, ...]
    inhibitions: tuple[Inhibition, ...] = ()
    mute_times: tuple[MuteTime, ...] = ()
