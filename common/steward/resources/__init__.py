"""The custom resources as typed values, and the CustomResourceDefinitions generated from them. Pure, without I/O."""

from steward.resources.alert_channel import AlertChannel
from steward.resources.alert_policy import AlertPolicy
from steward.resources.base import Condition, ConditionStatus, ObjectMeta, Resource
from steward.resources.conformance_run import ConformanceRun
from steward.resources.conformance_suite import ConformanceSuite
from steward.resources.release_catalog import ReleaseCatalog
from steward.resources.upgrade_plan import UpgradePlan
from steward.resources.upgrade_policy import UpgradePolicy
from steward.resources.upgrade_run import UpgradeRun

KINDS: tuple[type[Resource], ...] = (
    ReleaseCatalog,
    UpgradePlan,
    UpgradePolicy,
    UpgradeRun,
    ConformanceSuite,
    ConformanceRun,
    AlertPolicy,
    AlertChannel,
)

__all__ = [
    "KINDS",
    "AlertChannel",
    "AlertPolicy",
    "Condition",
    "ConditionStatus",
    "ConformanceRun",
    "ConformanceSuite",
    "ObjectMeta",
    "ReleaseCatalog",
    "Resource",
    "UpgradePlan",
    "UpgradePolicy",
    "UpgradeRun",
]
