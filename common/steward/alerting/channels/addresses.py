"""What in a destination would be refused when Alertmanager loads it, or worse: when it is too late, at the alert."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from steward.alerting.channels.model import Destination, secrets_of
from steward.resources.alert_channel import EmailChannel, PagerDutyChannel, SlackChannel, WebhookChannel

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_ATOM}(\.{_ATOM})*")
"""An address without quotes and comments, as every mail server takes it."""
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_URL = re.compile(r"https?://(?P<host>\[[^\]]*\]|[^/?#:\[\]]+)(:(?P<port>[0-9]{1,5}))?([/?#].*)?")
"""Stricter than most readers of addresses: whatever fits, Go's takes too. No password in it, which would be shown."""
_UNESCAPED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SECRET = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""A name that Kubernetes gives to an object. Anything else would lead a file somewhere else."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a destination."""

    reason: str
    message: str
    remedy: str


def faults(destination: Destination) -> Iterator[Fault]:
    """Everything that is wrong with it, whatever the version of Alertmanager."""
    for secret in secrets_of(destination):
        if _SECRET.fullmatch(secret.name) is None:
            yield Fault("BadSecretName", f"names the Secret {secret.name!r}", "write the name of a Secret beside it")
    match destination:
        case EmailChannel():
            yield from _mail(destination)
        case SlackChannel():
            yield from _slack(destination)
        case WebhookChannel():
            yield from _webhook(destination)
        case PagerDutyChannel() if destination.url is not None:
            yield from _url(destination.url)
        case _:
            return


def _mail(mail: EmailChannel) -> Iterator[Fault]:
    for address in (*mail.to, mail.sender):
        if _MAILBOX.fullmatch(address) is None:
            yield Fault("BadAddress", f"has {address!r}, which no mail can go to", "write it like `ops@acme.org`")
    if not _is_smarthost(mail.smarthost):
        yield Fault("BadSmarthost", f"has the mail server {mail.smarthost!r}", "write it like `smtp.acme.org:587`")
    if mail.password is not None and not mail.username:
        yield Fault("NoUsername", "has a password and no username", "give spec.email.username")
    if mail.username and mail.password is None:
        yield Fault(
            "NoPassword",
            "has a username and no password, with which Alertmanager fails at every mail",
            "name the entry of a Secret in spec.email.password, or leave the username out",
        )
    if _CONTROL.search(mail.username):
        yield Fault("BadUsername", "has a username with control characters", "correct spec.email.username")


def _slack(slack: SlackChannel) -> Iterator[Fault]:
    if (slack.webhook is None) == (slack.bot_token is None):
        yield Fault(
            "NotOneSlack", "reaches Slack in no way, or in two", "give exactly one of slack.webhook and slack.botToken"
        )
    elif slack.bot_token is not None and not slack.channel:
        yield Fault("NoSlackChannel", "has a bot that is not told the channel", "give spec.slack.channel, like `#mesh`")


def _webhook(webhook: WebhookChannel) -> Iterator[Fault]:
    if (webhook.url is None) == (webhook.url_from is None):
        yield Fault(
            "NotOneAddress", "has no address for its webhook, or two", "give exactly one of webhook.url and urlFrom"
        )
    elif webhook.url is not None:
        yield from _url(webhook.url)


def _url(url: str) -> Iterator[Fault]:
    if not _is_url(url):
        yield Fault("BadUrl", f"has the address {url!r}", "write it like `https://hooks.acme.org/mesh`")


def _is_url(url: str) -> bool:
    parts = _URL.fullmatch(url)
    if parts is None or not _is_host(parts["host"]):
        return False
    if parts["port"] is not None and int(parts["port"]) not in _PORTS:
        return False
    return _UNESCAPED.search(url) is None and _CONTROL.search(url) is None and "{{" not in url


def _is_smarthost(smarthost: str) -> bool:
    host, _, port = smarthost.rpartition(":")
    return _is_host(host) and port.isascii() and port.isdigit() and int(port) in _PORTS


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None
