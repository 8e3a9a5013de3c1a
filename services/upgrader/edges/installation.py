"""The installation, whoever owns it: one driver for each way to install, and every failure turned into an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from services.upgrader.core.observations import Unseen
from services.upgrader.core.orders import Broken, Done, Order, Outcome, Refused, StepObservation, StepPreview
from services.upgrader.edges.apply import UnknownKind
from services.upgrader.edges.linkerd_cli import NoOverrides, WrongVersion
from services.upgrader.edges.process import CommandFailed, ToolMissing
from services.upgrader.edges.redaction import redact
from steward.errors import StewardError, ToolError
from steward.kube.errors import Forbidden, Invalid, KubeError, Unauthorized
from steward.resources.upgrade_plan import InstallMethod

# What no repetition cures. Anything else may be the cluster's or the network's bad moment.
_FINAL_WORDS = (
    "chart requires kubeVersion",
    "values don't meet the specifications of the schema",
    "invalid ownership metadata",
    "is forbidden",
    "execution error at",
    "parse error at",
    "error validating data",
    "unknown flag",
    "has been rolled back due to",
)


class Driver(Protocol):
    """One way to install. May raise ToolError and KubeError; `InstallationEdge` answers for it."""

    async def observe(self, order: Order) -> StepObservation: ...

    async def act(self, order: Order) -> Done | Refused: ...

    async def preview(self, order: Order) -> StepPreview: ...


@dataclass(frozen=True, slots=True)
class InstallationEdge:
    """Hands each order to the driver of its method."""

    drivers: Mapping[InstallMethod, Driver]

    async def observe(self, order: Order) -> StepObservation | Unseen:
        """Look how far the step's goal is."""
        try:
            return await self.drivers[order.method].observe(order)
        except (StewardError, OSError) as error:
            return unseen(error)

    async def act(self, order: Order) -> Outcome:
        """Do what the step asks for, once."""
        try:
            return await self.drivers[order.method].act(order)
        except (StewardError, OSError) as error:
            reason, message = reason_of(error), redact(str(error))
            return Refused(reason, message) if is_final(error) else Broken(reason, message)

    async def preview(self, order: Order) -> StepPreview:
        """Say what `act` would do."""
        try:
            return await self.drivers[order.method].preview(order)
        except (StewardError, OSError) as error:
            return StepPreview(f"cannot be told at present: {redact(str(error))}")


def unseen(error: StewardError | OSError) -> Unseen:
    """Why nothing could be seen."""
    return Unseen(reason_of(error), redact(str(error)), transient=not is_final(error))


def is_final(error: StewardError | OSError) -> bool:
    """Whether trying the same again will not help."""
    if isinstance(error, CommandFailed):
        return any(word in error.complaint for word in _FINAL_WORDS)
    return isinstance(
        error, Forbidden | Unauthorized | Invalid | UnknownKind | NoOverrides | WrongVersion | ToolMissing
    )


def reason_of(error: StewardError | OSError) -> str:
    """A word for it: the name of our error, where it says more than that something failed."""
    if isinstance(error, Forbidden | Unauthorized | Invalid):
        return type(error).__name__
    if isinstance(error, KubeError):
        return "ApiServerUnavailable"
    if isinstance(error, ToolError) and type(error) is not ToolError:
        return type(error).__name__
    return "ToolFailed"
