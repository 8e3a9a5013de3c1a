"""Everything that a run is conducted with."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from services.upgrader.core.ports import Edges
from services.upgrader.core.steps import Tempo
from services.upgrader.engine.bell import Bell
from services.upgrader.engine.caches import Caches
from services.upgrader.engine.mesh import Mesh
from services.upgrader.engine.notes import Notes
from services.upgrader.engine.runs import Runs
from steward.clock import Clock
from steward.service.instruments import Instruments


@dataclass(frozen=True, slots=True)
class Term:
    """For how long this process acts: until the lease is lost, when the work is cancelled."""

    holder: str
    token: int


@dataclass(frozen=True, slots=True)
class World:
    """What the conductor and its neighbours share."""

    clock: Clock
    runs: Runs
    caches: Caches
    mesh: Mesh
    edges: Edges
    notes: Notes
    instruments: Instruments
    log: FilteringBoundLogger
    tempo: Tempo
    changed: Bell
    """Rung at each change that a run may depend on."""
