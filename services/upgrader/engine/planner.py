"""Plans runs from what the cluster and the catalog say, and knows which release would be begun with today."""

from services.upgrader.core.candidate import Candidate, Finding, NoWay, Situation, find
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.observations import Unseen
from services.upgrader.core.planning import Knowledge, Planned, is_ours, owner_of, plan
from services.upgrader.core.plans import Refusal
from services.upgrader.engine.mesh import look
from services.upgrader.engine.world import World
from steward.linkerd.knowledge import shipped
from steward.linkerd.ownership import Ownership
from steward.linkerd.version import Version
from steward.resources.upgrade_policy import UpgradePolicy
from steward.resources.upgrade_run import UpgradeRun


class Planner:
    """Remembers nothing but the last finding, which is made anew at every look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.finding: Finding | None = None

    async def plan(self, run: UpgradeRun) -> Planned | Refusal:
        """The plan of a run, or why there is none."""
        running, problem = self.running()
        catalog = self._world.caches.catalog()
        ownership = await self._world.edges.probes.ownership()
        if isinstance(ownership, Unseen):
            return Refusal(ownership.reason, ownership.message)
        return plan(
            run,
            Knowledge(
                plans=self._world.caches.plans(),
                policies=self._world.caches.policies(),
                releases=catalog.releases,
                running=running,
                running_problem=problem,
                ownership=ownership,
                shipped=shipped(),
                logical=LogicalVersions.of(catalog.releases, shipped()),
                now=self._world.clock.now(),
            ),
        )

    async def find(self, policy: UpgradePolicy) -> Finding:
        """The release that the policy would lead to."""
        self.finding = await self._find(policy)
        return self.finding

    async def _find(self, policy: UpgradePolicy) -> Finding:
        running, problem = self.running()
        if running is None:
            return NoWay(Refusal("RunningUnknown", problem), ())
        ownership = await self._world.edges.probes.ownership()
        seen: Ownership | None = None if isinstance(ownership, Unseen) else ownership
        owner = Refusal(ownership.reason, ownership.message) if isinstance(ownership, Unseen) else owner_of(seen)
        if owner is not None or seen is None or seen.method is None:
            return NoWay(owner or Refusal("OwnerUnknown", "nobody owns the installation"), ())
        catalog = self._world.caches.catalog()
        return find(
            Situation(
                policy=policy.spec,
                catalog=catalog,
                plans=self._world.caches.plans(),
                running=running,
                method=seen.method,
                logical=LogicalVersions.of(catalog.releases, shipped()),
                now=self._world.clock.now(),
            )
        )

    def running(self) -> tuple[Version | None, str]:
        """The version that all of the control plane runs, or why there is none."""
        seen = look(self._world.mesh)
        if isinstance(seen, Unseen):
            return None, seen.message
        control_plane = seen.control_plane
        if control_plane is None:
            return (
                None,
                "no control plane of Linkerd is to be seen: install one, or set STEWARD_CLUSTER__LINKERD_NAMESPACE",
            )
        if control_plane.version is None:
            runs = ", ".join(control_plane.running) or "nothing"
            named = control_plane.configured or control_plane.problem
            return None, f"the control plane runs {runs} and linkerd-config names {named}: it is not settled"
        return control_plane.version, ""

    def superseding(self, run: UpgradeRun) -> str:
        """The release that would be begun with today instead of a run that upgrader began by itself."""
        found = self.finding
        target = Version.maybe(run.spec.target)
        if not is_ours(run) or not isinstance(found, Candidate) or target is None:
            return ""
        newer = found.version.channel == target.channel and found.version > target
        return str(found.version) if newer else ""
