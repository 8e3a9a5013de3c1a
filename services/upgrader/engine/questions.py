"""Asking a gate: which edge looks, what `core` says of what it saw, and how that is written down."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.upgrader.core.asking import Moment, baseline_of
from services.upgrader.core.gates.judging import judge, weighed
from services.upgrader.core.gates.verdict import Context
from services.upgrader.core.ledger import status_of
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.observations import Awaited, CheckSeen, Observation, Unseen
from services.upgrader.core.operations import exercise_name, operation_id
from services.upgrader.core.ordering import definition
from services.upgrader.core.orders import Exercise
from services.upgrader.core.ports import Probes
from services.upgrader.core.rollout.surveying import namespaces_to_try
from services.upgrader.engine.mesh import Mesh, look, versions
from steward.clock import Clock
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import Conformance, GateTemplate, GateType, InjectorDryRun, LinkerdCheck
from steward.resources.upgrade_run import Evidence, Snapshot, StepStatus, UpgradeRun

CHECK_TIMEOUT = timedelta(minutes=2)
"""For one `linkerd check`, which waits for what is missing as long as it is let."""


@dataclass(frozen=True, slots=True)
class Question:
    """A gate of a step of a run, at one moment."""

    run: UpgradeRun
    snapshot: Snapshot
    step: str
    gate: GateTemplate
    moment: Moment
    logical: LogicalVersions

    @property
    def target(self) -> Version:
        """Where the run leads."""
        return Version.parse(self.run.spec.target)

    def exercise(self) -> Exercise:
        """What a gate of type Conformance asks for; the same until its answer is written down."""
        settings = self.gate.conformance or Conformance()
        step = next(each for each in status_of(self.run).steps if each.name == self.step)
        return Exercise(
            name=exercise_name(self.run, self.step, self.gate.name, self.moment.value, _last_answer(step, self.gate)),
            suite=settings.suite,
            only=settings.only,
            timeout=timedelta(seconds=settings.timeout_seconds),
            upgrade_run=self.run.metadata.name,
            operation_id=operation_id(self.run.metadata.uid, step.name, step.attempt),
        )

    def context(self, now: datetime) -> Context:
        """What a judgement may know besides the observation."""
        return Context(
            now=now,
            source=Version.parse(self.snapshot.from_version),
            target=self.target,
            method=self.snapshot.install_method,
            release=self.snapshot.release,
            logical=self.logical,
        )


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks the gates of runs."""

    probes: Probes
    mesh: Mesh
    clock: Clock

    async def ask(self, question: Question) -> Evidence | Awaited:
        """What the gate says at this moment, or that its answer is on its way."""
        observation = await self._observe(question)
        if isinstance(observation, Awaited):
            return observation
        verdict = judge(question.gate, observation, question.context(self.clock.now()))
        if question.moment is not Moment.BASELINE:
            baseline = baseline_of(status_of(question.run).steps, question.gate.name)
            step = definition(question.snapshot, question.step)
            verdict = weighed(verdict, question.gate, step.type, baseline)
        evidence = verdict.evidence(question.gate, self.clock.now())
        return evidence.model_copy(
            update={
                "baseline": question.moment is Moment.BASELINE,
                "before": question.moment is Moment.BEFORE,
            }
        )

    async def _observe(self, question: Question) -> Observation | Awaited:
        gate, snapshot, target = question.gate, question.snapshot, question.target
        match gate.type:
            case GateType.LINKERD_CHECK:
                return await self._check(gate.linkerd_check or LinkerdCheck(), target)
            case GateType.VERSION_SKEW:
                seen = look(self.mesh)
                return seen if isinstance(seen, Unseen) else versions(seen)
            case GateType.INJECTOR_DRY_RUN:
                return await self._injections(gate.injector_dry_run or InjectorDryRun(), snapshot)
            case GateType.CERTIFICATES:
                return await self.probes.certificates()
            case GateType.KUBERNETES_VERSION:
                return await self.probes.kubernetes(target)
            case GateType.OWNERSHIP_CONFLICT:
                return await self.probes.ownership()
            case GateType.CONFORMANCE:
                return await self.probes.conformance(question.exercise())

    async def _check(self, settings: LinkerdCheck, target: Version) -> tuple[CheckSeen, ...] | Unseen:
        found: list[CheckSeen] = []
        for scope in settings.scopes:
            seen = await self.probes.linkerd_check(target, scope, CHECK_TIMEOUT)
            if isinstance(seen, Unseen):
                return seen
            found.append(seen)
        return tuple(found)

    async def _injections(self, settings: InjectorDryRun, snapshot: Snapshot) -> Observation:
        seen = look(self.mesh)
        if isinstance(seen, Unseen):
            return seen
        mode = snapshot.policy_spec.data_plane.selection.mode
        return await self.probes.injections(namespaces_to_try(seen, mode, settings.namespaces))


def _last_answer(step: StepStatus, gate: GateTemplate) -> str:
    answers = [each.observed_at.isoformat() for each in step.evidence if each.gate == gate.name]
    return max(answers, default="")
