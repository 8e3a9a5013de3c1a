"""`alerts policies` and `alerts channels`: the objects, and what alerting made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.go_flags import spelled
from steward.cli.options import Output, Session, leaf
from steward.cli.output import Format, grid, note, plain, show_document
from steward.jsonvalue import Json
from steward.kube.client import Kube
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES
from steward.resources import AlertChannel, AlertPolicy
from steward.resources.base import Condition, ConditionStatus, condition_of

ACCEPTED, IN_FORCE, SIGHTED = "Accepted", "InForce", "Sighted"

Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Only this namespace; all where it is not named.", metavar="NAME")
]


@dataclass(frozen=True, slots=True)
class Word:
    """What is to be said of an object: `ok`, it is in force and sees; `trouble`, it is not, or not all of it."""

    state: str
    ok: bool = False
    trouble: bool = False
    blind: bool = False
    """It is in force, and some of it cannot see anything."""
    message: str = ""

    @property
    def final(self) -> bool:
        """Whether alerting has said what it is going to say."""
        return self.ok or self.trouble or self.blind

    @property
    def style(self) -> str:
        """Its colour."""
        return "green" if self.ok else "red" if self.trouble else "yellow"


@leaf
async def policies(session: Session, namespace: Namespace = "", output: Output = Format.TABLE) -> ExitCode:
    """List AlertPolicies: what is in force, what is refused and why, what is blind.

    Example: linkerd steward alerts policies -n shop
    """
    async with cluster(session) as kube:
        found = await all_policies(kube, namespace)
    if not found and output is Format.TABLE:
        note(f"there is no AlertPolicy{_there(namespace)}; make one with: linkerd steward alerts policy new")
        return ExitCode.OK
    items: list[Json] = [each.to_json() for each in found]
    show_document({"items": items}, output, policy_table(found, session.clock.now()), session.environment)
    return ExitCode.OK


@leaf
async def channels(session: Session, namespace: Namespace = "", output: Output = Format.TABLE) -> ExitCode:
    """List AlertChannels: where alerts go, what is in force, what is refused and why.

    Example: linkerd steward alerts channels
    """
    async with cluster(session) as kube:
        found = await all_channels(kube, namespace)
    if not found and output is Format.TABLE:
        note(f"there is no AlertChannel{_there(namespace)}; make one with: linkerd steward alerts channel new")
        return ExitCode.OK
    items: list[Json] = [each.to_json() for each in found]
    show_document({"items": items}, output, channel_table(found, session.clock.now()), session.environment)
    return ExitCode.OK


async def all_policies(kube: Kube, namespace: str = "") -> list[AlertPolicy]:
    """Every policy, by namespace and name."""
    listing = await kube.list(ALERT_POLICIES, namespace or None)
    return sorted((AlertPolicy.of(each) for each in listing.items), key=_place)


async def all_channels(kube: Kube, namespace: str = "") -> list[AlertChannel]:
    """Every channel, by namespace and name."""
    listing = await kube.list(ALERT_CHANNELS, namespace or None)
    return sorted((AlertChannel.of(each) for each in listing.items), key=_place)


def policy_word(policy: AlertPolicy) -> Word:
    """What became of a policy; the worst of it first. Pure."""
    status = policy.status
    if status is None or status.observed_generation < policy.metadata.generation:
        return Word("waiting", message="alerting has not looked at it yet")
    word = _carried(status.conditions)
    if not word.ok:
        return word
    accepted, sighted = condition_of(status.conditions, ACCEPTED), condition_of(status.conditions, SIGHTED)
    if accepted is not None and accepted.status is ConditionStatus.FALSE:
        return Word("refused in part", trouble=True, message=accepted.message)
    if sighted is not None and sighted.status is ConditionStatus.FALSE:
        return Word("blind", blind=True, message=sighted.message)
    return word


def channel_word(channel: AlertChannel) -> Word:
    """What became of a channel. Pure."""
    status = channel.status
    if status is None or status.observed_generation < channel.metadata.generation:
        return Word("waiting", message="alerting has not looked at it yet")
    return _carried(status.conditions)


def _carried(conditions: tuple[Condition, ...]) -> Word:
    in_force = condition_of(conditions, IN_FORCE)
    if in_force is None:
        return Word("waiting", message="alerting has not said whether it is in force")
    match in_force.status:
        case ConditionStatus.TRUE:
            return Word("in force", ok=True)
        case ConditionStatus.FALSE:
            return Word("refused", trouble=True, message=f"{in_force.reason}: {in_force.message}")
        case ConditionStatus.UNKNOWN:
            return Word("unknown", message=f"{in_force.reason}: {in_force.message}")


def policy_table(policies: Sequence[AlertPolicy], now: datetime) -> RenderableType:
    """A line for each policy. Pure."""
    rows: list[tuple[str | Text, ...]] = []
    for each in policies:
        status, word = each.status, policy_word(each)
        counts = (status.rules, status.blind, status.firing) if status else (0, 0, 0)
        rows.append(
            (
                each.metadata.name,
                each.metadata.namespace,
                plain(word.state, word.style),
                str(counts[0]),
                plain(str(counts[1]), "yellow" if counts[1] else ""),
                plain(str(counts[2]), "bold red" if counts[2] else ""),
                _age(each, now),
                word.message,
            )
        )
    return grid(("NAME", "NAMESPACE", "STATE", "RULES", "BLIND", "FIRING", "AGE", "SAID"), rows)


def channel_table(channels: Sequence[AlertChannel], now: datetime) -> RenderableType:
    """A line for each channel. Pure."""
    rows = [
        (
            each.metadata.name,
            each.metadata.namespace,
            kind_of(each),
            plain(channel_word(each).state, channel_word(each).style),
            matched(each),
            _age(each, now),
            channel_word(each).message,
        )
        for each in channels
    ]
    return grid(("NAME", "NAMESPACE", "KIND", "STATE", "GETS", "AGE", "SAID"), rows)


def kind_of(channel: AlertChannel) -> str:
    """What kind of channel it is."""
    spec = channel.spec
    kinds = {
        "Email": spec.email,
        "Slack": spec.slack,
        "PagerDuty": spec.pager_duty,
        "Webhook": spec.webhook,
        "Teams": spec.teams,
    }
    return " and ".join(name for name, given in kinds.items() if given is not None) or "-"


def matched(channel: AlertChannel) -> str:
    """Which alerts a channel asks for."""
    match = channel.spec.match
    parts = [
        ",".join(each.value for each in match.severities),
        f"namespace {','.join(match.namespaces)}" if match.namespaces else "",
        f"team {','.join(match.teams)}" if match.teams else "",
        ",".join(match.alerts),
        " ".join(f"{name}={value}" for name, value in match.labels.items()),
    ]
    return "; ".join(each for each in parts if each) or "all"


def _age(resource: AlertPolicy | AlertChannel, now: datetime) -> str:
    created = resource.metadata.creation_timestamp
    return spelled(now - created) if created else ""


def _place(resource: AlertPolicy | AlertChannel) -> tuple[str, str]:
    return resource.metadata.namespace, resource.metadata.name


def _there(namespace: str) -> str:
    return f" in namespace {namespace!r}" if namespace else ""
