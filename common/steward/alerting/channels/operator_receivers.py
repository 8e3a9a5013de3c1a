"""Receivers as AlertmanagerConfig has them. Every secret is an entry of a Secret beside the object.

Links are left to Alertmanager's own texts: versions of the operator before 0.92 refuse a template where an address is
expected.
"""

from typing import assert_never

from steward.alerting.channels import wording
from steward.alerting.channels.model import Destination, Receiver
from steward.alerting.channels.wording import literal
from steward.jsonvalue import Json, JsonObject
from steward.resources.alert_channel import (
    EmailChannel,
    PagerDutyChannel,
    SecretRef,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
)


def receiver(receiver: Receiver) -> JsonObject:
    """As a member of `receivers`."""
    name = receiver.name.rpartition("/")[2]
    if receiver.destination is None:
        return {"name": name}
    kind, fields = _kind(receiver.destination)
    return {"name": name, kind: [{"sendResolved": receiver.send_resolved, **fields}]}


def _kind(destination: Destination) -> tuple[str, JsonObject]:
    match destination:
        case EmailChannel():
            return "emailConfigs", _email(destination)
        case SlackChannel():
            return "slackConfigs", _slack(destination)
        case PagerDutyChannel():
            return "pagerdutyConfigs", _pager_duty(destination)
        case WebhookChannel():
            return "webhookConfigs", _webhook(destination)
        case TeamsChannel():
            return "msteamsv2Configs", _teams(destination)
        case _:
            assert_never(destination)


def _email(mail: EmailChannel) -> JsonObject:
    found: JsonObject = {
        "to": literal(", ".join(mail.to)),
        "from": literal(mail.sender),
        "smarthost": mail.smarthost,
        "requireTLS": mail.require_tls,
        "headers": [{"key": "Subject", "value": wording.SUBJECT}],
        "text": wording.MAIL_TEXT,
        "html": wording.MAIL_HTML,
    }
    if mail.password is not None:
        found |= {"authUsername": mail.username, "authPassword": _entry(mail.password)}
    return found


def _slack(slack: SlackChannel) -> JsonObject:
    return {
        "username": wording.SENDER,
        "color": wording.SLACK_COLOUR,
        "title": wording.SLACK_TITLE,
        "text": wording.SLACK_TEXT,
        "fallback": wording.SLACK_TITLE,
        **({"channel": literal(slack.channel)} if slack.channel else {}),
        **({"apiURL": _entry(slack.webhook)} if slack.webhook is not None else {}),
    }


def _pager_duty(pager: PagerDutyChannel) -> JsonObject:
    details: list[Json] = [{"key": key, "value": value} for key, value in wording.PAGER_DETAILS.items()]
    return {
        "routingKey": _entry(pager.routing_key),
        **({"url": pager.url} if pager.url is not None else {}),
        "client": wording.SENDER,
        "description": wording.SUBJECT,
        "severity": wording.PAGER_SEVERITY,
        "class": wording.PAGER_CLASS,
        "component": wording.PAGER_COMPONENT,
        "group": wording.PAGER_GROUP,
        "details": details,
    }


def _webhook(webhook: WebhookChannel) -> JsonObject:
    found: JsonObject = {"maxAlerts": webhook.max_alerts} if webhook.max_alerts else {}
    if webhook.url is not None:
        found["url"] = webhook.url
    elif webhook.url_from is not None:
        found["urlSecret"] = _entry(webhook.url_from)
    if webhook.bearer_token is not None:
        found["httpConfig"] = {"authorization": {"type": "Bearer", "credentials": _entry(webhook.bearer_token)}}
    return found


def _teams(teams: TeamsChannel) -> JsonObject:
    return {"webhookURL": _entry(teams.webhook), "title": wording.SUBJECT, "text": wording.TEAMS_TEXT}


def _entry(secret: SecretRef) -> JsonObject:
    return {"name": secret.name, "key": secret.key}
