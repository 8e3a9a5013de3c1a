"""A channel as it is kept and carried, and all channels as one configuration."""

from pydantic import ValidationError

from services.alerting.core.adoption import Contents
from services.alerting.core.units import ChannelUnit, Refusal
from steward.alerting.channels.outlets import Outlet
from steward.alerting.channels.plain import offered, rendered
from steward.alerting.channels.target import Target
from steward.jsonvalue import JsonObject
from steward.resources.alert_channel import AlertChannel, AlertChannelSpec
from steward.yamlvalue import MalformedYaml, parse_yaml, render_yaml

_KINDS = (
    ("email", "Email"),
    ("slack", "Slack"),
    ("pager_duty", "PagerDuty"),
    ("webhook", "Webhook"),
    ("teams", "Teams"),
)


def channel_unit(channel: AlertChannel, target: Target) -> ChannelUnit:
    """The channel, if this Alertmanager can be told of it; it is kept in words that a later start can render anew."""
    kind = kind_of(channel.spec)
    found = offered(channel, target)
    if not isinstance(found, Outlet):
        return ChannelUnit(channel, None, kind, Refusal(found.reason, found.sentence))
    kept: JsonObject = {
        "metadata": {"name": channel.metadata.name, "namespace": channel.metadata.namespace},
        "spec": channel.spec.to_json(),
        # What is written depends on it, so another version is another content.
        "alertmanager": ".".join(map(str, target.alertmanager)),
    }
    return ChannelUnit(channel, render_yaml(kept), kind, secrets=found.secrets)


def kind_of(spec: AlertChannelSpec) -> str:
    """Its kind in a word."""
    return next((kind for name, kind in _KINDS if getattr(spec, name) is not None), "")


def configuration(contents: Contents, target: Target) -> str:
    """alertmanager.yml of the channels that are kept. One that cannot be rendered any more is left out."""
    channels = (_kept(content) for content in contents.values())
    document = rendered([each for each in channels if each is not None], target).document
    return render_yaml(document) if document is not None else ""


def _kept(content: str) -> AlertChannel | None:
    """None for what another version of Steward kept in other words."""
    try:
        return AlertChannel.model_validate(parse_yaml(content))
    except (ValidationError, MalformedYaml):
        return None
