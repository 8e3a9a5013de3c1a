"""UpgradePlan: what to do between two ranges of versions. Knowledge of versions, the same for every cluster."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from steward.resources.base import Column, Condition, Model, Name, Patience, Resource, Seconds, Sentence
from steward.resources.feature_pattern import FeaturePattern
from steward.resources.release_catalog import Logical
from steward.resources.rules import RANGE, SAYS_RANGE, SAYS_STEP_NAME, STEP_NAME, atomic, map_list, once, rules

Range = Annotated[str, Field(pattern=RANGE, max_length=128, json_schema_extra=SAYS_RANGE)]
StepName = Annotated[str, Field(pattern=STEP_NAME, max_length=63, json_schema_extra=SAYS_STEP_NAME)]


class InstallMethod(StrEnum):
    """Who owns an installation. GitOps: a change is rendered, nothing is applied."""

    HELM = "Helm"
    CLI = "CLI"
    GITOPS = "GitOps"


class StepType(StrEnum):
    """What a step does."""

    PREFLIGHT = "Preflight"
    APPLY_CRDS = "ApplyCRDs"
    UPGRADE_CONTROL_PLANE = "UpgradeControlPlane"
    PRUNE = "Prune"
    RESTART_WORKLOADS = "RestartWorkloads"
    GATE = "Gate"


class GateType(StrEnum):
    """What a gate asks."""

    LINKERD_CHECK = "LinkerdCheck"
    VERSION_SKEW = "VersionSkew"
    INJECTOR_DRY_RUN = "InjectorDryRun"
    CERTIFICATES = "Certificates"
    KUBERNETES_VERSION = "KubernetesVersion"
    OWNERSHIP_CONFLICT = "OwnershipConflict"
    CONFORMANCE = "Conformance"


class GatePhase(StrEnum):
    """When a step's gates are asked."""

    BEFORE = "Before"
    AFTER = "After"
    BOTH = "Both"


class CheckScope(StrEnum):
    """Which part of `linkerd check` is read."""

    CONTROL_PLANE = "ControlPlane"
    PROXY = "Proxy"


class From(Model):
    """Where an upgrade may begin."""

    range: Range
    logical_versions: tuple[Logical, ...] = Field(default=(), max_length=16, json_schema_extra=atomic())


class To(Model):
    """Where an upgrade may lead."""

    range: Range
    logical_version: Logical | None = None


class Retry(Model):
    """How often a step that could not be told, or was told no, is tried again. A crash costs nothing."""

    limit: int = Field(default=3, ge=0, le=100)
    backoff_seconds: Seconds = 30
    max_backoff_seconds: Seconds = 600


class LinkerdCheck(Model):
    """`linkerd check` of the target version, every JSON document of its output."""

    scopes: tuple[CheckScope, ...] = Field(
        default=(CheckScope.CONTROL_PLANE,), min_length=1, max_length=2, json_schema_extra=atomic()
    )
    fail_on_warnings: tuple[str, ...] = Field(
        default=(),
        max_length=64,
        description="Categories, such as `linkerd-data-plane`, whose warnings count as failures.",
        json_schema_extra=atomic(),
    )


class InjectorDryRun(Model):
    """A pod that is created as a dry run only: would it get the proxy it should?"""

    namespaces: int = Field(default=3, ge=1, le=50, description="In how many of the namespaces to be restarted.")


class Certificates(Model):
    """Trust anchors, issuer and webhook certificates."""

    min_remaining_seconds: Seconds = Field(default=604_800, description="How long each must still be valid.")
    require_webhook_ca_agreement: bool = Field(
        default=True,
        alias="requireWebhookCAAgreement",
        description="The caBundle of each webhook must verify the certificate that its server has.",
    )


class VersionSkew(Model):
    """How far proxies may be behind the control plane, in logical versions."""

    max_logical_versions: int = Field(default=1, ge=0, le=10)


class Conformance(Model):
    """A ConformanceRun of its own, once, whose verdict is the answer."""

    suite: Name = "default"
    only: tuple[FeaturePattern, ...] = Field(
        default=(),
        max_length=256,
        description="Features or groups; all of the suite where empty.",
        json_schema_extra=atomic(),
    )
    timeout_seconds: Patience = Field(default=1_800, description="Then nobody can tell, which does not pass.")


class GateTemplate(Model):
    """A gate that steps name."""

    name: StepName
    type: GateType
    linkerd_check: LinkerdCheck | None = None
    injector_dry_run: InjectorDryRun | None = None
    certificates: Certificates | None = None
    version_skew: VersionSkew | None = None
    conformance: Conformance | None = None


class Prune(Model):
    """What `linkerd prune` may never delete, beyond CustomResourceDefinitions and Namespaces, which it never may."""

    exclude_kinds: tuple[str, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())


class Step(Model):
    """One step of the plan."""

    name: StepName
    type: StepType
    depends_on: tuple[StepName, ...] = Field(
        default=(), max_length=32, json_schema_extra={**atomic(), **rules(once("dependsOn names a step"))}
    )
    timeout_seconds: Patience | None = None
    retry: Retry | None = None
    gates: tuple[StepName, ...] = Field(
        default=(), max_length=32, json_schema_extra={**atomic(), **rules(once("a step names a gate"))}
    )
    gate_phase: GatePhase = GatePhase.AFTER
    prune: Prune | None = None


class StepDefaults(Model):
    """What a step gets that says nothing itself."""

    timeout_seconds: Patience = 900
    retry: Retry = Field(default=Retry())


_GATE_RULES = rules(
    (
        "self.all(g, !has(g.linkerdCheck) || g.type == 'LinkerdCheck')",
        "linkerdCheck belongs to gates of type LinkerdCheck",
    ),
    (
        "self.all(g, !has(g.injectorDryRun) || g.type == 'InjectorDryRun')",
        "injectorDryRun belongs to gates of type InjectorDryRun",
    ),
    (
        "self.all(g, !has(g.certificates) || g.type == 'Certificates')",
        "certificates belongs to gates of type Certificates",
    ),
    ("self.all(g, !has(g.versionSkew) || g.type == 'VersionSkew')", "versionSkew belongs to gates of type VersionSkew"),
    ("self.all(g, !has(g.conformance) || g.type == 'Conformance')", "conformance belongs to gates of type Conformance"),
)


class UpgradePlanSpec(Model):
    """Steps between two ranges of versions."""

    from_: From = Field(alias="from")
    to: To
    priority: int = Field(default=0, ge=-1000, le=1000, description="The highest wins; a tie is an error.")
    install_methods: tuple[InstallMethod, ...] = Field(
        default=(InstallMethod.HELM, InstallMethod.CLI, InstallMethod.GITOPS),
        min_length=1,
        max_length=3,
        json_schema_extra=atomic(),
    )
    one_way: bool = Field(default=False, description="There is no way back; said before the first step.")
    notices: tuple[Sentence, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    progress_deadline_seconds: Patience = 28_800
    defaults: StepDefaults = Field(default=StepDefaults())
    gate_templates: tuple[GateTemplate, ...] = Field(
        default=(), max_length=32, json_schema_extra={**map_list("name"), **_GATE_RULES}
    )
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=32,
        json_schema_extra={
            **map_list("name"),
            **rules(
                (
                    "self.all(s, !has(s.dependsOn) || s.dependsOn.all(d, self.exists(o, o.name == d)))",
                    "dependsOn names a step that this plan does not have",
                ),
                (
                    "self.all(s, !has(s.dependsOn) || !(s.name in s.dependsOn))",
                    "a step cannot depend on itself",
                ),
                ("self.all(s, !has(s.prune) || s.type == 'Prune')", "prune belongs to steps of type Prune"),
                (
                    "self.all(s, s.type != 'Gate' || (has(s.gates) && size(s.gates) > 0))",
                    "a step of type Gate needs at least one gate",
                ),
            ),
        },
    )


class UpgradePlanStatus(Model):
    """What upgrader thinks of the plan."""

    observed_generation: int = 0
    plan_hash: str = ""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


class UpgradePlan(Resource):
    """What to do between two ranges of Linkerd versions."""

    kind_name: ClassVar[str] = "UpgradePlan"
    plural: ClassVar[str] = "upgradeplans"
    short_names: ClassVar[tuple[str, ...]] = ("lup",)
    description: ClassVar[str] = "What to do between two ranges of Linkerd versions."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="From", json_path=".spec.from.range"),
        Column(name="To", json_path=".spec.to.range"),
        Column(name="Priority", json_path=".spec.priority", type="integer"),
        Column(name="OneWay", json_path=".spec.oneWay", type="boolean"),
        Column(name="Valid", json_path='.status.conditions[?(@.type=="Valid")].status'),
        Column(name="Hash", json_path=".status.planHash", priority=1),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "UpgradePlan"
    spec: UpgradePlanSpec = Field(
        json_schema_extra=rules(
            (
                "self.steps.all(s, !has(s.gates) || s.gates.all(g, has(self.gateTemplates) && "
                "self.gateTemplates.exists(t, t.name == g)))",
                "a step names a gate that gateTemplates does not have",
            ),
        )
    )
    status: UpgradePlanStatus | None = None


PlanName = Name
