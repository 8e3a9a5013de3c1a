"""What an edge is told to do for a step, what it sees of it, and what it answers.

An order is the same however often it is given: `operation_id` names the attempt and is stamped on everything that the
attempt touches, so that whoever looks afterwards, this process or the next one, can tell whether the act happened.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from steward.linkerd.pods import WorkloadRef
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry
from steward.resources.upgrade_plan import InstallMethod, StepName, StepType


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt at one step of one run."""

    run: str
    run_uid: str
    step: StepName
    step_type: StepType
    attempt: int
    operation_id: str
    previous_operations: tuple[str, ...]
    """Identities of the run's earlier attempts, of any step: a lock that carries one of them is our own dead one's."""
    method: InstallMethod
    source: Version
    target: Version
    release: ReleaseEntry | None
    """What the catalog knew of the target: digests, chart version, bounds."""
    timeout: timedelta
    fencing_token: int = 0
    prune_exclude_kinds: tuple[str, ...] = ()
    """Beyond CustomResourceDefinition and Namespace, which are never deleted."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """A ConformanceRun that is wanted. The same name is the same exercise, however often it is asked for."""

    name: str
    suite: str
    only: tuple[str, ...]
    timeout: timedelta
    upgrade_run: str
    operation_id: str


class Stage(StrEnum):
    """How far the goal of a step is, as observed: the cluster is asked, not our memory."""

    ABSENT = "Absent"
    """Nothing of it is there: the act has not happened."""
    INTERRUPTED = "Interrupted"
    """Begun by an attempt of this run and cut off half-way; acting again finishes it."""
    SETTLING = "Settling"
    """Done, and the cluster is still on its way: controllers roll out, CRDs are not yet established."""
    HANDED_OVER = "HandedOver"
    """Rendered for whoever owns the installation; it waits for them to apply it."""
    REACHED = "Reached"
    """As it should be, proven by looking."""
    REFUSED = "Refused"
    """It cannot be: the tooling is missing, the release belongs to somebody else, this operation ended in failure."""


@dataclass(frozen=True, slots=True)
class StepObservation:
    """What an edge sees of a step's goal. For Preflight: whether everything that the later steps need is at hand."""

    stage: Stage
    reason: str
    """CamelCase."""
    message: str
    """A sentence: the object, the reason and, where it is refused, the remedy."""
    operation_id: str = ""
    """The operation whose stamp is on what was found, empty where there is none."""


@dataclass(frozen=True, slots=True)
class Done:
    """The act was carried out, or there was nothing left to do. It says nothing of the goal: that is observed."""

    message: str
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The act was told no: trying the same again will not help."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The act could not be tried, or its outcome is unknown: trying again may help."""

    reason: str
    message: str


Outcome: TypeAlias = Done | Refused | Broken


@dataclass(frozen=True, slots=True)
class Restart:
    """One workload whose pods are to be replaced, by setting its template's marker."""

    workload: WorkloadRef
    uid: str
    """Of the workload that was decided on: another one under the same name is left alone (Refused, `Replaced`)."""
    marker: str
    """Value of `steward.linkerd.io/proxy-target` in the template: setting it twice changes nothing."""
    operation_id: str
    """Value of `steward.linkerd.io/last-operation` on the workload itself."""


@dataclass(frozen=True, slots=True)
class StepPreview:
    """What a step would do, for people."""

    summary: str
