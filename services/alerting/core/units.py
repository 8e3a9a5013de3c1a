"""What is carried as one piece: the rules of one policy, or the route of one channel."""

from dataclasses import dataclass

from steward.alerting.rules import Group
from steward.resources.alert_channel import AlertChannel, SecretRef
from steward.resources.alert_policy import AlertPolicy, TargetStatus

ANNOTATED = "_annotated"
"""In place of a policy's name: what annotations on services and routes ask for. No object can have this name."""
NOT_CHECKED = "QueryNotChecked"
"""The reason of a refusal that lasts until Prometheus answers."""
_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not in force."""

    reason: str
    """CamelCase, stable."""
    message: str


@dataclass(frozen=True, slots=True)
class WatchedAlert:
    """An alert and the metrics that it needs, each by itself, in order to see anything."""

    name: str
    metrics: frozenset[str]


@dataclass(frozen=True, slots=True)
class RuleUnit:
    """The rules of one policy. Without `content` nothing of it can be carried, and what was good stays."""

    namespace: str
    name: str
    content: str | None
    rules: int = 0
    targets: tuple[TargetStatus, ...] = ()
    alerts: tuple[WatchedAlert, ...] = ()
    """Of objectives: their rules are many and alike, so what they need is told beside them."""
    groups: tuple[Group, ...] = ()
    """All others, whose needs are read from their queries."""
    refusal: Refusal | None = None
    policy: AlertPolicy | None = None
    """None for what annotations ask for."""

    @property
    def file(self) -> str:
        """Its name as a file; a namespace has no dots, so it is the only one of that name."""
        return file_of(self.namespace, self.name)

    @property
    def object(self) -> str:
        """As events and metrics name it."""
        if self.policy is None:
            return f"Namespace/{self.namespace}"
        return f"AlertPolicy/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ChannelUnit:
    """One channel, as it is kept: everything that its route and receiver are rendered from, but no secret."""

    channel: AlertChannel
    content: str | None
    kind: str = ""
    refusal: Refusal | None = None
    secrets: tuple[SecretRef, ...] = ()
    """What it needs, in its own namespace."""
    remark: str = ""
    """What else is to be said of it while it is in force."""

    @property
    def name(self) -> str:
        """Told apart from all others."""
        return f"{self.channel.metadata.namespace}.{self.channel.metadata.name}"

    @property
    def object(self) -> str:
        """As events and metrics name it."""
        return f"AlertChannel/{self.channel.metadata.namespace}/{self.channel.metadata.name}"


def file_of(namespace: str, name: str) -> str:
    """The name of a rule unit, which is that of its file where it is one."""
    return f"{namespace}.{name}{_SUFFIX}"
