"""Where workloads stand and which are restarted next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.upgrader.core.ledger import begun, status_of
from services.upgrader.core.operations import marker
from services.upgrader.core.orders import Refused
from services.upgrader.core.rollout.progress import Recollection, Survey
from services.upgrader.core.rollout.standing import CACHE_LAG, Memory
from services.upgrader.core.rollout.surveying import foresee, survey_run
from steward.linkerd import marks
from steward.linkerd.pods import PodFacts, ProxyFacts, WorkloadRef
from steward.linkerd.workloads import Replicas, WorkloadFacts
from steward.resources.upgrade_policy import DataPlane, Selection, SelectionMode, UpgradePolicySpec, Wave, WorkloadKind
from steward.resources.upgrade_run import UpgradeRun, WorkloadState
from tests.services.upgrader.paper import (
    DAWN,
    TRUST,
    PaperCluster,
    PaperConductor,
    namespace,
    new_run,
    pod,
    shipped_plans,
    without_certificates,
    workload,
)

OLD, NEW = "edge-25.10.7", "edge-26.6.3"
WEB = WorkloadRef("Deployment", "shop", "web")


class Bench:
    """A planned run whose control plane is on the target already, and workloads to look at."""

    def __init__(self, policy: UpgradePolicySpec | None = None, **run: object) -> None:
        self.cluster = PaperCluster(version=NEW if run.get("purpose") == "RestartOnly" else OLD)
        self.cluster.namespaces = {"shop": namespace("shop", proxy_upgrade="Auto")}
        self.conductor = PaperConductor(
            self.cluster,
            new_run(**run),  # type: ignore[arg-type] # JSON of a test
            plans=without_certificates(shipped_plans()),
            policy=policy or UpgradePolicySpec(),
        )
        self.cluster.now = DAWN - timedelta(days=1)
        self.conductor.step()
        self.cluster.now = DAWN
        self.cluster.version = NEW
        self.memory = Memory({}, {}, {})
        self.recollection = Recollection()

    @property
    def marker(self) -> str:
        """What restarted templates carry."""
        return marker(self.conductor.stored)

    def add(self, facts: WorkloadFacts, version: str = OLD, **pods: object) -> None:
        self.cluster.add(facts, version, **pods)

    def look(self) -> Survey:
        status = self.conductor.stored.status
        assert status is not None
        assert status.snapshot is not None
        inventory = self.cluster.inventory()
        found = survey_run(
            begun_long_ago(self.conductor.stored),
            status.snapshot,
            inventory,
            self.memory,
            "operation",
            self.recollection,
        )
        assert isinstance(found, Survey)
        return found

    def standing(self, ref: WorkloadRef = WEB) -> str:
        """`State/Reason` of one workload; empty where it is none of the run's business, or simply proven."""
        for state, found in self.look().standing.items():
            for each, standing in found:
                if each == ref:
                    return f"{state}/{standing.reason}"
        return ""

    def next(self) -> list[str]:
        return [each.workload.name for each in self.look().rollout.restarts]


def begun_long_ago(run: UpgradeRun) -> UpgradeRun:
    """The run with an attempt at its workloads that began a day before the look."""
    names = [step.name for step in status_of(run).steps]
    return begun(run, "data-plane", DAWN - timedelta(days=1)) if "data-plane" in names else run


def marked(facts: WorkloadFacts, value: str, **given: object) -> WorkloadFacts:
    """A workload whose template carries a marker."""
    template = {**facts.template_annotations, marks.PROXY_TARGET: value}
    return replace(facts, template_annotations=template, **given)  # type: ignore[arg-type] # a test names the fields


def web(**given: object) -> WorkloadFacts:
    return workload("Deployment", "shop", "web", **given)  # type: ignore[arg-type] # a test names the fields


@pytest.mark.parametrize(
    ("on_namespace", "on_workload", "as_label", "expected"),
    [
        pytest.param({}, {}, {}, "", id="nobody asked"),
        pytest.param({"proxy_upgrade": "Auto"}, {}, {}, "Pending/Pending", id="the namespace asked"),
        pytest.param({}, {marks.PROXY_UPGRADE: "Auto"}, {}, "Pending/Pending", id="the workload asked"),
        pytest.param({}, {}, {marks.PROXY_UPGRADE: "Auto"}, "Pending/Pending", id="the workload asked by a label"),
        pytest.param({"proxy_upgrade": "Auto"}, {marks.PROXY_UPGRADE: "Disabled"}, {}, "", id="the workload wins"),
        pytest.param(
            {},
            {marks.PROXY_UPGRADE: "Disabled"},
            {marks.PROXY_UPGRADE: "Auto"},
            "",
            id="an annotation wins over a label",
        ),
        pytest.param({"proxy_upgrade": "Manual"}, {}, {}, "Held/Manual", id="by hand"),
        pytest.param({"proxy_upgrade": "auto"}, {}, {}, "Held/InvalidWish", id="a word that nobody knows"),
        pytest.param({"proxy_upgrade": "Auto", "hold": "freeze"}, {}, {}, "Held/OnHold", id="held"),
        pytest.param({"proxy_upgrade": "Auto", "hold": "freeze"}, {marks.HOLD: ""}, {}, "Pending/Pending", id="let go"),
        pytest.param(
            {"proxy_upgrade": "Auto", "hold_until": "2026-06-19T00:00:00Z"}, {}, {}, "Held/OnHold", id="held until then"
        ),
        pytest.param(
            {"proxy_upgrade": "Auto", "hold_until": "2026-06-17T00:00:00Z"}, {}, {}, "Pending/Pending", id="until now"
        ),
        pytest.param(
            {"proxy_upgrade": "Auto", "hold_until": "tomorrow"}, {}, {}, "Held/InvalidHoldUntil", id="no time stamp"
        ),
    ],
)
def test_people_decide_about_their_workloads(
    on_namespace: dict[str, str], on_workload: dict[str, str], as_label: dict[str, str], expected: str
) -> None:
    bench = Bench()
    bench.cluster.namespaces["shop"] = namespace("shop", **on_namespace)
    bench.add(web(annotations=on_workload, labels=as_label))
    assert bench.standing() == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(web(paused=True), "NoEffect/Paused", id="paused"),
        pytest.param(web(strategy="OnDelete"), "NoEffect/OnDelete", id="OnDelete"),
        pytest.param(web(partition=1), "NoEffect/Partition", id="a partition"),
        pytest.param(web(owner="Cache/web"), "Unsupported/ForeignOwner", id="a foreign owner"),
        pytest.param(web(manual_proxy=True), "Unsupported/ManualInjection", id="injected by hand"),
        pytest.param(web(template_annotations={marks.PIN_VERSION: OLD}), "Held/PinnedByUser", id="pinned"),
        pytest.param(web(template_annotations={marks.PIN_VERSION: NEW}), "Pending/Pending", id="pinned to the target"),
        pytest.param(web(deleting=True), "", id="being deleted"),
    ],
)
def test_what_cannot_be_restarted_is_reported(facts: WorkloadFacts, expected: str) -> None:
    bench = Bench()
    bench.add(facts)
    assert bench.standing() == expected
    assert bench.look().rollout.finished is (expected != "Pending/Pending")


def test_what_is_on_the_target_already_is_verified_without_a_restart() -> None:
    bench = Bench()
    bench.add(web(), NEW)
    found = bench.look().rollout
    assert (found.workloads.verified, found.restarts, found.finished) == (1, (), True)


def test_even_where_a_restart_would_have_no_effect() -> None:
    bench = Bench()
    bench.add(web(strategy="OnDelete"), NEW)
    assert bench.look().rollout.workloads.verified == 1


def test_a_workload_that_is_not_meshed_is_none_of_our_business() -> None:
    bench = Bench()
    bench.cluster.namespaces["shop"] = replace(
        namespace("shop", proxy_upgrade="Auto"), annotations={marks.PROXY_UPGRADE: "Auto"}
    )
    bench.add(web(), proxy=None, proxy_ready=False)
    assert bench.look().rollout.workloads.total == 0


def test_a_meshed_namespace_without_proxies_gets_them() -> None:
    bench = Bench()
    bench.add(web(), proxy=None, proxy_ready=False)
    assert bench.standing() == "Pending/Pending"


def test_pods_that_nothing_replaces_are_reported() -> None:
    bench = Bench()
    for kind in ("Pod", "Job", "CronJob", "ReplicaSet", "Rollout"):
        ref = WorkloadRef(kind, "shop", kind.lower())
        bench.cluster.pods[ref] = (pod(ref, 0, OLD),)
    found = bench.look()
    assert found.rollout.workloads.unsupported == 5
    assert found.rollout.finished


def test_opting_out_takes_all_but_those_who_object_and_extensions() -> None:
    policy = UpgradePolicySpec(data_plane=DataPlane(selection=Selection(mode=SelectionMode.OPT_OUT)))
    bench = Bench(policy)
    bench.cluster.namespaces["shop"] = namespace("shop")
    bench.cluster.namespaces["viz"] = replace(namespace("viz"), labels={marks.EXTENSION: "viz"})
    bench.add(web())
    bench.add(workload("Deployment", "viz", "tap"))
    bench.add(workload("Deployment", "shop", "mine", annotations={marks.PROXY_UPGRADE: "Disabled"}))
    assert bench.next() == ["web"]
    assert bench.standing(WorkloadRef("Deployment", "viz", "tap")) == "Held/Extension"


def test_kinds_that_the_policy_leaves_out_are_held() -> None:
    policy = UpgradePolicySpec(data_plane=DataPlane(selection=Selection(kinds=(WorkloadKind.STATEFUL_SET,))))
    bench = Bench(policy)
    bench.add(web())
    assert bench.standing() == "Held/KindLeftOut"


class TestRestarted:
    """A workload whose template carries this run's marker."""

    def bench(self, *pods: PodFacts, memory: Memory | None = None, **facts: object) -> Bench:
        bench = Bench()
        bench.cluster.workloads[WEB] = marked(web(**facts), bench.marker)
        bench.cluster.pods[WEB] = pods
        bench.memory = memory or Memory({}, {WEB: DAWN}, {})
        return bench

    def marker(self) -> str:
        return Bench().marker

    def test_is_verified_when_every_pod_is_proven(self) -> None:
        bench = self.bench(*(pod(WEB, number, NEW, target=self.marker()) for number in range(2)))
        assert bench.look().rollout.workloads.verified == 1

    def test_waits_while_older_pods_are_left(self) -> None:
        bench = self.bench(pod(WEB, 0, NEW, target=self.marker()), pod(WEB, 1, OLD))
        assert bench.standing() == "Restarting/Restarting"

    def test_pods_that_are_going_do_not_count(self) -> None:
        new = [pod(WEB, number, NEW, target=self.marker()) for number in range(2)]
        bench = self.bench(*new, pod(WEB, 2, OLD, deleting=True))
        assert bench.look().rollout.workloads.verified == 1

    def test_waits_for_readiness_of_pod_and_proxy(self) -> None:
        new = pod(WEB, 0, NEW, target=self.marker())
        assert self.bench(new, replace(new, ready=False)).standing() == "Restarting/Restarting"
        assert self.bench(new, replace(new, proxy_ready=False)).standing() == "Restarting/Restarting"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"proxy": None, "proxy_ready": False}, "NoProxy"),
            ({"proxy": ProxyFacts.of(f"cr.l5d.io/linkerd/proxy:{OLD}", OLD, trust=TRUST)}, "WrongProxyVersion"),
            ({"proxy": ProxyFacts.of(f"cr.l5d.io/linkerd/proxy:{NEW}", OLD, trust=TRUST)}, "AnnotationDisagrees"),
            ({"proxy": ProxyFacts.of(f"cr.l5d.io/linkerd/proxy:{NEW}", NEW, trust="b" * 64)}, "ForeignTrust"),
        ],
    )
    def test_fails_as_soon_as_a_pod_came_back_wrong(self, changes: dict[str, object], reason: str) -> None:
        bench = self.bench(replace(pod(WEB, 0, NEW, target=self.marker()), **changes), pod(WEB, 1, OLD))  # type: ignore[arg-type] # a test names the fields
        assert bench.standing() == f"Failed/{reason}"
        failure = bench.look().rollout.failure
        assert failure is not None
        assert "shop/web" in failure.message

    def test_fails_at_its_deadline_and_says_what_its_pods_say(self) -> None:
        stuck = pod(WEB, 0, NEW, target=self.marker(), ready=False, problem="ImagePullBackOff")
        bench = self.bench(stuck, pod(WEB, 1, OLD), memory=Memory({}, {WEB: DAWN - timedelta(seconds=600)}, {}))
        assert bench.standing() == "Failed/DeadlineExceeded"
        failure = bench.look().rollout.failure
        assert failure is not None
        assert "ImagePullBackOff" in failure.message

    def test_has_no_effect_when_nothing_was_replaced_until_the_deadline(self) -> None:
        memory = Memory({}, {WEB: DAWN - timedelta(seconds=600)}, {})
        bench = self.bench(pod(WEB, 0, OLD), pod(WEB, 1, OLD), memory=memory)
        assert bench.standing() == "NoEffect/NothingReplaced"

    def test_has_no_effect_when_somebody_paused_it_meanwhile(self) -> None:
        assert self.bench(pod(WEB, 0, OLD), pod(WEB, 1, OLD), paused=True).standing() == "NoEffect/Paused"

    def test_is_never_restarted_again(self) -> None:
        broken = pod(WEB, 0, NEW, target=self.marker(), proxy=None)
        assert self.bench(broken).look().rollout.restarts == ()

    def test_its_clock_begins_when_it_is_first_noticed(self) -> None:
        bench = self.bench(pod(WEB, 0, OLD), memory=Memory({}, {}, {}))
        assert bench.look().timed == (WEB,)


def test_a_marker_that_vanished_is_contested() -> None:
    bench = Bench()
    bench.add(web())
    bench.memory = Memory({WEB: DAWN - CACHE_LAG}, {}, {})
    assert bench.standing() == "Contested/MarkerVanished"


def test_a_marker_that_is_not_seen_yet_is_waited_for() -> None:
    bench = Bench()
    bench.add(web())
    bench.memory = Memory({WEB: DAWN}, {}, {})
    assert bench.standing() == "Restarting/Restarting"


def test_a_vanished_marker_is_recognised_after_a_crash_by_the_stamp_that_is_left() -> None:
    bench = Bench()
    run = bench.conductor.finish()
    assert run.status is not None
    operation = next(step.operation_id for step in run.status.steps if step.name == "data-plane")
    bench.cluster.version = NEW
    bench.add(web(annotations={marks.LAST_OPERATION: operation}))
    assert bench.standing() == "Contested/MarkerVanished"


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [(Refused("Contested", "argocd has it"), "Contested/Contested"), (Refused("Rejected", "quota"), "Failed/Rejected")],
)
def test_what_the_api_server_refused_is_remembered(refusal: Refused, expected: str) -> None:
    bench = Bench()
    bench.add(web())
    assert bench.standing() == "Pending/Pending"
    bench.memory = Memory({}, {}, {WEB: refusal})
    assert bench.standing() == expected


class TestUnhealthyBefore:
    def bench(self, noticed: timedelta | None = None, **run: object) -> Bench:
        bench = Bench(**run)  # type: ignore[arg-type] # JSON of a test
        bench.add(replace(web(), replicas=Replicas(2, 2, 1, 1, 2)), NEW if run else OLD)
        if noticed is not None:
            bench.memory = Memory({}, {WEB: DAWN - noticed}, {})
        return bench

    def test_is_waited_for_at_first(self) -> None:
        bench = self.bench()
        assert bench.standing() == "Pending/NotReady"
        assert bench.next() == []

    def test_is_left_alone_after_the_deadline_and_nobody_is_blamed(self) -> None:
        bench = self.bench(timedelta(seconds=600))
        assert bench.standing() == "Held/NotReady"
        assert bench.look().rollout.failure is None

    def test_is_restarted_by_a_repair(self) -> None:
        assert self.bench(purpose="RestartOnly").next() == ["web"]


class TestQueue:
    def test_names_are_taken_in_order_and_one_at_a_time_in_a_namespace(self) -> None:
        bench = Bench()
        for name in ("b", "a", "c"):
            bench.add(workload("Deployment", "shop", name))
        assert bench.next() == ["a"]

    def test_a_lower_order_comes_first_and_is_waited_for(self) -> None:
        bench = Bench(wave(most=5, each=5))
        bench.add(workload("Deployment", "shop", "last", annotations={marks.ORDER: "7"}))
        bench.add(workload("Deployment", "shop", "first", annotations={marks.ORDER: "-1"}))
        bench.add(workload("Deployment", "shop", "middle", annotations={marks.ORDER: "none of your business"}))
        assert bench.next() == ["first"]

    def test_a_namespace_gives_its_workloads_an_order(self) -> None:
        bench = Bench(wave(most=5, each=5))
        bench.cluster.namespaces["late"] = namespace("late", proxy_upgrade="Auto", order="1")
        bench.add(workload("Deployment", "late", "x"))
        bench.add(web())
        assert bench.next() == ["web"]

    def test_no_more_than_so_many_at_a_time(self) -> None:
        bench = Bench(wave(most=3, each=2))
        for space in ("shop", "other"):
            bench.cluster.namespaces[space] = namespace(space, proxy_upgrade="Auto")
            for name in ("a", "b", "c"):
                bench.add(workload("Deployment", space, name))
        assert len(bench.next()) == 3

    def test_those_on_their_way_take_room(self) -> None:
        bench = Bench(wave(most=2, each=2))
        for name in ("a", "b", "c"):
            bench.add(workload("Deployment", "shop", name))
        ref = WorkloadRef("Deployment", "shop", "a")
        bench.cluster.workloads[ref] = marked(bench.cluster.workloads[ref], bench.marker)
        assert bench.next() == ["b"]

    def test_nothing_more_is_restarted_once_too_many_failed(self) -> None:
        bench = Bench(wave(most=5, each=5))
        for name in ("a", "b"):
            bench.add(workload("Deployment", "shop", name))
        bench.memory = Memory({}, {}, {WorkloadRef("Deployment", "shop", "a"): Refused("Rejected", "quota")})
        found = bench.look().rollout
        assert found.restarts == ()
        assert found.failure is not None

    def test_so_many_may_fail_as_the_policy_says(self) -> None:
        bench = Bench(wave(most=5, each=5, may_fail=1))
        for name in ("a", "b"):
            bench.add(workload("Deployment", "shop", name))
        bench.memory = Memory({}, {}, {WorkloadRef("Deployment", "shop", "a"): Refused("Rejected", "quota")})
        assert bench.next() == ["b"]

    def test_a_raised_epoch_restarts_what_is_on_the_target(self) -> None:
        bench = Bench(restartEpoch=1)
        bench.add(web(), NEW)
        assert bench.next() == ["web"]

    def test_a_repair_has_a_marker_of_its_own(self) -> None:
        assert Bench(purpose="RestartOnly", target=NEW).marker != Bench(target=NEW).marker


def wave(*, most: int, each: int, may_fail: int = 0) -> UpgradePolicySpec:
    """A policy with these limits."""
    limits = Wave(max_parallel_workloads=most, max_parallel_per_namespace=each, failure_threshold=may_fail)
    return UpgradePolicySpec(data_plane=DataPlane(default_wave=limits))


def test_nothing_is_restarted_while_the_control_plane_is_not_on_the_target() -> None:
    bench = Bench()
    bench.add(web())
    bench.cluster.version = "edge-25.11.3"
    found = bench.look().rollout
    assert found.restarts == ()
    assert found.failure is not None
    assert found.failure.reason == "ControlPlaneNotOnTarget"


def test_a_preview_says_where_workloads_would_stand() -> None:
    bench = Bench()
    bench.cluster.version = OLD
    bench.add(web())
    status = bench.conductor.stored.status
    assert status is not None
    assert status.snapshot is not None
    found = foresee(bench.conductor.stored, status.snapshot, bench.cluster.inventory())
    assert isinstance(found, Survey)
    assert found.rollout.workloads.pending == 1


def test_what_is_recalled_says_the_same_as_what_is_looked_at() -> None:
    bench = Bench()
    for number in range(50):
        bench.add(workload("Deployment", "shop", f"w{number:02}"), OLD if number % 3 else NEW)
    first, second = bench.look(), bench.look()
    bench.recollection = Recollection()
    assert first.rollout == second.rollout == bench.look().rollout


def test_a_list_of_thousands_is_cut_and_the_worst_come_first() -> None:
    bench = Bench(wave(most=1000, each=1000, may_fail=1000))
    for number in range(300):
        bench.add(workload("Deployment", "shop", f"w{number:03}"))
    bad = WorkloadRef("Deployment", "shop", "w299")
    bench.memory = Memory({}, {}, {bad: Refused("Rejected", "quota")})
    listed = bench.look().rollout.workloads.listed
    assert len(listed) == 200
    assert (listed[0].name, listed[0].state) == ("w299", WorkloadState.FAILED)
