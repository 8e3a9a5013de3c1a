"""What the chassis lends to a service: everything that is not the service's own idea."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from steward.clock import Clock
from steward.kube.client import Kube
from steward.service.health import Health
from steward.service.instruments import Instruments
from steward.service.patient_bus import EventBus
from steward.service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Chassis:
    """The outside world of one service."""

    name: str
    settings: ServiceSettings
    clock: Clock
    bus: EventBus
    kube: Kube
    instruments: Instruments
    health: Health
    log: FilteringBoundLogger
