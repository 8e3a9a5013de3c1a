"""The edges, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.conformance.core.ports import Edges
from services.conformance.edges.cluster import ProbedCluster
from services.conformance.edges.control_plane import Controllers
from services.conformance.edges.evidence import StoredEvidence
from services.conformance.edges.patient_agents import patient_agents
from services.conformance.edges.results import StreamedResults
from services.conformance.edges.surveying import Surveyor
from steward.conformance.reports import written
from steward.service.chassis import Chassis


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the edges need to know."""

    namespace: str
    priority_class: str
    direct: bool
    prometheus: bool = False
    ingress: bool = False


@asynccontextmanager
async def assembled(chassis: Chassis, around: Surroundings) -> AsyncIterator[Edges]:
    """Edges over the chassis' own connections; agents are heard for as long as the context lasts."""
    surveyor = Surveyor(chassis.kube, around.namespace, around.priority_class, around.prometheus, around.ingress)
    async with patient_agents(chassis.bus, chassis.clock) as agents:
        yield Edges(
            agents=agents,
            cluster=ProbedCluster(chassis.kube, surveyor),
            control_plane=Controllers(chassis.kube, around.namespace, around.direct),
            results=StreamedResults(chassis.bus),
            evidence=StoredEvidence(chassis.bus),
            render=written,
        )
