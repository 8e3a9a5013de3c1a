"""Upgrader and conformance together: a gate exercises the mesh before the control plane is upgraded and after it.

Both services are the real ones in one process, NATS is real, and so is every call that a probe makes; Kubernetes, the
control plane and the proxies are simulated. The suite is not the default one, which would answer each step besides.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from services.conformance.metrics import METRICS
from services.conformance.service import serve
from services.conformance.settings import ConformanceGroup, ConformanceSettings
from services.upgrader.core.narrative import narrate
from steward.bus.settings import BusSettings
from steward.events.upgrades import GateResult, UpgradeFinished, UpgradePaused, UpgradeStepDone, UpgradeStepFailed
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import (
    CONFORMANCE_RUNS,
    CONFORMANCE_SUITES,
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    UPGRADE_PLANS,
)
from steward.linkerd import marks
from steward.resources import KINDS
from steward.resources.conformance_run import ConformanceRun, ConformanceRunStatus
from steward.resources.definitions import definition
from steward.resources.upgrade_run import Phase, UpgradeRun, UpgradeRunStatus
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.command import Command
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.proxy.inbound_faults import FORGED_CLIENT_ID_KEPT
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.nats import NatsServer
from tests.services.conformance.engine.running import TEMPO
from tests.services.conformance.simulated.theatre import IMAGE, container_of
from tests.services.upgrader.running import CLUSTER, World
from tests.services.upgrader.running import TEMPO as TEMPO_OF_UPGRADER

OLD, NEW = "edge-26.6.3", "edge-26.8.3"
BROKEN, CODE, CAUSE = "mtls.antispoof", "HEADER_TRUSTED", "The server's proxy lets a claimed identity through."
# A gate that says no is asked again for a while: here, for no longer than one exercise takes.
UPGRADER_TEMPO = TEMPO_OF_UPGRADER.model_copy(update={"gate_patience": timedelta(seconds=1)})
SUITE: JsonObject = {
    "metadata": {"name": "gate"},
    "spec": {"include": ["mtls.identity", BROKEN, "proto.http1"], "confirmation": {"inlineRetries": 1}},
}
PLAN = """
metadata: {name: with-a-gate}
spec:
  from: {range: ">=26.6.3", logicalVersions: ["2.20"]}
  to: {range: ">=26.6.3", logicalVersion: "2.20"}
  gateTemplates:
  - name: features
    type: Conformance
    conformance: {suite: gate, timeoutSeconds: 120}
  steps:
  - {name: preflight, type: Preflight}
  - {name: control-plane, type: UpgradeControlPlane, dependsOn: [preflight], gates: [features], retry: {limit: 0}}
  - {name: data-plane, type: RestartWorkloads, dependsOn: [control-plane]}
"""


@dataclass
class Stage:
    """Everything around the two services, and the upgrader's own world."""

    plane: SimulatedDataPlane
    upgrader: World

    def conformance_runs(self) -> list[tuple[ConformanceRun, ConformanceRunStatus]]:
        """The runs that were asked for, with their statuses."""
        found = [ConformanceRun.of(each) for each in self.upgrader.kubernetes.cluster.list(CONFORMANCE_RUNS)]
        return sorted(
            ((run, run.status or ConformanceRunStatus()) for run in found),
            key=lambda each: str(each[1].started_at),
        )

    def namespaces_of_probes(self) -> list[str]:
        """What is there of the probes."""
        names = [text(each, "metadata", "name") for each in self.upgrader.kubernetes.cluster.list(NAMESPACES)]
        return [name for name in names if name.startswith("steward-probes-")]

    def break_with(self, version: str) -> None:
        """From the moment in which the control plane is of that version, claimed identities are believed."""

        def look(_: object) -> None:
            found = self.upgrader.kubernetes.cluster.find(DEPLOYMENTS, "linkerd-destination", "linkerd")
            if version in str(found):
                self.plane.faults.switch_on(FORGED_CLIENT_ID_KEPT)

        self.upgrader.kubernetes.on_write(look)

    async def conformance(self) -> None:
        """The service, as its process serves it."""
        bus = BusSettings(servers=(self.upgrader.nats.url,), cluster=CLUSTER, drain_deadline=timedelta(seconds=1))
        settings = ConformanceSettings(
            bus=bus,
            cluster=ClusterSettings(kubeconfig=self.upgrader.kubernetes.kubeconfig()),
            lease=LeaseSettings(duration=timedelta(seconds=10)),
            log=LogSettings(level="error"),
            conformance=ConformanceGroup(
                identity="one",
                image=IMAGE,
                direct=True,
                tempo=TEMPO.model_copy(update={"deploy": timedelta(seconds=60)}),
            ),
        )
        async with lent("conformance", settings, METRICS, registry=CollectorRegistry(), health=Health()) as chassis:
            await serve(chassis)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Both services for the length of a block; what either died of is raised."""
        task = asyncio.create_task(self.conformance())
        try:
            async with self.upgrader.running():
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def until(self, holds: Callable[[UpgradeRunStatus], bool]) -> UpgradeRun:
        """Wait until the upgrade is as `holds` says, or has failed for another reason."""
        return await self.upgrader.until(lambda run: run.status is not None and holds(run.status))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A mesh of the old version with a data plane, a workload that asks for new proxies, and a plan with a gate."""
    async with FakeKubernetes() as kubernetes, NatsServer() as nats, SimulatedMesh(kubernetes) as mesh:
        bus = BusSettings(servers=(nats.url,), cluster=CLUSTER)
        for kind in KINDS:
            kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(definition(kind))))
        images = {IMAGE: container_of(bus, folder, lambda: plane)}
        plane = SimulatedDataPlane(mesh, images=images, zones=("a", "b"))
        async with plane:
            kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
            await mesh.install(OLD)
            mesh.namespace("shop", annotations={marks.PROXY_UPGRADE: "Auto"})
            mesh.workload("Deployment", "shop", "web")
            await plane.settled()
            kubernetes.cluster.create(UPGRADE_PLANS, yaml.safe_load(PLAN))
            kubernetes.cluster.create(CONFORMANCE_SUITES, SUITE)
            world = World(kubernetes, mesh, nats, folder, UPGRADER_TEMPO)
            world.policy()
            world.create_run("to-the-new", target=NEW)
            yield Stage(plane, world)


async def test_an_upgrade_that_breaks_no_feature_passes_its_gate(tmp_path: Path) -> None:
    async with stage(tmp_path) as around:
        async with around.serving():
            run = await around.until(lambda status: status.finished_at is not None)
            events = await around.upgrader.told(UpgradeFinished.name)
        assert run.status is not None
        assert run.status.phase is Phase.SUCCEEDED, narrate(run)
        assert [(found.spec.operation_id != "", status.outcome) for found, status in around.conformance_runs()] == [
            (True, "Passed"),
            (True, "Passed"),
        ]
        (done,) = [
            each.data for each in events if isinstance(each.data, UpgradeStepDone) and each.data.step == "control-plane"
        ]
        assert [(each.gate, each.result) for each in done.gates if each.gate == "features"] == [
            ("features", GateResult.PASSED)
        ]
        assert around.upgrader.versions("shop") == {NEW: 1}
        assert around.namespaces_of_probes() == []


async def test_an_upgrade_whose_new_version_breaks_a_feature_is_paused_and_everything_says_why(tmp_path: Path) -> None:
    async with stage(tmp_path) as around:
        around.break_with(NEW)
        async with around.serving():
            run = await around.until(lambda status: status.phase is Phase.PAUSED or status.finished_at is not None)
            events = [each.data for each in await around.upgrader.told(UpgradePaused.name)]
        assert run.status is not None
        assert run.status.phase is Phase.PAUSED, narrate(run)

        # The gate saw it work before, and not after; nothing of the data plane moved.
        (step,) = [each for each in run.status.steps if each.name == "control-plane"]
        evidence = [each for each in step.evidence if each.gate == "features"]
        assert [(each.baseline, each.result) for each in evidence][-1] == (False, GateResult.FAILED)
        assert [status.outcome for _, status in around.conformance_runs()] == ["Passed", "Failed"]
        assert around.upgrader.versions("shop") == {OLD: 1}

        # The status of the run, and the events.
        assert said_of(evidence[-1].message)
        assert any(said_of(each.message) for each in run.status.conditions), run.status.conditions
        (failed,) = [each for each in events if isinstance(each, UpgradeStepFailed)]
        (paused,) = [each for each in events if isinstance(each, UpgradePaused)]
        assert any(said_of(each.message) for each in failed.gates if each.result is GateResult.FAILED)
        assert said_of(paused.message), paused.message

        # What people ask for.
        command = Command(
            tmp_path,
            {"KUBECONFIG": str(around.upgrader.kubernetes.kubeconfig()), "STEWARD_NATS": around.upgrader.nats.url},
        )
        shown = await command("upgrade", "status", COLUMNS="400")
        assert said_of(shown.out), shown.out
        (broken,) = [found for found, status in around.conformance_runs() if status.outcome == "Failed"]
        page = tmp_path / "conformance.html"
        report = await command("conformance", "report", broken.metadata.name, "--file", str(page))
        assert report.code == 1, report.err
        assert said_of(unescape(page.read_text()))
        assert CODE in page.read_text()
        assert around.namespaces_of_probes() == []


def said_of(message: str) -> bool:
    """Whether the feature and its cause are named."""
    return BROKEN in message and CAUSE in message
