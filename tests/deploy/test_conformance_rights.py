"""Conformance with no rights but those of deploy/: its ServiceAccount at the API server, its users at NATS."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.conformance.core.probe import Probe
from services.conformance.core.probes import PROBES
from services.conformance.core.probes.viz import TAPPED
from services.conformance.core.steps import Applied, Removed
from services.conformance.edges.kinds import PROBED
from services.conformance.metrics import METRICS
from services.conformance.service import serve
from services.conformance.settings import AgentSettings, ConformanceGroup, ConformanceSettings
from steward.clock import SystemClock
from steward.conformance.results import Safety
from steward.jsonvalue import Json, JsonObject, text
from steward.kube.resources import CONFORMANCE_RUNS, CONFORMANCE_SUITES, CRDS, NAMESPACES
from steward.resources import KINDS
from steward.resources.conformance_run import ConformanceRun, ConformanceRunStatus, RunPhase
from steward.resources.definitions import definition
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.viz.extension import SimulatedViz
from tests.deploy.deployed_nats import DeployedNats, deployed_nats, password
from tests.deploy.rights import granted
from tests.services.conformance.core.probes.test_laws import of
from tests.services.conformance.core.seen import STAGE
from tests.services.conformance.engine.running import TEMPO
from tests.services.conformance.simulated.theatre import IMAGE, container_of

PATIENCE = 120.0
FEATURES = (
    "cp.dst-consistency",
    "cp.ready",
    "cp.webhook",
    "mtls.anchor-drift",
    "mtls.identity",
    "mtls.issuer",
    "ingress.header",
    "inj.every-node",
    "inj.levels",
    "proto.http1",
    "failfast.unreachable",
    "topo.zone-hints",
    "route.path",
    "sp.routes",
    "authz.network",
    "authz.legacy-serverauthorization",
    "ratelimit.identity",
    "egress.deny",
    "obs.accesslog",
    "obs.cp-metrics",
    "obs.policy-status",
    "exp.external-workload",
    "obs.viz.tap",
    "obs.trace",
    "life.shutdown",
    "chg.node-drain",
)
"""Between them they touch every kind of object that a probe reads or makes."""


def _settings(kubernetes: FakeKubernetes, nats: DeployedNats) -> ConformanceSettings:
    user = "system:serviceaccount:linkerd-steward:conformance"
    rules = [each.simulated() for each in granted("conformance", "conformance", "conformance-logs")]
    return ConformanceSettings(
        bus=nats.as_user("conformance"),
        cluster=ClusterSettings(kubeconfig=kubernetes.add_user("token-of-conformance", user, rules)),
        lease=LeaseSettings(duration=timedelta(seconds=10)),
        log=LogSettings(level="error"),
        conformance=ConformanceGroup(
            identity="one",
            image=IMAGE,
            direct=True,
            agents=AgentSettings.model_validate({"user": "exerciser", "password": password("exerciser")}),
            tempo=TEMPO.model_copy(update={"deploy": timedelta(seconds=60)}),
        ),
    )


async def _served(settings: ConformanceSettings) -> None:
    async with lent("conformance", settings, METRICS, registry=CollectorRegistry(), health=Health()) as chassis:
        await serve(chassis)


def _status(kubernetes: FakeKubernetes) -> ConformanceRunStatus:
    (found,) = kubernetes.cluster.list(CONFORMANCE_RUNS)
    return ConformanceRun.of(found).status or ConformanceRunStatus()


async def test_a_run_needs_no_right_that_conformance_was_not_given(tmp_path: Path) -> None:
    async with deployed_nats(tmp_path) as nats, FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh:
        for kind in KINDS:
            kubernetes.cluster.create(CRDS, definition(kind))
        images = {IMAGE: container_of(nats.as_user("exerciser"), tmp_path, lambda: plane)}
        plane = SimulatedDataPlane(mesh, images=images, zones=("a", "b"))
        async with plane, AsyncExitStack() as stack:
            kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
            await mesh.install("edge-26.8.3")
            await plane.settled()
            await stack.enter_async_context(SimulatedViz(plane))
            suite: JsonObject = {"allow": list(Safety), "footprint": {"maxPods": 20}}
            kubernetes.cluster.create(CONFORMANCE_SUITES, {"metadata": {"name": "default"}, "spec": suite})
            only: list[Json] = list(FEATURES)
            run: JsonObject = {"metadata": {"name": "rightful"}, "spec": {"only": only}}
            kubernetes.cluster.create(CONFORMANCE_RUNS, run)
            serving = asyncio.create_task(_served(_settings(kubernetes, nats)))
            async with asyncio.timeout(PATIENCE):
                while _status(kubernetes).phase is not RunPhase.COMPLETED and not serving.done():
                    await SystemClock().sleep(timedelta(milliseconds=50))
            serving.cancel()
            await asyncio.wait([serving])
            status = _status(kubernetes)
            assert {*FEATURES} <= {each.feature for each in status.features}
            unwell = [f"{each.feature}: {each.message}" for each in status.features if each.verdict != "Passed"]
            assert unwell == []
            assert status.outcome == "Passed"
            left = [text(each, "metadata", "name") for each in kubernetes.cluster.list(NAMESPACES)]
            assert [name for name in left if name.startswith("steward-probes")] == []


def test_nobody_is_tapped_but_the_deployment_that_a_probe_brings_for_it() -> None:
    (rule,) = [each for each in granted("conformance") if "tap.linkerd.io" in each.groups]
    assert (rule.verbs, rule.resources, rule.names) == (("watch",), ("deployments/tap",), (TAPPED,))


def _applied(probe: Probe) -> set[tuple[str, str]]:
    """Group and kind of what a probe makes for good; what is only tried is another matter."""
    objects = list(probe.objects(STAGE)) if probe.objects is not None else []
    objects += [thing for step in of(probe) if isinstance(step, Applied | Removed) for thing in step.objects]
    return {(text(thing, "apiVersion").rpartition("/")[0], text(thing, "kind")) for thing in objects}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_whatever_a_probe_applies_may_be_made_and_changed_and_removed_and_is_found_when_it_was_left_over(
    probe: Probe,
) -> None:
    rules = granted("conformance", "conformance")
    kinds = {(each.group, each.kind): each for each in PROBED}
    for group, kind in sorted(_applied(probe)):
        resource = kinds[group, kind]
        verbs = {
            verb
            for rule in rules
            if not rule.names and group in rule.groups and resource.plural in rule.resources
            for verb in rule.verbs
        }
        assert {"list", "create", "patch", "delete"} <= verbs, f"{probe.id}: {kind}"
