"""What upgrader begins by itself, and what plans and policies say of themselves.

Level-triggered: a new release is seen in the catalog, whether or not its event arrived. The event only makes it
sooner, and gives the run its cause.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from services.upgrader.core.announcing import plan_status, policy_status
from services.upgrader.core.candidate import Candidate, Finding
from services.upgrader.core.planning import DEFAULT_POLICY, is_over, new_run, surplus
from services.upgrader.engine.planner import Planner
from services.upgrader.engine.world import World
from services.upgrader.metrics import PATH_AVAILABLE
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Conflict, NotFound
from steward.kube.resources import UPGRADE_PLANS, UPGRADE_POLICIES, Resource
from steward.resources.base import Model, ObjectMeta
from steward.resources.upgrade_policy import Mode, UpgradePolicy
from steward.resources.upgrade_run import DryRun, UpgradeRun

LOOK_AGAIN = timedelta(seconds=60)
"""How often the candidate is looked for though nothing changed: releases ripen with time alone."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that announced a release."""

    id: str
    traceparent: str


class Choosing:
    """Looks for the candidate and begins runs."""

    def __init__(self, world: World, kube: Kube, planner: Planner, is_told: Callable[[UpgradeRun], bool]) -> None:
        self._is_told = is_told
        self._world = world
        self._kube = kube
        self._planner = planner
        self._causes: dict[str, Cause] = {}

    def heard(self, release: str, cause: Cause) -> None:
        """An event announced a release."""
        self._causes[release] = cause

    async def look(self) -> None:
        """One look at everything: statuses, candidate, a run for it, the history."""
        await self._say_of_plans()
        policy = self._policy()
        finding = await self._planner.find(policy)
        available = isinstance(finding, Candidate)
        self._world.instruments.show(PATH_AVAILABLE, {(policy.spec.channel,): float(available)})
        await self._say_of_policy(policy, finding)
        if isinstance(finding, Candidate):
            await self._begin(policy, finding)
        await self._forget(policy)

    def _policy(self) -> UpgradePolicy:
        """The one in force; where nobody wrote one, its defaults, which begin nothing."""
        found = (each for each in self._world.caches.policies() if each.metadata.name == DEFAULT_POLICY)
        return next(found, None) or UpgradePolicy()

    async def _begin(self, policy: UpgradePolicy, candidate: Candidate) -> None:
        if policy.spec.mode is not Mode.AUTOMATIC or policy.spec.paused:
            return
        running, _ = self._planner.running()
        if running is None or any(_occupies(run) for run in self._world.caches.runs()):
            return
        cause = self._causes.get(str(candidate.version))
        body = new_run(
            candidate,
            running,
            DEFAULT_POLICY,
            cause=cause.id if cause else "",
            trace=cause.traceparent if cause else "",
        )
        if await self._world.runs.create(body):
            self._world.log.info(
                "run begun",
                target=str(candidate.version),
                source=str(running),
                plan=candidate.chosen.plan.metadata.name,
            )

    async def _say_of_plans(self) -> None:
        now = self._world.clock.now()
        for plan in self._world.caches.plans():
            status = plan_status(plan, now)
            if status != plan.status:
                await self._store(UPGRADE_PLANS, plan.metadata, status)

    async def _say_of_policy(self, policy: UpgradePolicy, finding: Finding) -> None:
        if not policy.metadata.name:
            return
        status = policy_status(policy, finding, self._world.clock.now())
        if status != policy.status:
            patch: JsonObject = {"candidate": None} if status.candidate is None else {}
            await self._store(UPGRADE_POLICIES, policy.metadata, status, patch)

    async def _store(
        self, resource: Resource, metadata: ObjectMeta, status: Model, absent: JsonObject | None = None
    ) -> None:
        body: JsonObject = {"status": {**status.to_json(), **(absent or {})}}
        try:
            await self._kube.merge(
                resource, metadata.name, body, subresource="status", resource_version=metadata.resource_version
            )
        except (Conflict, NotFound) as error:
            # It was changed or deleted meanwhile; the change itself makes us look again.
            self._world.log.debug("status not written", resource=str(resource), name=metadata.name, why=str(error))

    async def _forget(self, policy: UpgradePolicy) -> None:
        for run in surplus(self._world.caches.runs(), policy.spec.run_history_limit):
            if not self._is_told(run):
                continue
            self._world.log.info("run forgotten", run=run.metadata.name, limit=policy.spec.run_history_limit)
            await self._world.runs.delete(run)


def _occupies(run: UpgradeRun) -> bool:
    """Whether a run stands in the way of another: previews and refused wishes do not."""
    planned = run.status is not None and run.status.snapshot is not None
    unseen = run.status is None or not run.status.conditions
    return not is_over(run) and run.spec.dry_run is DryRun.NONE and (planned or unseen)
