"""AlertPolicy: which alerts for what. The control plane's, objectives of services and routes, rules of one's own."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from steward.alerting.rules import Severity
from steward.resources.base import Column, Condition, Model, Name, Patience, Resource, Seconds, Sentence
from steward.resources.rules import atomic, atomic_object, map_list, reads_as, rules

ALERT_NAME = r"^[A-Z][A-Za-z0-9]*$"
LABEL_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
PART = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"

AlertName = Annotated[
    str,
    Field(
        pattern=ALERT_NAME,
        max_length=128,
        json_schema_extra=reads_as(ALERT_NAME, "an alert is named in CamelCase, such as `CheckoutTooSlow`"),
    ),
]
PartName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        pattern=PART,
        json_schema_extra=reads_as(PART, "small letters, digits and dashes, such as `success-rate`"),
    ),
]
Percent = Annotated[float, Field(ge=1, le=99.999)]


class TargetKind(StrEnum):
    """What objectives are set for."""

    SERVICE = "Service"
    SERVICE_PROFILE = "ServiceProfile"
    HTTP_ROUTE = "HTTPRoute"
    GRPC_ROUTE = "GRPCRoute"


class Side(StrEnum):
    """From where a service is looked at."""

    CLIENT = "Client"
    """By the proxies of those who call it: what its users see, an unreachable server included."""
    SERVER = "Server"
    """By its own proxies: what reaches it, whoever calls."""


class Granularity(StrEnum):
    """What one objective is about."""

    TARGET = "Target"
    """The whole target."""
    ROUTE = "Route"
    """Each route of it by itself."""


class TargetRef(Model):
    """An object in the policy's own namespace."""

    kind: TargetKind = TargetKind.SERVICE
    name: Name


class LatencyObjective(Model):
    """How many of the answers must come how fast."""

    within_milliseconds: int = Field(ge=1, le=50_000, description="One of the bounds of the metric's buckets.")
    percent: Percent = 99.0


class Objective(Model):
    """How much of the time a target must do well: by success, or by latency."""

    name: PartName
    success_percent: Percent | None = None
    latency: LatencyObjective | None = None
    window_seconds: int = Field(default=2_592_000, ge=86_400, le=7_776_000, description="30 days where not given.")


class CustomRule(Model):
    """A rule of one's own. Its alerts are those of the policy's namespace."""

    name: AlertName
    expr: str = Field(min_length=1, max_length=8192, description="PromQL.")
    for_seconds: Seconds = 0
    severity: Severity = Severity.WARNING
    summary: Sentence = ""
    description: Sentence = ""


class PackChange(Model):
    """One alert of the pack, otherwise than shipped."""

    alert: AlertName
    severity: Severity | None = None
    for_seconds: Seconds | None = None
    threshold: float | None = Field(default=None, description="In the unit that `alerts pack` shows for the alert.")


class ControlPlane(Model):
    """The pack that is shipped for the control plane and its proxies."""

    exclude: tuple[AlertName, ...] = Field(default=(), max_length=128, json_schema_extra=atomic())
    changes: tuple[PackChange, ...] = Field(default=(), max_length=128, json_schema_extra=map_list("alert"))


class AlertPolicySpec(Model):
    """Which alerts."""

    # As a whole: applied once more by the server, an empty one of which only defaults are set would be gone.
    control_plane: ControlPlane | None = Field(default=None, json_schema_extra=atomic_object())
    targets: tuple[TargetRef, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    objectives: tuple[Objective, ...] = Field(default=(), max_length=16, json_schema_extra=map_list("name"))
    granularity: Granularity = Granularity.TARGET
    side: Side = Side.CLIENT
    minimum_requests_per_second: float = Field(
        default=0.1, ge=0, le=1_000_000, description="Below so little traffic one failure says nothing."
    )
    severity: Severity = Field(default=Severity.CRITICAL, description="Of what burns fast; what burns slowly warns.")
    team: str = Field(default="", max_length=63, description="Label `team` of the alerts, for routes.")
    labels: dict[str, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict, max_length=16)
    rules: tuple[CustomRule, ...] = Field(default=(), max_length=64, json_schema_extra=map_list("name"))


class TargetStatus(Model):
    """What became of one target, or of one rule of one's own."""

    target: str = Field(max_length=512, description="Such as Service/web, or Rule/CheckoutTooSlow.")
    metrics: str = Field(
        default="", max_length=64, description="ServiceProfile, Routes or Pods: who counts its requests."
    )
    alerts: int = 0
    reason: str = Field(default="Rendered", max_length=128)
    message: Sentence = ""


class AlertPolicyStatus(Model):
    """What alerting made of the policy."""

    observed_generation: int = 0
    digest: str = ""
    rules: int = 0
    blind: int = Field(default=0, description="Alerts whose metrics this Prometheus does not have.")
    firing: int = 0
    targets: tuple[TargetStatus, ...] = Field(default=(), max_length=512, json_schema_extra=atomic())
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


class AlertPolicy(Resource):
    """Which alerts for what."""

    kind_name: ClassVar[str] = "AlertPolicy"
    plural: ClassVar[str] = "alertpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("lap",)
    namespaced: ClassVar[bool] = True
    description: ClassVar[str] = "Which alerts: of the control plane, by objectives of services and routes, by rules."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="In force", json_path='.status.conditions[?(@.type=="InForce")].status'),
        Column(name="Reason", json_path='.status.conditions[?(@.type=="InForce")].reason'),
        Column(name="Rules", json_path=".status.rules", type="integer"),
        Column(name="Blind", json_path=".status.blind", type="integer"),
        Column(name="Firing", json_path=".status.firing", type="integer"),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "AlertPolicy"
    spec: AlertPolicySpec = Field(
        json_schema_extra=rules(
            (
                "has(self.controlPlane) || (has(self.objectives) && size(self.objectives) > 0) || "
                "(has(self.rules) && size(self.rules) > 0)",
                "a policy says something: controlPlane, objectives of targets, or rules",
            ),
            (
                "!has(self.objectives) || size(self.objectives) == 0 || (has(self.targets) && size(self.targets) > 0)",
                "objectives need targets: name at least one Service, ServiceProfile, HTTPRoute or GRPCRoute",
            ),
            (
                "!has(self.objectives) || self.objectives.all(o, has(o.successPercent) != has(o.latency))",
                "an objective is about success or about latency: give exactly one of successPercent and latency",
            ),
        ),
    )
    status: AlertPolicyStatus | None = None


RESEND_AFTER: Patience = 3600
"""How long an alert that goes on is not told again, in seconds, where a channel does not say."""
