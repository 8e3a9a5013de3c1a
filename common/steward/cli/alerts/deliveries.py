"""What became of notifications, by Alertmanager's counters and its log. Pure.

Alertmanager counts by kind of channel. Only with `--enable-feature=receiver-name-in-metrics` does it say whose
notifications they were; without, others of the same kind are counted too.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.parser import text_string_to_metric_families

from steward.jsonvalue import Json, text
from steward.resources.alert_channel import AlertChannelSpec

_REQUESTS = "alertmanager_notification_requests_total"
_REQUESTS_FAILED = "alertmanager_notification_requests_failed_total"
_FAILED = "alertmanager_notifications_failed_total"
_FIELD = re.compile(r'(?P<name>[A-Za-z_]+)=(?P<value>"(?:[^"\\]|\\.)*"|\S*)')
_ADDRESS = re.compile(r"(?P<host>\bhttps?://[^\s/\"'?#]+)[^\s\"']*")
_USER = re.compile(r"(?P<scheme>\bhttps?://)[^\s/@]*@")
_INTEGRATIONS = {
    "email": "email",
    "slack": "slack",
    "pager_duty": "pagerduty",
    "webhook": "webhook",
    "teams": "msteamsv2",
}


class Outcome(StrEnum):
    """What became of a notification."""

    DELIVERED = "Delivered"
    """The far end took it."""
    FAILED = "Failed"
    """The far end, or the way there, refused it."""
    NOT_SENT = "NotSent"
    """Nothing went out in time."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Notifications of one kind of channel: how often it was tried, how often in vain, and what was given up, why."""

    tried: int = 0
    in_vain: int = 0
    given_up: Mapping[str, int] | None = None
    by_receiver: bool = False
    """Whether they are those of one receiver only."""

    @property
    def taken(self) -> int:
        """What the far end took."""
        return self.tried - self.in_vain

    def since(self, before: "Counted") -> "Counted":
        """What happened since then."""
        earlier = before.given_up or {}
        given_up = {reason: count - earlier.get(reason, 0) for reason, count in (self.given_up or {}).items()}
        return Counted(
            self.tried - before.tried,
            self.in_vain - before.in_vain,
            {reason: count for reason, count in given_up.items() if count > 0},
            self.by_receiver,
        )

    @property
    def outcome(self) -> Outcome:
        """As far as can be told now."""
        if self.taken > 0:
            return Outcome.DELIVERED
        return Outcome.FAILED if self.given_up or self.in_vain > 0 else Outcome.NOT_SENT

    @property
    def final(self) -> bool:
        """Whether nothing more is to come: it was taken, or given up."""
        return self.taken > 0 or bool(self.given_up)


def integration_of(spec: AlertChannelSpec) -> str:
    """What Alertmanager calls this kind of channel."""
    return next((name for member, name in _INTEGRATIONS.items() if getattr(spec, member) is not None), "")


def counted(page: str, integration: str, receiver: str) -> Counted:
    """The counters on Alertmanager's page of metrics."""
    totals = {_REQUESTS: 0, _REQUESTS_FAILED: 0}
    given_up: dict[str, int] = {}
    by_receiver = False
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if sample.name not in (*totals, _FAILED) or labels.get("integration") != integration:
                continue
            if labels.get("receiver_name", receiver) != receiver:
                by_receiver = True
                continue
            by_receiver = by_receiver or "receiver_name" in labels
            if sample.name == _FAILED:
                given_up[labels.get("reason", "")] = int(sample.value)
            else:
                totals[sample.name] += int(sample.value)
    return Counted(totals[_REQUESTS], totals[_REQUESTS_FAILED], given_up, by_receiver)


def words(log: str, receiver: str) -> str:
    """Why the last notification to `receiver` failed, in Alertmanager's own words; empty where the log says nothing.

    An address is shortened to its host: the rest of it may be a secret.
    """
    said = ""
    for line in log.splitlines():
        fields = _fields(line)
        error = fields.get("err", "")
        if error and (fields.get("receiver") == receiver or error.startswith(f"{receiver}/")):
            said = error
    return _ADDRESS.sub(r"\g<host>/…", _USER.sub(r"\g<scheme>", said))


def _fields(line: str) -> dict[str, str]:
    """A line of the log: logfmt, or JSON."""
    if line.startswith("{"):
        try:
            document: Json = json.loads(line)
        except ValueError:
            return {}
        return {name: text(document, name) for name in ("receiver", "err")}
    return {match["name"]: _unquoted(match["value"]) for match in _FIELD.finditer(line)}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip('"')
