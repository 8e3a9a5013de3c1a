"""What can come next in a run: exactly one of these at a time.

Those that write say what becomes of the status; those that touch or look are carried out by an edge, after which the
run is looked at again. Nothing is remembered between two of them that is not in the run or in the cluster.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from services.upgrader.core.asking import Moment
from services.upgrader.core.journal import Said
from services.upgrader.core.orders import Restart
from steward.events.upgrades import RunOutcome, StepFailure, StepOutcome
from steward.resources.upgrade_plan import GateTemplate
from steward.resources.upgrade_run import StepState, Workloads


@dataclass(frozen=True, slots=True)
class Plan:
    """Choose the plan and take the snapshot."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Say what each step would do."""


@dataclass(frozen=True, slots=True)
class Start:
    """Write that the run begins."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Write that an attempt at the step begins, before anything of it is done."""

    step: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask gates and write their answers down."""

    step: str
    gates: tuple[GateTemplate, ...]
    moment: Moment


@dataclass(frozen=True, slots=True)
class Look:
    """Look how far the step's goal is, and decide again."""

    step: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Look at every workload, and decide again."""

    step: str


@dataclass(frozen=True, slots=True)
class Act:
    """Do what the step is for, once."""

    step: str


@dataclass(frozen=True, slots=True)
class RestartSome:
    """Restart these workloads, each once."""

    step: str
    restarts: tuple[Restart, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Write that a step under way stands elsewhere."""

    step: str
    state: StepState
    said: Said


@dataclass(frozen=True, slots=True)
class Record:
    """Write where the workloads stand."""

    step: str
    workloads: Workloads
    said: Said


@dataclass(frozen=True, slots=True)
class End:
    """Write that a step is done."""

    step: str
    outcome: StepOutcome
    said: Said


@dataclass(frozen=True, slots=True)
class Fail:
    """Write that an attempt did not reach its goal."""

    step: str
    failure: StepFailure
    said: Said
    retry_after: datetime | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Write that the run stands still."""

    said: Said


@dataclass(frozen=True, slots=True)
class AskForPause:
    """Set `spec.state` to Pause, so that going on is for a person to say: whoever sets it to Run resumes the run."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Write that the run goes on."""

    said: Said


@dataclass(frozen=True, slots=True)
class Conclude:
    """Write that the run is over."""

    outcome: RunOutcome
    said: Said


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something changes, or until then."""

    until: datetime | None
    said: Said


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing to do ever again."""


Writing: TypeAlias = Start | Begin | Move | Record | End | Fail | Pause | Resume | Conclude
"""Those that only write."""

Doing: TypeAlias = Plan | Preview | Ask | Act | RestartSome | AskForPause
"""Those that look or touch, and then write."""

Looking: TypeAlias = Look | Survey

Resting: TypeAlias = Wait | Over

NextAct: TypeAlias = Writing | Doing | Looking | Resting
