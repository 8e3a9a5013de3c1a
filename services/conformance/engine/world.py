"""Everything that runs are conducted with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.conformance.core.decide import Patience
from services.conformance.core.manifests import Access
from services.conformance.core.ports import Edges
from services.conformance.core.probe import Probe
from services.conformance.core.stage import Timings
from services.conformance.engine.knowing import Knowing
from services.conformance.engine.runs import Runs
from steward.clock import Clock
from steward.conformance.results import FeatureResult
from steward.linkerd.knowledge import Knowledge
from steward.service.instruments import Instruments


@dataclass(frozen=True, slots=True)
class Means:
    """What the settings say."""

    image: str
    access: Access
    version: str
    priority_class: str = ""
    at_once: int = 4
    retry_within: timedelta = timedelta(seconds=5)
    record: timedelta = timedelta(seconds=2)
    renew: timedelta = timedelta(minutes=5)
    report: timedelta = timedelta(minutes=2)
    begin_again: timedelta = timedelta(seconds=1)
    agents: timedelta = timedelta(minutes=1)
    patience: Patience = field(default_factory=Patience)
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, slots=True)
class World:
    """What the conductors and their neighbours share."""

    clock: Clock
    runs: Runs
    edges: Edges
    knowing: Knowing
    probes: tuple[Probe, ...]
    knowledge: Knowledge
    instruments: Instruments
    log: FilteringBoundLogger
    means: Means
    told: Callable[[FeatureResult], None]
    """Called with each result once it is kept."""
    bus_is_up: Callable[[], Awaitable[None]]
    """Returns once NATS can be reached: without it no agent can be asked and no result kept."""
