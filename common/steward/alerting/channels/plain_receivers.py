"""Receivers as alertmanager.yml has them. `send_resolved` is always said: its default differs from kind to kind."""

from datetime import timedelta
from typing import assert_never

from steward.alerting.channels import features, wording
from steward.alerting.channels.features import has
from steward.alerting.channels.model import Destination, Receiver
from steward.alerting.channels.secrets import ChannelName, secret_file
from steward.alerting.channels.target import Target
from steward.alerting.channels.wording import literal
from steward.alerting.rules import seconds
from steward.jsonvalue import JsonObject
from steward.resources.alert_channel import (
    EmailChannel,
    PagerDutyChannel,
    SecretRef,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
)

WEBHOOK_PATIENCE = timedelta(seconds=10)
_SLACK_API = "https://slack.com/api/chat.postMessage"


def receiver(receiver: Receiver, target: Target) -> JsonObject:
    """As a member of `receivers`."""
    if receiver.destination is None or receiver.channel is None:
        return {"name": receiver.name}
    kind, fields = _kind(receiver.destination, _Files(receiver.channel, target.secrets, receiver.token_file), target)
    return {"name": receiver.name, kind: [{"send_resolved": receiver.send_resolved, **fields}]}


class _Files:
    """Where the secrets of one receiver lie."""

    def __init__(self, channel: ChannelName, folder: str, token_file: str) -> None:
        self._channel = channel
        self._folder = folder
        self._token_file = token_file

    def path(self, secret: SecretRef) -> str:
        return secret_file(self._folder, self._channel, secret).path

    def token(self, secret: SecretRef | None) -> str:
        """Of a bearer token; empty where there is none."""
        return self._token_file or (self.path(secret) if secret is not None else "")


def _kind(destination: Destination, files: _Files, target: Target) -> tuple[str, JsonObject]:
    match destination:
        case EmailChannel():
            return "email_configs", _email(destination, files)
        case SlackChannel():
            return "slack_configs", _slack(destination, files)
        case PagerDutyChannel():
            return "pagerduty_configs", _pager_duty(destination, files)
        case WebhookChannel():
            return "webhook_configs", _webhook(destination, files, target)
        case TeamsChannel():
            return "msteamsv2_configs", _teams(destination, files)
        case _:
            assert_never(destination)


def _email(mail: EmailChannel, files: _Files) -> JsonObject:
    found: JsonObject = {
        "to": literal(", ".join(mail.to)),
        "from": literal(mail.sender),
        "smarthost": mail.smarthost,
        "require_tls": mail.require_tls,
        "headers": {"Subject": wording.SUBJECT},
        "text": wording.MAIL_TEXT,
        "html": wording.MAIL_HTML,
    }
    if mail.password is not None:
        found |= {"auth_username": mail.username, "auth_password_file": files.path(mail.password)}
    return found


def _slack(slack: SlackChannel, files: _Files) -> JsonObject:
    found: JsonObject = {
        "username": wording.SENDER,
        "color": wording.SLACK_COLOUR,
        "title": wording.SLACK_TITLE,
        "text": wording.SLACK_TEXT,
        "fallback": wording.SLACK_TITLE,
    }
    if slack.channel:
        found["channel"] = literal(slack.channel)
    if slack.webhook is not None:
        found["api_url_file"] = files.path(slack.webhook)
    elif slack.bot_token is not None:
        found |= {"app_token_file": files.path(slack.bot_token), "app_url": _SLACK_API}
    return found


def _pager_duty(pager: PagerDutyChannel, files: _Files) -> JsonObject:
    return {
        "routing_key_file": files.path(pager.routing_key),
        **({"url": pager.url} if pager.url is not None else {}),
        "client": wording.SENDER,
        "description": wording.SUBJECT,
        "severity": wording.PAGER_SEVERITY,
        "class": wording.PAGER_CLASS,
        "component": wording.PAGER_COMPONENT,
        "group": wording.PAGER_GROUP,
        "details": dict(wording.PAGER_DETAILS),
    }


def _webhook(webhook: WebhookChannel, files: _Files, target: Target) -> JsonObject:
    found: JsonObject = {"max_alerts": webhook.max_alerts}
    if webhook.url is not None:
        found["url"] = webhook.url
    elif webhook.url_from is not None:
        found["url_file"] = files.path(webhook.url_from)
    token = files.token(webhook.bearer_token)
    if token:
        found["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": token}}
    if has(target.alertmanager, features.WEBHOOK_TIMEOUT):
        found["timeout"] = seconds(WEBHOOK_PATIENCE)
    return found


def _teams(teams: TeamsChannel, files: _Files) -> JsonObject:
    return {"webhook_url_file": files.path(teams.webhook), "title": wording.SUBJECT, "text": wording.TEAMS_TEXT}
