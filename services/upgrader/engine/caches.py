"""The custom resources of Steward, kept current. One that cannot be read is left out and said so, the others count."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import ValidationError
from structlog.typing import FilteringBoundLogger

from services.upgrader.core.catalogs import merged
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.reflector import Reflector
from steward.kube.resources import RELEASE_CATALOGS, UPGRADE_PLANS, UPGRADE_POLICIES, UPGRADE_RUNS
from steward.resources.base import Resource
from steward.resources.release_catalog import ReleaseCatalog, ReleaseCatalogStatus
from steward.resources.upgrade_plan import UpgradePlan
from steward.resources.upgrade_policy import UpgradePolicy
from steward.resources.upgrade_run import UpgradeRun

R = TypeVar("R", bound=Resource)


class Caches:
    """Catalogs, plans, policies and runs."""

    def __init__(self, kube: Kube, log: FilteringBoundLogger, on_change: Callable[[], None]) -> None:
        self._log = log
        self._on_change = on_change
        self._catalogs = Reflector(kube, RELEASE_CATALOGS, trim=self._reader(ReleaseCatalog), on_change=self._changed)
        self._plans = Reflector(kube, UPGRADE_PLANS, trim=self._reader(UpgradePlan), on_change=self._changed)
        self._policies = Reflector(kube, UPGRADE_POLICIES, trim=self._reader(UpgradePolicy), on_change=self._changed)
        self._runs = Reflector(kube, UPGRADE_RUNS, trim=self._reader(UpgradeRun), on_change=self._changed)

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in (self._catalogs, self._plans, self._policies, self._runs):
                tasks.create_task(each.run(), name=f"cache of {each.resource}")

    async def synced(self) -> None:
        """Return once everything was listed."""
        for each in (self._catalogs, self._plans, self._policies, self._runs):
            await each.synced.wait()

    @property
    def problem(self) -> str | None:
        """What keeps the caches from being current, None while nothing does."""
        for each in (self._catalogs, self._plans, self._policies, self._runs):
            if not each.synced.is_set():
                return f"{each.resource} were not listed yet: {each.problem or 'the first list is under way'}"
        return None

    def catalog(self) -> ReleaseCatalogStatus:
        """What is known of releases."""
        return merged(each for each in self._catalogs.values() if each is not None)

    def plans(self) -> tuple[UpgradePlan, ...]:
        """Every plan, by name."""
        return _by_name(each for each in self._plans.values() if each is not None)

    def policies(self) -> tuple[UpgradePolicy, ...]:
        """Every policy, by name."""
        return _by_name(each for each in self._policies.values() if each is not None)

    def runs(self) -> tuple[UpgradeRun, ...]:
        """Every run, by name. Others may have written since."""
        return _by_name(each for each in self._runs.values() if each is not None)

    def is_paused(self, policy: str) -> bool:
        """Whether the policy says that every run stands still."""
        return any(each.metadata.name == policy and each.spec.paused for each in self.policies())

    def _reader(self, kind: type[R]) -> Callable[[JsonObject], R | None]:
        def read(found: JsonObject) -> R | None:
            try:
                return kind.of(found)
            except ValidationError as error:
                name = text(found, "metadata", "name")
                problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
                self._log.error(
                    "left out: it cannot be read",
                    kind=kind.kind_name,
                    name=name,
                    where=problem["loc"],
                    why=problem["msg"],
                )
                return None

        return read

    def _changed(self, _key: str, _old: object, _new: object) -> None:
        self._on_change()


def _by_name(found: Iterable[R]) -> tuple[R, ...]:
    return tuple(sorted(found, key=lambda each: each.metadata.name))
