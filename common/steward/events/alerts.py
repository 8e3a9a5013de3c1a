"""What alerting says: alerts as they begin and end, and which rules and routes are in force."""

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.events.base import Event, Part

Count = Annotated[int, Field(ge=0)]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="Alertmanager's name of the label set.")]


class AlertEvent(Event):
    """What an event about one alert carries. The same labels are the same alert, whenever it fires."""

    fingerprint: Fingerprint
    alert: str = Field(min_length=1, description="Name of the rule, such as LinkerdInjectorFailingOpen.")
    severity: str = Field(default="", description="critical, warning, info, or what the rule says.")
    labels: dict[str, str]
    summary: str = ""
    description: str = ""
    runbook: str = Field(default="", description="Where it is written what to do.")
    since: AwareDatetime = Field(description="When it began to fire.")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.alert, self.fingerprint)


class AlertFiring(AlertEvent):
    """An alert fires, and Alertmanager has routed it."""

    name: ClassVar[str] = "alert-firing"

    source: str = Field(default="", description="Where its query can be looked at.")


class AlertResolved(AlertEvent):
    """An alert that fired does so no more."""

    name: ClassVar[str] = "alert-resolved"

    until: AwareDatetime


class Refusal(Part):
    """Something that is not in force, and why."""

    object: str = Field(description="Such as AlertPolicy/emojivoto/web.")
    reason: str = Field(description="CamelCase, stable: what programs react to.")
    message: str


class AlertPolicyApplied(Event):
    """The rules and routes in force changed, or a change of them was refused and the last good ones stay."""

    name: ClassVar[str] = "alert-policy-applied"

    target: str = Field(description="Files or Operator: how they reach Prometheus and Alertmanager.")
    digest: str = Field(description="Of all that is in force.")
    rules: Count
    channels: Count
    refused: tuple[Refusal, ...] = ()
    message: str = Field(description="A sentence for people.")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.target,)
