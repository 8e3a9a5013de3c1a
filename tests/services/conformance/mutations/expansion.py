"""How workloads outside of the cluster are broken."""

from services.conformance.core.external import OUTSIDE
from services.conformance.core.probes.expansion import DEFINITION
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, table, text
from steward.kube.resources import CRDS
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.proxy import outbound_faults as outbound
from steward.testing.kubernetes.admission import AdmissionRequest
from steward.testing.linkerd.definitions import DEFINITIONS, of_definition
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.mutations.mutation import Mutation


async def definitions_left_behind(plane: SimulatedDataPlane, _stage: Stage) -> None:
    """The definition is one that came before the version that Linkerd reads now."""
    cluster = plane.mesh.cluster
    cluster.remove(cluster.kinds.of(CRDS), cluster.get(CRDS, DEFINITION))
    known = next(each for each in DEFINITIONS if each.kind == EXTERNAL_WORKLOADS.kind)
    old = type(known)(known.group, known.kind, known.plural, "v1alpha1")
    cluster.create(CRDS, of_definition(old, "linkerd/cli edge-24.1.1", "1.8.0"))


async def labels_stripped(plane: SimulatedDataPlane, _stage: Stage) -> None:
    """A webhook of somebody's takes labels away that it does not know."""

    def strip(request: AdmissionRequest) -> JsonObject | None:
        metadata = table(request.value, "metadata")
        kept: JsonObject = {
            key: value for key, value in table(metadata, "labels").items() if text({"it": value}, "it") != OUTSIDE
        }
        return {**request.value, "metadata": {**metadata, "labels": kept}}

    plane.mesh.kubernetes.admit(EXTERNAL_WORKLOADS, strip, name="tidy", operations=("CREATE", "UPDATE"))


_FEATURE = "exp.external-workload"

MUTATIONS = (
    Mutation(_FEATURE, definitions_left_behind, "WORKLOAD_NOT_TAKEN", Rung.OBJECT),
    Mutation(_FEATURE, labels_stripped, "WORKLOAD_NOT_SELECTED", Rung.OBJECT),
    Mutation(_FEATURE, told.EXTERNAL_SLICES_MISSING, "SLICE_NOT_WRITTEN", Rung.CONTROL_PLANE),
    Mutation(_FEATURE, told.EXTERNAL_READINESS_IGNORED, "SLICE_DIFFERS", Rung.CONTROL_PLANE),
    Mutation(_FEATURE, told.EXTERNAL_PORTS_WRONG, "SLICE_DIFFERS", Rung.CONTROL_PLANE),
    Mutation(_FEATURE, told.EXTERNAL_WORKLOADS_IGNORED, "WORKLOAD_NOT_TOLD", Rung.CONTROL_PLANE),
    Mutation(_FEATURE, told.NO_IDENTITY_OF_ENDPOINTS, "WORKLOAD_MISTOLD", Rung.CONTROL_PLANE),
    Mutation(_FEATURE, told.OPAQUE_IGNORED, "WORKLOAD_MISTOLD", Rung.CONTROL_PLANE),
    Mutation(_FEATURE, outbound.FORGED_IDENTITY_PASSES, "IDENTITY_NOT_REQUIRED", Rung.PROXY),
    Mutation(_FEATURE, outbound.PLAINTEXT_TO_MESHED, "IDENTITY_NOT_REQUIRED", Rung.PROXY),
    Mutation(_FEATURE, outbound.NO_FAILFAST, "NOT_REFUSED", Rung.PROXY),
    Mutation(_FEATURE, objects.injected("cu", "enabled"), control=True),
)
