"""How redirection is broken, on one node of several."""

from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import CONFIG_MAPS
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.faults import Fault, Scope
from steward.testing.kubernetes.cluster import Patch
from tests.services.conformance.mutations.mutation import Breaking, Mutation
from tests.services.conformance.mutations.workloads import named

NODE = "node-1"
ON_NODE = Scope(node=NODE)


async def _configured_for_cni(plane: SimulatedDataPlane, stage: Stage) -> None:
    values = text(plane.mesh.cluster.get(CONFIG_MAPS, "linkerd-config", stage.linkerd_namespace), "data", "values")
    patch: JsonObject = {"data": {"values": values.replace("cniEnabled: false", "cniEnabled: true", 1)}}
    plane.mesh.cluster.patch(CONFIG_MAPS, "linkerd-config", Patch("merge", patch), stage.linkerd_namespace)
    await plane.settled()


async def _restarted(plane: SimulatedDataPlane, stage: Stage) -> None:
    """All Deployments, so that at least one pod of the new ones lands on each node."""
    for deployment in ("cn", "v1", "v2", "sp"):
        plane.mesh.restart("Deployment", stage.meshed, deployment, "2026-11-22T12:00:00Z")
    await plane.settled()


def restarted_on(fault: Fault, *, cni: bool = False, cilium: bool = False) -> Breaking:
    """Workloads are restarted while new pods of one node cannot be redirected."""

    async def restart(plane: SimulatedDataPlane, stage: Stage) -> None:
        if cni:
            await _configured_for_cni(plane, stage)
        if cilium:
            config: JsonObject = {"metadata": {"name": "cilium-config"}, "data": {"cni-exclusive": "true"}}
            plane.mesh.cluster.create(CONFIG_MAPS, config, "kube-system")
        plane.faults.switch_on(fault, ON_NODE)
        await _restarted(plane, stage)

    return named(f"{fault.name}-{'beside-cilium' if cilium else 'at-a-restart'}", restart)


async def mesh_configured_for_cni(plane: SimulatedDataPlane, stage: Stage) -> None:
    """The mesh is configured for the CNI plugin, and nothing was restarted since."""
    await _configured_for_cni(plane, stage)


MUTATIONS = (
    Mutation("inj.every-node", network.REDIRECTION_BROKEN, "NODE_NOT_REDIRECTED", Rung.TRAFFIC, ON_NODE),
    Mutation("inj.every-node", network.INBOUND_REDIRECTION_BROKEN, "NODE_NOT_REDIRECTED", Rung.TRAFFIC, ON_NODE),
    Mutation("inj.every-node", restarted_on(network.INIT_FAILING), "INIT_FAILING", Rung.OBJECT),
    Mutation("inj.every-node", restarted_on(network.CNI_PLUGIN_MISSING, cni=True), "CNI_CONFIG_MISSING", Rung.OBJECT),
    Mutation(
        "inj.every-node",
        restarted_on(network.CNI_PLUGIN_MISSING, cni=True, cilium=True),
        "CNI_EXCLUSIVE",
        Rung.OBJECT,
    ),
    Mutation("inj.every-node", mesh_configured_for_cni, "REDIRECTION_MODE_DIFFERS", Rung.OBJECT),
    Mutation("inj.every-node", network.ADDRESSES_CROSSED, control=True),
)
