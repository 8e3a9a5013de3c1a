"""The service as a whole: one run from the object to its events."""

from datetime import UTC, datetime, timedelta

from services.conformance.core.ledger import DEPLOYED, EXERCISED, reason_of, status_of
from services.conformance.core.probe import Probe
from services.conformance.core.safety import namespace_name
from services.conformance.core.stage import Need
from steward.bus.streams import EVIDENCE
from steward.conformance.results import Safety, Tier, Verdict
from steward.events.conformance import (
    ConformanceFailed,
    ConformanceOutcome,
    ConformanceRecovered,
    ConformanceRunFinished,
)
from steward.jsonvalue import JsonObject, text, texts
from steward.kube.resources import CONFIG_MAPS, CONFORMANCE_RUNS, CONFORMANCE_SUITES, DEPLOYMENTS, NAMESPACES, PODS
from steward.resources.base import ConditionStatus, condition_of
from steward.resources.conformance_run import ConformanceRun, RunPhase
from steward.resources.conformance_suite import ConformanceSuite
from steward.testing.kubernetes.faults import Delay
from tests.services.conformance.engine.pieces import applying, bringing, controlled, held, probe
from tests.services.conformance.engine.running import World, over, verdicts, world

FAST = [{"tier": "Foundation", "intervalSeconds": 10}]


def lines(run: ConformanceRun, verdict: Verdict) -> set[str]:
    return {each.feature for each in status_of(run).features if each.verdict is verdict}


async def test_a_run_goes_through_its_probes_once_and_leaves_nothing_behind() -> None:
    async with world(probe("mtls.identity"), probe("proto.http1")) as around:
        around.create_run()
        async with around.running() as replica:
            run = await around.until(over)
            events = await around.told(ConformanceRunFinished.name)
            assert replica.sample("feature_results_total", feature="proto.http1", verdict="Passed") == 1
            assert replica.sample("feature_status", feature="proto.http1") == 1
        assert status_of(run).phase is RunPhase.COMPLETED
        assert status_of(run).outcome is ConformanceOutcome.PASSED
        assert status_of(run).cluster.linkerd_version == "edge-26.6.3"
        assert verdicts(run) == {"mtls.identity": "Passed", "proto.http1": "Passed"}
        assert around.namespaces() == []
        assert {each.id for each in await around.results()} == {
            f"{run.metadata.uid}/mtls.identity/0",
            f"{run.metadata.uid}/proto.http1/0",
        }
        (finished,) = events
        assert isinstance(finished.data, ConformanceRunFinished)
        assert finished.data.summary.passed == 2
        assert finished.data.report == status_of(run).report != ""


async def test_what_is_broken_is_tried_again_explained_and_what_rests_on_it_is_skipped() -> None:
    async with world(probe("mtls.identity"), probe("proto.http1"), probe("lb.spread")) as around:
        around.agents.broken.add("/mtls.identity")
        around.create_run()
        async with around.running():
            run = await around.until(over)
            (finished,) = await around.told(ConformanceRunFinished.name)
        assert verdicts(run) == {"mtls.identity": "Failed", "proto.http1": "Skipped", "lb.spread": "Skipped"}
        assert status_of(run).outcome is ConformanceOutcome.FAILED
        assert isinstance(finished.data, ConformanceRunFinished)
        (finding,) = finished.data.findings
        assert finding.features == ("mtls.identity", "lb.spread", "proto.http1")
        results = {each.feature: each for each in await around.results()}
        assert len(results["mtls.identity"].attempts) == 3
        assert {each.because for each in results.values()} == {"", "mtls.identity"}
        async with around.bus() as bus:
            stored = await bus.objects.get(results["mtls.identity"].evidence)
            page = await bus.objects.get(status_of(run).report)
        assert b'"status": 503' in stored
        assert b"mtls.identity" in page
        assert EVIDENCE.bucket == "steward-evidence"


async def test_a_pass_after_a_retry_is_flaky_and_keeps_every_attempt() -> None:
    async with world(probe("proto.http1")) as around:
        around.agents.fails = lambda path: around.agents.calls[path] == 1
        around.create_run()
        async with around.running():
            run = await around.until(over)
        (result,) = await around.results()
        assert [each.verdict for each in result.attempts] == [Verdict.FAILED, Verdict.PASSED]
        assert result.verdict is Verdict.FLAKY
        assert status_of(run).outcome is ConformanceOutcome.PASSED


async def test_a_broken_control_makes_its_whole_group_inconclusive() -> None:
    probes = (controlled("authz.server", "/control"), probe("authz.route"), probe("proto.http1"))
    async with world(*probes) as around:
        around.agents.broken |= {"/control", "/authz.route"}
        around.create_run()
        async with around.running():
            run = await around.until(over)
        assert lines(run, Verdict.INCONCLUSIVE) == {"authz.server", "authz.route"}
        assert lines(run, Verdict.PASSED) == {"proto.http1"}
        assert status_of(run).outcome is ConformanceOutcome.INCONCLUSIVE


async def test_a_control_that_holds_when_it_is_tried_again_is_believed() -> None:
    async with world(controlled("authz.server", "/control")) as around:
        around.agents.fails = lambda path: path == "/control" and around.agents.calls[path] == 1
        around.create_run()
        async with around.running():
            run = await around.until(over)
        assert lines(run, Verdict.PASSED) == {"authz.server"}


async def test_what_the_mesh_does_not_have_is_not_a_failure() -> None:
    probes = (
        probe("proto.http1"),
        probe("obs.viz.stat", needs=(Need.VIZ,)),
        probe("future.thing", since="9.0"),
        probe("life.storm", extra_pods=40),
    )
    async with world(*probes) as around:
        around.create_run()
        async with around.running():
            run = await around.until(over)
        assert lines(run, Verdict.NOT_APPLICABLE) == {"obs.viz.stat"}
        assert lines(run, Verdict.UNSUPPORTED) == {"future.thing"}
        (large,) = [each for each in await around.results() if each.feature == "life.storm"]
        assert large.reason == "NoRoom"


async def test_a_suite_chooses_and_says_what_we_think_of_it() -> None:
    bold = probe("chg.cp-outage", tier=Tier.DISRUPTIVE, safety=Safety.DISRUPTIVE)
    async with world(probe("proto.http1"), probe("mtls.identity"), bold) as around:
        around.create_suite("small", include=["proto", "no.such"])
        around.create_run(suiteRef={"name": "small"})
        around.create_run("none", suiteRef={"name": "missing"})
        async with around.running():
            run = await around.until(over)
            waiting = await around.until(lambda each: reason_of(each, "Complete") == "NoSuite", "none")
        assert verdicts(run) == {"proto.http1": "Passed"}
        assert status_of(waiting).phase is RunPhase.PENDING
        suite = ConformanceSuite.of(around.kubernetes.cluster.get(CONFORMANCE_SUITES, "small"))
        assert suite.status is not None
        assert suite.status.features == 1
        assert suite.status.conditions[0].reason == "UnknownFeatures"


async def test_objects_of_probes_are_gone_when_they_end_also_those_of_an_earlier_life() -> None:
    async with world(applying("route.path", "mine")) as around:
        around.agents.gate.clear()
        around.create_run(pace="Continuous")
        replica = around.start()
        await around.written(lambda: bool(_config_maps(around)))
        # As a process that is killed would leave it: the object stays, and nobody knows whose it is.
        (left,) = _config_maps(around)
        await replica.stop()
        again: JsonObject = {"metadata": {"name": "left", "namespace": left[0], "labels": left[2]}}
        around.kubernetes.cluster.create(CONFIG_MAPS, again, left[0])
        around.agents.gate.set()
        async with around.running():
            await around.until(lambda each: "Passed" in verdicts(each).values())
            await around.written(lambda: not _config_maps(around))
            around.wish("mine", "Stop")
            run = await around.until(over)
        assert status_of(run).outcome is ConformanceOutcome.PASSED


def _config_maps(around: World) -> list[tuple[str, str, JsonObject]]:
    found = around.kubernetes.cluster.list(CONFIG_MAPS)
    return [
        (text(each, "metadata", "namespace"), text(each, "metadata", "name"), dict(texts(each, "metadata", "labels")))
        for each in found
        if text(each, "metadata", "namespace").startswith("steward-probes-")
    ]


async def test_a_person_pauses_goes_on_and_stops() -> None:
    async with world(probe("proto.http1"), probe("lb.spread")) as around:
        around.agents.gate.clear()
        around.create_run()
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            around.wish("mine", "Pause")
            await around.until(lambda each: status_of(each).phase is RunPhase.PAUSED)
            assert len(around.namespaces()) == 2
            around.wish("mine", "Run")
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            around.wish("mine", "Stop")
            run = await around.until(over)
        assert status_of(run).phase is RunPhase.ABORTED
        assert status_of(run).outcome is ConformanceOutcome.ABORTED
        assert around.namespaces() == []


async def test_without_agents_nothing_is_said_of_the_mesh() -> None:
    async with world(probe("proto.http1")) as around:
        around.agents.silent = True
        around.create_run()
        async with around.running():
            await around.until(lambda each: "no agent" in str(status_of(each).conditions))
            around.wish("mine", "Stop")
            run = await around.until(over)
        assert reason_of(run, EXERCISED) == "StoppedByPerson"
        assert around.namespaces() == []


async def test_a_node_whose_client_does_not_come_up_keeps_no_run_from_beginning() -> None:
    async with world(probe("mtls.identity")) as around:
        around.tempo = around.tempo.model_copy(update={"deploy": timedelta(seconds=1)})
        around.create_suite(nodeNames=["node-1", "node-9"], footprint={"maxPods": 14})
        around.create_run()
        async with around.running():
            run = await around.until(over)
        assert verdicts(run) == {"mtls.identity": "Passed"}
        deployed = condition_of(status_of(run).conditions, DEPLOYED)
        assert deployed is not None
        assert (deployed.status, deployed.reason) == (ConditionStatus.TRUE, "NodesMissing")
        assert "cm-node-1: 0 of 1 ready" in deployed.message
        assert "cm-node-0" not in deployed.message


async def test_a_run_without_a_mesh_is_refused_with_the_reason() -> None:
    async with world(probe("proto.http1")) as around:
        around.kubernetes.cluster.remove(
            around.kubernetes.cluster.kinds.of(CONFIG_MAPS),
            around.kubernetes.cluster.get(CONFIG_MAPS, "linkerd-config", "linkerd"),
        )
        around.create_run()
        async with around.running():
            run = await around.until(over)
        assert status_of(run).outcome is ConformanceOutcome.INCONCLUSIVE
        assert status_of(run).phase is RunPhase.FAILED
        assert "linkerd-config" in str(status_of(run).conditions)


async def test_a_namespace_of_somebody_else_is_never_taken() -> None:
    async with world(probe("proto.http1")) as around:
        around.create_run()
        uid = text(around.kubernetes.cluster.get(CONFORMANCE_RUNS, "mine"), "metadata", "uid")
        name = namespace_name("steward-probes", uid, "mesh")
        around.kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": name}})
        async with around.running():
            run = await around.until(over)
        assert reason_of(run, EXERCISED) == "NamespaceTaken"
        assert around.namespaces() == [name]


async def test_the_cast_is_small_confined_and_comes_back_when_deleted() -> None:
    async with world(probe("proto.http1")) as around:
        around.agents.gate.clear()
        around.create_run()
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            pods = [
                each
                for each in around.kubernetes.cluster.list(PODS)
                if text(each, "metadata", "namespace").startswith("steward-probes-")
            ]
            around.agents.gate.set()
            await around.until(over)
        assert len(pods) == 10
        meshed = [each for each in pods if text(each, "metadata", "namespace").endswith("-mesh")]
        assert len(meshed) == 8
        for pod in meshed:
            notes = texts(pod, "metadata", "annotations")
            assert notes["config.linkerd.io/skip-outbound-ports"] == str(around.nats.port)


async def test_a_feature_fails_and_recovers_and_each_is_told_once() -> None:
    async with world(probe("proto.http1"), probe("authz.server", security=True)) as around:
        around.create_suite(
            schedule=FAST,
            jitterPercent=0,
            confirmation={"inlineRetries": 0, "consecutive": 1},
            include=["proto", "authz"],
        )
        around.agents.broken.add("/proto.http1")
        around.create_run(pace="Continuous")
        async with around.running():
            events = await around.told(ConformanceFailed.name)
            around.agents.broken.clear()
            around.create_run("again")
            await around.until(over, "again")
            await around.told(ConformanceRecovered.name)
            around.wish("mine", "Stop")
            await around.until(over)
        # Another process finds nothing more to say.
        async with around.running() as replica:
            await around.until(over)
            around.create_run("third")
            await around.until(over, "third")
            assert replica.sample("events_waiting") == 0
        (failed,) = events
        assert isinstance(failed.data, ConformanceFailed)
        assert failed.data.feature == "proto.http1"
        told = [each for each in await around.events() if each.data.name != ConformanceRunFinished.name]
        assert [each.data.name for each in told] == ["conformance-failed", "conformance-recovered"]


async def test_a_quarantined_feature_still_runs_and_wakes_nobody() -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # noqa: TID251 - the service has the system's clock
    quarantine = [{"feature": "proto", "owner": "me", "reason": "known", "until": until}]
    async with world(probe("proto.http1")) as around:
        around.create_suite(quarantine=quarantine, confirmation={"inlineRetries": 0, "consecutive": 1})
        around.agents.broken.add("/proto.http1")
        around.create_run()
        async with around.running():
            run = await around.until(over)
            await around.told(ConformanceRunFinished.name)
        assert verdicts(run) == {"proto.http1": "Failed"}
        assert status_of(run).outcome is not ConformanceOutcome.FAILED
        assert [each.data.name for each in await around.events()] == [ConformanceRunFinished.name]


async def test_what_was_opened_in_one_cycle_is_judged_in_the_next_or_at_the_end() -> None:
    async with world(held("soak.longconn")) as around:
        around.create_run(pace="Continuous")
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            while not around.agents.held:
                await around.clock.sleep(timedelta(milliseconds=10))
            around.wish("mine", "Stop")
            run = await around.until(over)
        assert verdicts(run) == {"soak.longconn": "Passed"}
        assert around.agents.held == {}


async def test_runs_that_go_through_once_take_turns() -> None:
    async with world(probe("proto.http1")) as around:
        around.agents.gate.clear()
        around.create_run("a")
        around.create_run("b")
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING, "a")
            await around.until(lambda each: reason_of(each, "Complete") == "Queued", "b")
            around.agents.gate.set()
            await around.until(over, "a")
            await around.until(over, "b")


async def test_a_probe_that_must_be_alone_is() -> None:
    probes: tuple[Probe, ...] = tuple(probe(f"lb.n{number}") for number in range(6))
    async with world(*probes, probe("lb.alone", alone=True)) as around:
        around.create_run()
        around.agents.gate.clear()
        seen: list[int] = []

        def note(path: str) -> bool:
            if path == "/lb.alone":
                seen.append(around.agents.at_once)
            return False

        around.agents.fails = note
        async with around.running():
            while around.agents.at_once < 4:
                await around.clock.sleep(timedelta(milliseconds=10))
            around.agents.gate.set()
            await around.until(over)
        assert seen == [1]
        assert around.agents.most_at_once == 4


async def test_nobody_brings_pods_before_those_of_another_are_gone() -> None:
    async with world(bringing("lb.first", "first-brought"), bringing("lb.second", "second-brought")) as around:
        asked = around.kubernetes.faults.add(Delay(timedelta()), method="GET", path="/pods/first-brought", times=None)
        there: list[bool] = []

        def note(path: str) -> bool:
            if path == "/lb.second":
                there.append(around.kubernetes.cluster.find(PODS, "first-brought", meshed) is not None)
            return False

        around.agents.fails = note
        around.create_run()
        meshed = namespace_name("steward-probes", around.run().metadata.uid, "mesh")
        async with around.running():
            while asked.hits < 3:
                await around.clock.sleep(timedelta(milliseconds=10))
            assert there == []
            around.let_go("first-brought", meshed)
            await around.written(lambda: around.kubernetes.cluster.find(PODS, "second-brought", meshed) is not None)
            around.let_go("second-brought", meshed)
            run = await around.until(over)
        assert there == [False]
        assert verdicts(run) == {"lb.first": "Passed", "lb.second": "Passed"}


async def test_workloads_of_the_cast_are_put_back() -> None:
    async with world(probe("proto.http1")) as around:
        around.create_run(pace="Continuous")
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            names = {text(each, "metadata", "name") for each in around.kubernetes.cluster.list(DEPLOYMENTS)}
            around.wish("mine", "Stop")
            await around.until(over)
        assert {"cm", "cn", "v1", "v2", "sp", "cu", "su"} <= names
