"""Which observation a gate judges by which function, and when it is compared with the look before the first change."""

from typing import assert_never

from services.upgrader.core.gates import (
    certificates,
    conformance,
    injector,
    kubernetes_version,
    linkerd_check,
    ownership,
    version_skew,
)
from services.upgrader.core.gates.verdict import Context, Verdict, compared, unseen
from services.upgrader.core.observations import (
    CheckSeen,
    ConformanceSeen,
    InjectionsSeen,
    KubernetesSeen,
    Observation,
    Unseen,
    VersionsSeen,
)
from steward.linkerd.certificates import CertificateInventory
from steward.linkerd.ownership import Ownership
from steward.resources.upgrade_plan import (
    Certificates,
    GateTemplate,
    GateType,
    LinkerdCheck,
    StepType,
    VersionSkew,
)
from steward.resources.upgrade_run import Evidence

_ENTRANCE = frozenset({GateType.KUBERNETES_VERSION, GateType.OWNERSHIP_CONFLICT, GateType.VERSION_SKEW})
"""What says whether an upgrade is allowed at all: being wrong already is no excuse."""


def judge(gate: GateTemplate, observation: Observation, context: Context) -> Verdict:
    """What the gate says of what was seen."""
    match observation:
        case Unseen():
            return unseen(observation)
        case CertificateInventory():
            return certificates.judge(observation, gate.certificates or Certificates(), context.now)
        case Ownership():
            return ownership.judge(observation, context)
        case VersionsSeen():
            return version_skew.judge(observation, gate.version_skew or VersionSkew(), context)
        case _:
            return _of_what_runs(gate, observation, context)


def _of_what_runs(
    gate: GateTemplate,
    observation: tuple[CheckSeen, ...] | InjectionsSeen | KubernetesSeen | ConformanceSeen,
    context: Context,
) -> Verdict:
    match observation:
        case InjectionsSeen():
            return injector.judge(observation)
        case KubernetesSeen():
            return kubernetes_version.judge(observation, context)
        case ConformanceSeen():
            return conformance.judge(observation)
        case tuple():
            return linkerd_check.judge(observation, gate.linkerd_check or LinkerdCheck())
        case _:
            assert_never(observation)


def is_compared(gate: GateType, step: StepType) -> bool:
    """Whether being as red as before lets the step go on.

    Never where the gate says whether the upgrade is allowed, and never before workloads are restarted for the
    injector: a pod without its proxy is lost whoever is to blame. At the entrance only `linkerd check` is compared, for
    a mesh that is not well has all the more need of an upgrade, while a plan that asks for certificates means it.
    """
    if gate in _ENTRANCE:
        return False
    if gate is GateType.LINKERD_CHECK:
        return True
    if gate is GateType.INJECTOR_DRY_RUN:
        return step not in (StepType.PREFLIGHT, StepType.RESTART_WORKLOADS)
    return step is not StepType.PREFLIGHT


def weighed(verdict: Verdict, gate: GateTemplate, step: StepType, baseline: Evidence | None) -> Verdict:
    """`verdict` as the step counts it."""
    return compared(verdict, baseline) if is_compared(gate.type, step) else verdict
