"""A run's production and its stage: what its objects follow from, and the actors as they are at this moment."""

from dataclasses import dataclass

from services.conformance.core.capability import ClusterSeen, has
from services.conformance.core.ledger import status_of
from services.conformance.core.manifests import MESH, PLAIN, Production, actors, echo_template
from services.conformance.core.stage import Stage
from services.conformance.engine.world import World
from steward.resources.conformance_run import ConformanceRun
from steward.resources.conformance_suite import ConformanceSuiteSpec


def suite_of(run: ConformanceRun) -> ConformanceSuiteSpec:
    """The suite as it was when the run began."""
    return status_of(run).suite or ConformanceSuiteSpec()


def production(run: ConformanceRun, world: World, seen: ClusterSeen) -> Production:
    """What the objects of a run follow from."""
    suite, means = suite_of(run), world.means
    return Production(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        prefix=suite.where.prefix,
        ttl_seconds=suite.where.ttl_seconds,
        image=suite.image or means.image,
        access=means.access,
        footprint=suite.footprint,
        priority_class=means.priority_class if seen.priority_class else "",
        node_names=suite.node_names,
        cni=seen.cni,
    )


@dataclass(frozen=True, slots=True)
class Staging:
    """The stage of a run."""

    world: World
    made: Production
    seen: ClusterSeen

    async def __call__(self) -> Stage:
        """With the pods as they are."""
        made, seen = self.made, self.seen
        meshed, plain = made.namespace(MESH), made.namespace(PLAIN)
        return Stage(
            run=made.run,
            meshed=meshed,
            plain=plain,
            owner=made.owner,
            linkerd=seen.linkerd,
            linkerd_namespace=seen.linkerd_namespace,
            trust_domain=seen.trust_domain,
            cluster_domain=seen.cluster_domain,
            image=made.image,
            places=dict(await self.world.edges.cluster.places((meshed, plain))),
            has=has(seen, self.world.knowledge),
            timings=self.world.means.timings,
            nodes=made.node_names,
            template=echo_template(made),
        )

    async def missing(self) -> dict[str, str]:
        """Actors that are not all there: pods that are not ready, or that have no agent taking orders."""
        stage = await self()
        found: dict[str, str] = {}
        pods: set[str] = set()
        for actor, wanted in actors(self.made.node_names).items():
            places = stage.pods(actor)
            ready = [place for place in places if place.ready]
            if len(ready) < wanted:
                waiting = ", ".join(place.pod for place in places if not place.ready) or "no pod yet"
                found[actor] = f"{len(ready)} of {wanted} ready ({waiting})"
            pods |= {place.pod for place in places}
        if found:
            return found
        silent = await self.world.edges.agents.until_present(
            self.made.run_uid, frozenset(pods), within_time=self.world.means.agents
        )
        return dict.fromkeys(sorted(silent), "no agent in it takes orders")
