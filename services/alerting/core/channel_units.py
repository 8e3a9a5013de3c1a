"""A channel as it is kept and carried: by files, where all are one configuration, or as an object of its own."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from pydantic import ValidationError

from services.alerting.core.adoption import Contents
from services.alerting.core.operator_documents import Belonging, route_object
from services.alerting.core.units import ChannelUnit, Refusal
from steward.alerting.channels import operator
from steward.alerting.channels.operator import Operator, config_object, rendered_objects
from steward.alerting.channels.outlets import Outlet
from steward.alerting.channels.plain import offered, rendered
from steward.alerting.channels.refused import Remark
from steward.alerting.channels.target import Target
from steward.jsonvalue import JsonObject
from steward.resources.alert_channel import AlertChannel, AlertChannelSpec
from steward.yamlvalue import MalformedYaml, parse_yaml, render_yaml

OWN_UNIT = "_own"
"""In place of a channel's name: Steward's own webhook, and the inhibitions. No object can have this name."""
Writing = Callable[[AlertChannel, Target], ChannelUnit]
"""By the way that channels are carried."""
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
    return ChannelUnit(channel, render_yaml(kept), kind, secrets=found.secrets, remark=_said(found.remarks))


def as_objects(labels: Mapping[str, str]) -> Writing:
    """Each channel as an AlertmanagerConfig with these labels, which goes with the channel."""

    def write(channel: AlertChannel, target: Target) -> ChannelUnit:
        kind = kind_of(channel.spec)
        found = operator.offered(channel, target)
        if not isinstance(found, Outlet):
            return ChannelUnit(channel, None, kind, Refusal(found.reason, found.sentence))
        unit = ChannelUnit(channel, None, kind, secrets=found.secrets, remark=_said(found.remarks))
        return replace(unit, content=route_object(config_object(found), Belonging(unit.name, labels, channel)))

    return write


def own_unit(home: str) -> str:
    """The name of what is Steward's own."""
    return f"{home}.{OWN_UNIT}"


def own_content(target: Target, labels: Mapping[str, str]) -> str | None:
    """Steward's own AlertmanagerConfig; None where there is nothing to say in it."""
    found = rendered_objects((), target, Operator()).own
    return route_object(found, Belonging(own_unit(target.home), labels)) if found is not None else None


def _said(remarks: tuple[Remark, ...]) -> str:
    return "; ".join(each.message for each in remarks)


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
