"""AlertChannel: where alerts go. Secrets are named, never held."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from steward.alerting.rules import Severity
from steward.resources.alert_policy import LABEL_NAME, RESEND_AFTER
from steward.resources.base import Column, Condition, Model, Name, Patience, Resource
from steward.resources.rules import atomic, map_list, once, reads_as, rules

ADDRESS = r"^[^@\s,<>]+@[^@\s,<>]+$"
HOST_PORT = r"^[A-Za-z0-9.:\[\]-]+:[0-9]{1,5}$"
HTTP = r"^https?://[^\s\"\x27{}]+$"
BEGINS = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
ENDS = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
TIME_ZONE = r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$"

Address = Annotated[
    str,
    Field(
        pattern=ADDRESS,
        max_length=320,
        json_schema_extra=reads_as(ADDRESS, "written like `ops@acme.org`"),
    ),
]
Url = Annotated[
    str,
    Field(
        pattern=HTTP, max_length=2048, json_schema_extra=reads_as(HTTP, "an address begins with http:// or https://")
    ),
]


class SecretRef(Model):
    """One entry of a Secret in the channel's own namespace."""

    name: Name
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")


class EmailChannel(Model):
    """Mail, over a server that takes it."""

    to: tuple[Address, ...] = Field(min_length=1, max_length=32, json_schema_extra=atomic())
    sender: Address
    smarthost: Annotated[
        str,
        Field(
            pattern=HOST_PORT,
            max_length=300,
            json_schema_extra=reads_as(HOST_PORT, "a mail server is written with its port, like `smtp.acme.org:587`"),
        ),
    ]
    username: str = Field(default="", max_length=320)
    password: SecretRef | None = None
    require_tls: bool = True


class SlackChannel(Model):
    """Slack, by an incoming webhook or by a bot's token."""

    channel: str = Field(default="", max_length=80, description="Such as #mesh; a webhook knows its own.")
    webhook: SecretRef | None = None
    bot_token: SecretRef | None = Field(default=None, description="Needs Alertmanager 0.30.")


class PagerDutyChannel(Model):
    """PagerDuty, Events API v2."""

    routing_key: SecretRef
    url: Url | None = None


class WebhookChannel(Model):
    """Anything that takes Alertmanager's own JSON."""

    url: Url | None = None
    url_from: SecretRef | None = None
    bearer_token: SecretRef | None = None
    max_alerts: int = Field(default=0, ge=0, le=10_000, description="0: all of a group.")


class TeamsChannel(Model):
    """Microsoft Teams, by a workflow's webhook; needs Alertmanager 0.28."""

    webhook: SecretRef


class Match(Model):
    """Which alerts; what is not said matches all. In another namespace than Steward's: only those of that namespace."""

    severities: tuple[Severity, ...] = Field(default=(), max_length=4, json_schema_extra=atomic())
    namespaces: tuple[Name, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    teams: tuple[Annotated[str, Field(max_length=63)], ...] = Field(
        default=(), max_length=64, json_schema_extra=atomic()
    )
    alerts: tuple[Annotated[str, Field(max_length=128)], ...] = Field(
        default=(), max_length=128, json_schema_extra=atomic()
    )
    labels: dict[str, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict, max_length=16)


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


class QuietTime(Model):
    """A time at which nothing is told, on the days that it begins on; 22:00 to 06:00 ends on the next day."""

    days: tuple[Weekday, ...] = Field(
        default=(), max_length=7, description="Every day where not given.", json_schema_extra=atomic()
    )
    begins: Annotated[
        str, Field(pattern=BEGINS, json_schema_extra=reads_as(BEGINS, "a time of day is written like `22:00`"))
    ] = "00:00"
    ends: Annotated[
        str, Field(pattern=ENDS, json_schema_extra=reads_as(ENDS, "a time of day is written like `06:30`, or `24:00`"))
    ] = "24:00"


class AlertChannelSpec(Model):
    """Where to, for which alerts, how often."""

    email: EmailChannel | None = None
    slack: SlackChannel | None = None
    pager_duty: PagerDutyChannel | None = None
    webhook: WebhookChannel | None = None
    teams: TeamsChannel | None = None
    match: Match = Field(default=Match())
    send_resolved: bool = True
    group_by: tuple[Annotated[str, Field(pattern=LABEL_NAME, max_length=128)], ...] = Field(
        default=("namespace", "alertname"), max_length=16, json_schema_extra=atomic() | rules(once("a label"))
    )
    group_wait_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    group_interval_seconds: Patience = 300
    repeat_seconds: Patience = RESEND_AFTER
    quiet: tuple[QuietTime, ...] = Field(
        default=(),
        max_length=16,
        description="When nothing is told, not even a repetition.",
        json_schema_extra=atomic(),
    )
    time_zone: Annotated[
        str,
        Field(
            pattern=TIME_ZONE,
            max_length=64,
            description="Of the quiet times; needs Alertmanager 0.25.",
            json_schema_extra=reads_as(TIME_ZONE, "a time zone is written like `Europe/Berlin`"),
        ),
    ] = "UTC"


class AlertChannelStatus(Model):
    """What alerting made of the channel."""

    observed_generation: int = 0
    kind: str = Field(default="", max_length=32)
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


_ONE = " + ".join(f"(has(self.{each}) ? 1 : 0)" for each in ("email", "slack", "pagerDuty", "webhook", "teams"))


class AlertChannel(Resource):
    """Where alerts go."""

    kind_name: ClassVar[str] = "AlertChannel"
    plural: ClassVar[str] = "alertchannels"
    short_names: ClassVar[tuple[str, ...]] = ("lac",)
    namespaced: ClassVar[bool] = True
    description: ClassVar[str] = "Where alerts go: mail, Slack, PagerDuty, Microsoft Teams, or a webhook."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Kind", json_path=".status.kind"),
        Column(name="In force", json_path='.status.conditions[?(@.type=="InForce")].status'),
        Column(name="Reason", json_path='.status.conditions[?(@.type=="InForce")].reason'),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "AlertChannel"
    spec: AlertChannelSpec = Field(
        json_schema_extra=rules(
            (f"{_ONE} == 1", "a channel is exactly one of email, slack, pagerDuty, webhook and teams"),
            (
                "!has(self.slack) || has(self.slack.webhook) != has(self.slack.botToken)",
                "Slack is reached by webhook or by botToken: give exactly one",
            ),
            (
                "!has(self.slack) || !has(self.slack.botToken) || size(self.slack.channel) > 0",
                "a bot needs to be told the channel, such as `#mesh`",
            ),
            (
                "!has(self.webhook) || has(self.webhook.url) != has(self.webhook.urlFrom)",
                "a webhook has its address in url or in urlFrom: give exactly one",
            ),
            (
                "!has(self.email) || !has(self.email.password) || size(self.email.username) > 0",
                "a password needs its username",
            ),
        ),
    )
    status: AlertChannelStatus | None = None
