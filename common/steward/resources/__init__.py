"""The custom resources as typed values, and the CustomResourceDefinitions generated from them. Pure, without I/O."""

from steward.resources.base import Condition, ConditionStatus, ObjectMeta, Resource
from steward.resources.release_catalog import ReleaseCatalog
from steward.resources.upgrade_plan import UpgradePlan
from steward.resources.upgrade_policy import UpgradePolicy
from steward.resources.upgrade_run import UpgradeRun

KINDS: tuple[type[Resource], ...] = (ReleaseCatalog, UpgradePlan, UpgradePolicy, UpgradeRun)

__all__ = [
    "KINDS",
    "Condition",
    "ConditionStatus",
    "ObjectMeta",
    "ReleaseCatalog",
    "Resource",
    "UpgradePlan",
    "UpgradePolicy",
    "UpgradeRun",
]
