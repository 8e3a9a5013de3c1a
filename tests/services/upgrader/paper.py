"""A cluster on paper: what the edges would see and do, so that hundreds of runs fit into a second."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from services.upgrader.core import acts, ledger
from services.upgrader.core.asking import Moment, baseline_of
from services.upgrader.core.decide import Facts, decide
from services.upgrader.core.gates.judging import judge, weighed
from services.upgrader.core.gates.linkerd_check import EXPECTED
from services.upgrader.core.gates.verdict import Context
from services.upgrader.core.journal import Said
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.observations import (
    Check,
    CheckDocument,
    CheckResult,
    CheckSeen,
    Injection,
    InjectionsSeen,
    KubernetesSeen,
    Observation,
    Unseen,
    VersionsSeen,
)
from services.upgrader.core.ordering import definition, order_for
from services.upgrader.core.orders import Done, Order, Outcome, Restart, Stage, StepObservation
from services.upgrader.core.planning import Knowledge, Planned, plan
from services.upgrader.core.rollout.standing import Memory
from services.upgrader.core.rollout.surveying import survey_run
from services.upgrader.core.steps import Seen, fail
from services.upgrader.core.writing import written
from steward.events.upgrades import StepFailure
from steward.linkerd import marks
from steward.linkerd.control_plane import ControlPlane
from steward.linkerd.inventory import Inventory
from steward.linkerd.knowledge import shipped
from steward.linkerd.marks import Inject
from steward.linkerd.mesh_config import MeshConfig
from steward.linkerd.ownership import Mixture, Ownership
from steward.linkerd.pods import PodFacts, ProxyFacts, WorkloadRef
from steward.linkerd.version import Version
from steward.linkerd.workloads import NamespaceFacts, Replicas, WorkloadFacts
from steward.resources.base import ObjectMeta
from steward.resources.upgrade_plan import CheckScope, GateTemplate, GateType, InstallMethod, StepType, UpgradePlan
from steward.resources.upgrade_policy import UpgradePolicy, UpgradePolicySpec
from steward.resources.upgrade_run import DesiredState, Evidence, Snapshot, StepState, UpgradeRun, UpgradeRunSpec

DAWN = datetime(2026, 6, 18, 12, 0, tzinfo=UTC)
TRUST = "a" * 64
PLANS = Path(__file__).parents[3] / "services/upgrader/plans"


def shipped_plans() -> tuple[UpgradePlan, ...]:
    """The plans that Steward ships."""
    return tuple(
        UpgradePlan.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(PLANS.glob("*.yaml"))
    )


def namespace(name: str, **annotations: str) -> NamespaceFacts:
    """A meshed namespace; annotations by their last part, `order` for `steward.linkerd.io/order`."""
    given = {f"steward.linkerd.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return NamespaceFacts(name, {}, {marks.INJECT: "enabled", **given}, deleting=False)


def pod(ref: WorkloadRef, number: int, version: str, **given: object) -> PodFacts:
    """A running, meshed pod."""
    facts = PodFacts(
        namespace=ref.namespace,
        name=f"{ref.name}-{number}",
        uid=f"{ref.namespace}/{ref.name}-{number}",
        workload=ref,
        revision="",
        created_at=DAWN,
        phase="Running",
        problem="",
        ready=True,
        deleting=False,
        host_network=False,
        mesh="linkerd",
        component="",
        component_version="",
        proxy=ProxyFacts.of(f"cr.l5d.io/linkerd/proxy:{version}", version, trust=TRUST),
        proxy_ready=True,
        inject=Inject.ENABLED,
        pin_version="",
        pin_image="",
        native_wish=None,
        foreign_sidecar=False,
        target="",
    )
    return replace(facts, **given)  # type: ignore[arg-type] # a test names the fields it means


def workload(kind: str, space: str, name: str, replicas: int = 2, **given: object) -> WorkloadFacts:
    """A settled workload."""
    facts = WorkloadFacts(
        ref=WorkloadRef(kind, space, name),
        uid=f"uid-{kind}-{space}-{name}",
        resource_version="1",
        generation=1,
        observed_generation=1,
        labels={},
        annotations={},
        template_labels={},
        template_annotations={},
        selector=f"app={name}",
        replicas=Replicas(replicas, replicas, replicas, replicas, replicas),
        strategy="RollingUpdate",
        partition=0,
        paused=False,
        stalled="",
        owner="",
        manual_proxy=False,
        host_network=False,
        images=(),
        deleting=False,
    )
    return replace(facts, **given)  # type: ignore[arg-type] # a test names the fields it means


def mesh_config(version: str) -> MeshConfig:
    """linkerd-config of a version."""
    return MeshConfig(
        version=version,
        proxy_version=version,
        proxy_image="cr.l5d.io/linkerd/proxy",
        controller_image="cr.l5d.io/linkerd/controller",
        native_sidecar=None,
        high_availability=False,
        cni=False,
        heartbeat=True,
        external_ca=False,
        issuer_scheme="linkerd.io/tls",
        trust_anchors="",
        trust_domain="cluster.local",
        cluster_domain="cluster.local",
        webhook_failure_policy="Ignore",
        injection=(),
    )


@dataclass
class PaperCluster:
    """The cluster. What happens in it is counted, so that tests can ask whether it happened once."""

    version: str = "edge-25.10.7"
    method: InstallMethod = InstallMethod.HELM
    now: datetime = DAWN
    crds: str = ""
    pruned: bool = False
    settling: int = 0
    stamps: dict[str, str] = field(default_factory=dict)
    namespaces: dict[str, NamespaceFacts] = field(default_factory=dict)
    workloads: dict[WorkloadRef, WorkloadFacts] = field(default_factory=dict)
    pods: dict[WorkloadRef, tuple[PodFacts, ...]] = field(default_factory=dict)
    answers: dict[GateType, Observation] = field(default_factory=dict)
    """What a gate sees instead of what is there."""
    outcomes: dict[StepType, Outcome] = field(default_factory=dict)
    """What an act comes to instead of succeeding."""
    deeds: Counter[str] = field(default_factory=Counter)
    restarts: Counter[WorkloadRef] = field(default_factory=Counter)
    injects: bool = True
    stuck: set[WorkloadRef] = field(default_factory=set)

    def add(self, facts: WorkloadFacts, version: str = "", **given: object) -> None:
        """A workload with its pods."""
        self.workloads[facts.ref] = facts
        self.pods[facts.ref] = tuple(
            pod(facts.ref, number, version or self.version, **given) for number in range(facts.replicas.desired)
        )

    def control_plane(self) -> ControlPlane:
        """The control plane as it is configured."""
        return ControlPlane("linkerd", mesh_config(self.version), "", "uid", DAWN, "", TRUST, ())

    def inventory(self) -> Inventory:
        """What there is."""
        return Inventory(
            taken_at=self.now,
            control_plane=self.control_plane(),
            ownership=Ownership(self.method, Mixture.NONE, ()),
            namespaces=dict(self.namespaces),
            workloads=dict(self.workloads),
            pods=dict(self.pods),
        )

    def observe(self, order: Order) -> StepObservation:
        """How far a step's goal is."""
        stamp = self.stamps.get(order.step, "")
        target = str(order.target)
        reached = {
            StepType.PREFLIGHT: True,
            StepType.APPLY_CRDS: self.crds == target,
            StepType.UPGRADE_CONTROL_PLANE: self.version == target,
            StepType.PRUNE: self.pruned,
        }[order.step_type]
        if not reached:
            return StepObservation(Stage.ABSENT, "Absent", f"{order.step} is not done", stamp)
        if order.step_type is StepType.UPGRADE_CONTROL_PLANE and self.settling:
            return StepObservation(Stage.SETTLING, "RollingOut", "2 of 3 Deployments are rolled out", stamp)
        return StepObservation(Stage.REACHED, "Reached", f"{order.step} is as it should be", stamp)

    def act(self, order: Order) -> Outcome:
        """Do what a step is for."""
        outcome = self.outcomes.pop(order.step_type, None)
        if outcome is not None:
            return outcome
        self.deeds[order.operation_id] += 1
        self.stamps[order.step] = order.operation_id
        match order.step_type:
            case StepType.APPLY_CRDS:
                self.crds = str(order.target)
            case StepType.UPGRADE_CONTROL_PLANE:
                self.version, self.settling = str(order.target), 2
            case _:
                self.pruned = True
        return Done(f"{order.step} was carried out")

    def restart(self, restart: Restart) -> Outcome:
        """Set a workload's marker; the controller begins to replace its pods."""
        facts = self.workloads[restart.workload]
        annotations = {**facts.template_annotations, marks.PROXY_TARGET: restart.marker}
        if annotations == facts.template_annotations:
            return Done("it was set already", changed=False)
        self.restarts[restart.workload] += 1
        self.workloads[restart.workload] = replace(
            facts,
            template_annotations=annotations,
            annotations={**facts.annotations, marks.LAST_OPERATION: restart.operation_id},
            generation=facts.generation + 1,
        )
        return Done("restarted")

    def tick(self, seconds: float = 2) -> None:
        """Time passes: controllers replace one pod of each workload that has an older template."""
        self.now += timedelta(seconds=seconds)
        self.settling = max(0, self.settling - 1)
        for ref, facts in self.workloads.items():
            if ref not in self.stuck:
                self._roll(ref, facts)

    def _roll(self, ref: WorkloadRef, facts: WorkloadFacts) -> None:
        marker = facts.template_annotations.get(marks.PROXY_TARGET, "")
        pods = list(self.pods[ref])
        for number, each in enumerate(pods):
            if each.target != marker:
                pods[number] = pod(ref, number, self.version, target=marker)
                if not self.injects:
                    pods[number] = replace(pods[number], proxy=None, proxy_ready=False)
                break
        self.pods[ref] = tuple(pods)
        updated = sum(each.target == marker for each in pods)
        count = replace(facts.replicas, updated=updated)
        self.workloads[ref] = replace(facts, replicas=count, observed_generation=facts.generation)

    def see(self, gate: GateTemplate) -> Observation:
        """What a gate sees."""
        if gate.type in self.answers:
            return self.answers[gate.type]
        match gate.type:
            case GateType.LINKERD_CHECK:
                scopes = gate.linkerd_check.scopes if gate.linkerd_check else (CheckScope.CONTROL_PLANE,)
                return tuple(healthy_check(scope) for scope in scopes)
            case GateType.VERSION_SKEW:
                proxies = self.inventory().proxies()
                return VersionsSeen((), None, tuple((Version.parse(name), pods) for name, pods in proxies.items()))
            case GateType.INJECTOR_DRY_RUN:
                probe = Injection("shop", admitted=True, proxy=self.injects, version=self.version, trust=TRUST)
                return InjectionsSeen((probe,), self.version, TRUST)
            case GateType.KUBERNETES_VERSION:
                return KubernetesSeen("v1.36.3", ">=1.31.0-0")
            case GateType.OWNERSHIP_CONFLICT:
                return Ownership(self.method, Mixture.NONE, ())
            case GateType.CERTIFICATES | GateType.CONFORMANCE:
                return Unseen("NotOnPaper", f"there is no {gate.type} on paper")


def healthy_check(scope: CheckScope, *, error: str = "") -> CheckSeen:
    """`linkerd check` of a healthy mesh, or of one with an error in its last category."""
    categories = EXPECTED[scope]
    checks = [Check(category, "is well", CheckResult.SUCCESS) for category in categories]
    if error:
        checks.append(Check(categories[-1], "is well enough", CheckResult.ERROR, error))
    return CheckSeen(scope, "edge-26.6.3", (CheckDocument(not error, categories, tuple(checks)),))


@dataclass
class PaperConductor:
    """Drives a run through a paper cluster, by the same decisions and with the same writes as the engine.

    `stored` is what the API server would have; `crash` forgets everything else.
    """

    cluster: PaperCluster
    stored: UpgradeRun
    plans: tuple[UpgradePlan, ...] = field(default_factory=shipped_plans)
    policy: UpgradePolicySpec = field(default_factory=UpgradePolicySpec)
    restarted: dict[WorkloadRef, datetime] = field(default_factory=dict)
    noticed: dict[WorkloadRef, datetime] = field(default_factory=dict)
    taken: list[acts.NextAct] = field(default_factory=list)
    logical: LogicalVersions = field(default_factory=lambda: LogicalVersions.of((), shipped()))
    superseded_by: str = ""
    lost_writes: int = 0

    def crash(self) -> None:
        """The process dies; the next one knows only the run and the cluster."""
        self.restarted.clear()
        self.noticed.clear()

    def ask_for(self, state: DesiredState) -> None:
        """A person edits spec.state."""
        spec = self.stored.spec.model_copy(update={"state": state})
        generation = self.stored.metadata.generation + (spec != self.stored.spec)
        metadata = self.stored.metadata.model_copy(update={"generation": generation})
        self.stored = self.stored.model_copy(update={"spec": spec, "metadata": metadata})

    def decide(self) -> acts.Writing | acts.Doing | acts.Resting:
        """The next act, after looking at what it wants to have seen."""
        facts = Facts(now=self.cluster.now, policy_paused=self.policy.paused, superseded_by=self.superseded_by)
        act = decide(self.stored, facts)
        while isinstance(act, acts.Look | acts.Survey):
            facts = replace(facts, seen=self._look(act))
            act = decide(self.stored, facts)
        return act

    def step(self, *, dies: str = "") -> acts.Writing | acts.Doing | acts.Resting:
        """One act; `dies` says where in it the process is killed: `before` or `after` the deed, before the write."""
        act = self.decide()
        self.taken.append(act)
        if isinstance(act, acts.Resting):
            return act
        if dies == "before":
            self.crash()
            return act
        after = self._carry_out(act)
        if dies == "after":
            self.crash()
            return act
        self.stored = after
        return act

    def finish(self, most: int = 2000) -> UpgradeRun:
        """Until it is over or stands still; time passes while it waits."""
        for _ in range(most):
            act = self.step()
            if isinstance(act, acts.Over):
                return self.stored
            if isinstance(act, acts.Wait):
                if act.until is None:
                    return self.stored
                self.cluster.tick()
        raise AssertionError(f"no end after {most} acts: {self.taken[-5:]}")

    def _look(self, act: acts.Look | acts.Survey) -> Seen:
        snapshot = self._snapshot()
        state = ledger.step_of(self.stored, act.step)
        if isinstance(act, acts.Look):
            return Seen(goal=self.cluster.observe(order_for(self.stored, snapshot, state)))
        memory = Memory(self.restarted, self.noticed, {})
        found = survey_run(self.stored, snapshot, self.cluster.inventory(), memory, state.operation_id)
        if isinstance(found, Unseen):
            return Seen(rollout=found)
        self.noticed = {ref: self.noticed.get(ref, self.cluster.now) for ref in found.timed}
        return Seen(rollout=found.rollout)

    def _carry_out(self, act: acts.Writing | acts.Doing) -> UpgradeRun:
        now = self.cluster.now
        match act:
            case acts.Plan():
                return self._plan()
            case acts.AskForPause():
                self.ask_for(DesiredState.PAUSE)
                return self.stored
            case acts.Act(name):
                return self._act(name)
            case acts.RestartSome(_, restarts):
                for each in restarts:
                    self.cluster.restart(each)
                    self.restarted[each.workload] = now
                    self.noticed.pop(each.workload, None)
                return self.stored
            case acts.Ask(name, gates, moment):
                return ledger.asked(self.stored, name, [self._ask(name, gate, moment) for gate in gates], now)
            case acts.Preview():
                return ledger.previewed(self.stored, (), now)
            case _:
                return written(act, self.stored, now)

    def _act(self, name: str) -> UpgradeRun:
        snapshot = self._snapshot()
        order = order_for(self.stored, snapshot, ledger.step_of(self.stored, name))
        outcome = self.cluster.act(order)
        if isinstance(outcome, Done):
            said = Said("Acted", outcome.message)
            return ledger.moved(self.stored, name, StepState.RUNNING, said, self.cluster.now)
        failure = StepFailure.FAILED if type(outcome).__name__ == "Refused" else StepFailure.ERROR
        said = Said(outcome.reason, outcome.message)
        act = fail(self.stored, snapshot, definition(snapshot, name), failure, said, self.cluster.now)
        return written(act, self.stored, self.cluster.now)

    def _ask(self, name: str, gate: GateTemplate, moment: Moment) -> Evidence:
        snapshot = self._snapshot()
        context = Context(
            now=self.cluster.now,
            source=Version.parse(snapshot.from_version),
            target=Version.parse(self.stored.spec.target),
            method=snapshot.install_method,
            release=snapshot.release,
            logical=self.logical,
        )
        verdict = judge(gate, self.cluster.see(gate), context)
        if moment is not Moment.BASELINE:
            baseline = baseline_of(ledger.status_of(self.stored).steps, gate.name)
            verdict = weighed(verdict, gate, definition(snapshot, name).type, baseline)
        evidence = verdict.evidence(gate, self.cluster.now)
        update = {"baseline": moment is Moment.BASELINE, "before": moment is Moment.BEFORE}
        return evidence.model_copy(update=update)

    def _plan(self) -> UpgradeRun:
        known = Knowledge(
            plans=self.plans,
            policies=(UpgradePolicy(metadata=ObjectMeta(name="default"), spec=self.policy),),
            releases=(),
            running=Version.parse(self.cluster.version),
            running_problem="",
            ownership=Ownership(self.cluster.method, Mixture.NONE, ()),
            shipped=shipped(),
            logical=self.logical,
            now=self.cluster.now,
        )
        found = plan(self.stored, known)
        if isinstance(found, Planned):
            return ledger.planned(self.stored, found.snapshot, found.steps, self.cluster.now)
        return ledger.refused(self.stored, Said(found.reason, found.message), self.cluster.now)

    def _snapshot(self) -> Snapshot:
        snapshot = ledger.status_of(self.stored).snapshot
        if snapshot is None:
            raise AssertionError("not planned")
        return snapshot


def new_run(target: str = "edge-26.6.3", **given: object) -> UpgradeRun:
    """A run as somebody would create it."""
    metadata = ObjectMeta(name="to-2.20", uid="5f1f3a52-0000-4000-8000-000000000001", generation=1)
    spec = UpgradeRunSpec.model_validate({"target": target, **given})
    return UpgradeRun(metadata=metadata, spec=spec)


def without_certificates(plans: tuple[UpgradePlan, ...]) -> tuple[UpgradePlan, ...]:
    """The plans without the gate for which paper has no certificates."""
    return tuple(_without(plan, "certificates") for plan in plans)


def _without(plan: UpgradePlan, gate: str) -> UpgradePlan:
    steps = tuple(
        step.model_copy(update={"gates": tuple(each for each in step.gates if each != gate)})
        for step in plan.spec.steps
    )
    return plan.model_copy(update={"spec": plan.spec.model_copy(update={"steps": steps})})


def shop(kinds: Mapping[str, int] | None = None, **given: object) -> PaperCluster:
    """A cluster with an opted-in namespace `shop` and a namespace `quiet` that asked for nothing."""
    cluster = PaperCluster(**given)  # type: ignore[arg-type] # a test names the fields it means
    cluster.namespaces = {"shop": namespace("shop", proxy_upgrade="Auto"), "quiet": namespace("quiet")}
    for kind, count in (kinds or {"Deployment": 3, "StatefulSet": 1, "DaemonSet": 1}).items():
        for number in range(count):
            cluster.add(workload(kind, "shop", f"{kind.lower()}-{number}"))
    cluster.add(workload("Deployment", "quiet", "bystander"))
    return cluster
