"""How the extension viz is broken."""

from services.conformance.core.probes.viz import TAPPED
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject
from steward.kube.mesh_resources import NETWORK_POLICIES
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import tap_faults as tap
from steward.testing.kubernetes.cluster import Patch
from steward.testing.viz.extension import trust_another
from steward.testing.viz.faults import TAP_REFUSES
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Breaking, Mutation

_VIZ = "linkerd-viz"
_SERVER = Scope(pod=TAPPED)


def _other_bundle() -> Breaking:
    """The API server trusts a certificate that tap does not have."""

    async def replace(plane: SimulatedDataPlane, stage: Stage) -> None:
        del stage
        trust_another(plane.mesh)

    return objects.named("tap-bundle-replaced", replace)


def _tap_port_closed() -> Breaking:
    """A NetworkPolicy lets nobody but the probes themselves to their pods."""

    async def close(plane: SimulatedDataPlane, stage: Stage) -> None:
        own: JsonObject = {"from": [{"namespaceSelector": {"matchLabels": dict(stage.owner)}}]}
        admin: JsonObject = {"ports": [{"protocol": "TCP", "port": 4191}]}
        patch = Patch("merge", {"spec": {"ingress": [own, admin]}})
        plane.mesh.cluster.patch(NETWORK_POLICIES, "probes", patch, stage.meshed)
        await plane.settled()

    return objects.named("tap-port-closed", close)


MUTATIONS = (
    Mutation("obs.viz.tap", TAP_REFUSES, "TAP_FORBIDDEN", Rung.OBJECT),
    Mutation("obs.viz.tap", objects.scaled("tap-injector", 0, _VIZ), "TAP_NOT_ENABLED", Rung.OBJECT),
    Mutation("obs.viz.tap", objects.scaled("tap", 0, _VIZ), "TAP_UNAVAILABLE", Rung.CONTROL_PLANE),
    Mutation("obs.viz.tap", _other_bundle(), "TAP_UNAVAILABLE", Rung.CONTROL_PLANE),
    Mutation("obs.viz.tap", _tap_port_closed(), "TAP_SILENT", Rung.PROXY),
    Mutation("obs.viz.tap", tap.TAP_DEAF, "TAP_SILENT", Rung.PROXY, _SERVER),
    Mutation("obs.viz.tap", tap.TAP_WITHOUT_RESPONSES, "TAP_UNTRUE", Rung.PROXY, _SERVER),
    Mutation("obs.viz.tap", tap.TAP_STATUS_WRONG, "TAP_UNTRUE", Rung.PROXY, _SERVER),
    Mutation("obs.viz.tap", tap.TAP_WITHOUT_TLS, "TAP_UNTRUE", Rung.PROXY, _SERVER),
    Mutation("obs.viz.tap", tap.TAP_UNFILTERED, control=True, scope=_SERVER),
)
