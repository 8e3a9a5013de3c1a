"""Alerting with no rights but those of deploy/: its ServiceAccount at the API server, its user at NATS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.alerting.core.delivery import Delivery
from services.alerting.edges.operator_kinds import PROMETHEUS_RULES
from services.alerting.metrics import METRICS
from services.alerting.service import serve
from services.alerting.settings import AlertingGroup, AlertingSettings, FilesSettings
from steward.bus.client import Bus
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.events.alerts import AlertFiring, AlertPolicyApplied
from steward.events.base import Event
from steward.events.subjects import subject_filter
from steward.jsonvalue import JsonObject
from steward.kube.resources import CRDS, NAMESPACES, Resource
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.access import Attempt, Rule
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from tests.deploy.deployed_nats import DeployedNats, deployed_nats
from tests.deploy.rights import ALERTING_BY_FILES, ALERTING_BY_OPERATOR, Act, granted, unused
from tests.services.alerting.running import HOME, World, world

pytestmark = pytest.mark.monitoring

ACCOUNT = "system:serviceaccount:linkerd-steward:alerting"
TOKEN = "token-of-alerting"
ALWAYS: JsonObject = {"rules": [{"name": "AlwaysSo", "expr": "vector(1)", "severity": "warning"}]}
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", "Certificate")
VIZ = "linkerd-viz"
NOT_ON_THIS_WAY = {"create events", "patch events"}
"""Events of Kubernetes, which are for what goes wrong."""


def rights(*folders: str) -> list[Rule]:
    """Those of deploy/, and the certificates of viz, which whoever has viz binds."""
    given = granted("alerting", *folders)
    viz = [replace(each, namespace=VIZ) for each in given if each.role == "linkerd-steward-alerting-certificates"]
    return [each.simulated() for each in (*given, *viz)]


@asynccontextmanager
async def serving(around: World, nats: DeployedNats, group: AlertingGroup, *folders: str) -> AsyncIterator[None]:
    """The service with its own rights; what it died of is raised."""
    rules = rights(*folders)
    settings = AlertingSettings(
        bus=nats.as_user("alerting"),
        cluster=ClusterSettings(kubeconfig=around.kubernetes.add_user(TOKEN, ACCOUNT, rules)),
        lease=LeaseSettings(duration=timedelta(seconds=2)),
        log=LogSettings(level="error"),
        alerting=group,
    )

    async def run() -> None:
        async with lent("alerting", settings, METRICS, registry=CollectorRegistry(), health=Health()) as chassis:
            await serve(chassis)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def said(nats: DeployedNats, kind: type[Event]) -> Event:
    """The first event of a kind, waited for."""
    people = await Bus.connect(nats.as_user("cli"), name="people", clock=SystemClock())
    try:
        async with asyncio.timeout(60):
            async for envelope in people.tail(subject_filter(kind.name), start=Start.ALL):
                return envelope.data
    finally:
        await people.close()
    raise AssertionError(f"nobody said {kind.name}")


def refused(around: World) -> set[Attempt]:
    return {each for each in around.kubernetes.access.attempts if not each.allowed}


def acts(around: World) -> set[Act]:
    return {Act(each.verb, each.resource, each.group, each.namespace) for each in around.kubernetes.access.attempts}


def kind(resource: Resource) -> JsonObject:
    """A definition of somebody else's kind, which takes anything."""
    schema: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names: JsonObject = {"kind": resource.kind, "plural": resource.plural, "listKind": f"{resource.kind}List"}
    return {
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {**names, "singular": resource.kind.lower()},
            "versions": [
                {"name": resource.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


async def test_by_files_it_uses_every_right_that_it_was_given_and_needs_no_other(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    async with world(monitoring_tools, tmp_path / "world") as around, deployed_nats(tmp_path) as nats:
        around.kubernetes.cluster.create(CRDS, kind(CERTIFICATES))
        async with SimulatedMesh(around.kubernetes) as mesh:
            await mesh.install("edge-26.8.3")
            extension: JsonObject = {"linkerd.io/extension": "viz"}
            around.kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": VIZ, "labels": extension}})
            around.secret("tap-k8s-tls", {"tls.crt": "not read here"}, VIZ)
            around.secret("alert-channels", {"hook": "http://127.0.0.1:9/hook"})
            around.policy("mine", ALWAYS)
            around.channel("hook", {"webhook": {"urlFrom": {"name": "alert-channels", "key": "hook"}}})
            async with serving(around, nats, around.group(), *ALERTING_BY_FILES):
                await around.policy_says("mine", "InForce", "Applied")
                await around.channel_says("hook", "Applied")
                firing = await said(nats, AlertFiring)
                assert isinstance(firing, AlertFiring)
                assert firing.alert == "AlwaysSo"
                await said(nats, AlertPolicyApplied)

                async def looked_at_viz() -> bool:
                    return any(each.resource == "apiservices" for each in acts(around))

                await eventually("look at viz", looked_at_viz)
        assert refused(around) == set()
        for role, namespace in (
            ("linkerd-steward-alerting", ""),
            ("linkerd-steward-alerting", "linkerd"),
            ("linkerd-steward-alerting-certificates", "linkerd"),
            ("linkerd-steward-alerting-channels", HOME),
            ("linkerd-steward-alerting-scrapes", ""),
        ):
            left = unused("alerting", role, namespace, acts(around)) - NOT_ON_THIS_WAY
            assert left == set(), f"{role} in {namespace or 'the whole cluster'}"


async def test_a_secret_of_another_namespace_is_read_once_its_owner_binds_the_role(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    async with world(monitoring_tools, tmp_path / "world") as around, deployed_nats(tmp_path) as nats:
        around.secret("alert-channels", {"hook": "http://127.0.0.1:9/hook"}, "shop")
        around.channel("hook", {"webhook": {"urlFrom": {"name": "alert-channels", "key": "hook"}}}, "shop")
        async with serving(around, nats, around.group(), *ALERTING_BY_FILES):
            condition = await around.channel_says("hook", "SecretForbidden", "shop")
            assert "see deploy/README.md" in condition.message
            assert {(each.verb, each.resource, each.namespace) for each in refused(around)} == {
                ("get", "secrets", "shop")
            }
            bound = Rule(("get",), resources=("secrets",), namespaces=("shop",))
            around.kubernetes.access.add(TOKEN, ACCOUNT, [*rights(*ALERTING_BY_FILES), bound])
            await around.channel_says("hook", "Applied", "shop")


async def test_by_objects_of_the_operator_it_needs_no_other_right(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    async with world(monitoring_tools, tmp_path / "world") as around, deployed_nats(tmp_path) as nats:
        around.kubernetes.cluster.create(CRDS, kind(PROMETHEUS_RULES))
        around.policy("mine", ALWAYS)
        group = around.group().model_copy(update={"delivery": Delivery.OPERATOR, "files": FilesSettings()})
        async with serving(around, nats, group, *ALERTING_BY_OPERATOR):
            # Nobody carries the object to Prometheus here, so it is made and not in force.
            await around.policy_says("mine", "InForce", "NotLoadedYet")
            await said(nats, AlertPolicyApplied)
        assert refused(around) == set()
