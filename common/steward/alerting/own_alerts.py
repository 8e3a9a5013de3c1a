"""The alerts that Steward posts itself, because an event says what no metric does."""

from collections.abc import Mapping
from dataclasses import dataclass

from steward.alerting.rules import Severity

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class OwnAlert:
    """A kind of alert. Its name is that of its runbook, too."""

    name: str
    severity: Severity
    means: str
    """A sentence for people."""

    def about(self, namespace: str, summary: str, description: str = "", **identity: str) -> "Posted":
        """One such alert; `identity` are the labels that tell it from others of its kind."""
        labels = {"alertname": self.name, "severity": self.severity.value, "namespace": namespace, **identity}
        annotations = {"summary": summary[:_LONGEST], "description": description[:_LONGEST], "runbook": self.name}
        return Posted(
            labels={name: value for name, value in labels.items() if value},
            annotations={name: value for name, value in annotations.items() if value},
        )


@dataclass(frozen=True, slots=True)
class Posted:
    """What Alertmanager is told of an alert. The labels are its identity, and never change while it lasts."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


UPGRADE_PAUSED = OwnAlert(
    "LinkerdUpgradePaused", Severity.WARNING, "An upgrade stopped by itself and waits for a person."
)
UPGRADE_HELD = OwnAlert("LinkerdUpgradeHeld", Severity.INFO, "An upgrade stands still because somebody wants it to.")
STEP_FAILING = OwnAlert(
    "LinkerdUpgradeStepFailing", Severity.WARNING, "A step of an upgrade failed and is tried again."
)
STEP_FAILED = OwnAlert(
    "LinkerdUpgradeStepFailed", Severity.CRITICAL, "A step of an upgrade failed for good; the mesh is half upgraded."
)
UPGRADE_FAILED = OwnAlert(
    "LinkerdUpgradeFailed", Severity.CRITICAL, "An upgrade is over without having reached its goal."
)
FEATURE_FAILING = OwnAlert("LinkerdFeatureFailing", Severity.WARNING, "A feature of the mesh does not work.")
PROTECTION_FAILING = OwnAlert(
    "LinkerdProtectionFailing", Severity.CRITICAL, "A feature that keeps something closed does not work."
)
MESH_DRIFTED = OwnAlert("LinkerdMeshDrifted", Severity.WARNING, "The mesh is not what its configuration says.")
VERSION_WITHDRAWN = OwnAlert(
    "LinkerdVersionWithdrawn", Severity.WARNING, "The version that runs is not recommended any more."
)
ISSUER_INVALID = OwnAlert(
    "LinkerdIssuerInvalid", Severity.CRITICAL, "Identity refuses its issuer's certificate: no proxy gets a new one."
)
ISSUER_UPDATE_SKIPPED = OwnAlert(
    "LinkerdIssuerUpdateSkipped", Severity.WARNING, "Identity refuses a new issuer and goes on with the old one."
)
INJECTION_SKIPPED = OwnAlert(
    "LinkerdInjectionSkipped", Severity.INFO, "The injector leaves a pod out though nobody asked it to."
)
ALERTING_SILENT = OwnAlert(
    "LinkerdAlertingSilent", Severity.CRITICAL, "The alert that always fires does not come back: nobody would be told."
)
OWN_ALERTS = (
    ALERTING_SILENT,
    UPGRADE_PAUSED,
    UPGRADE_HELD,
    STEP_FAILING,
    STEP_FAILED,
    UPGRADE_FAILED,
    FEATURE_FAILING,
    PROTECTION_FAILING,
    MESH_DRIFTED,
    VERSION_WITHDRAWN,
    ISSUER_INVALID,
    ISSUER_UPDATE_SKIPPED,
    INJECTION_SKIPPED,
)
