"""The command line against a real API server: what a simulated one might forgive."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.client import Kube
from steward.kube.resources import CRDS, UPGRADE_POLICIES, UPGRADE_RUNS
from steward.resources import KINDS
from steward.resources.definitions import definition
from steward.testing.cluster.control_plane import Cluster
from steward.testing.command import Command


@pytest.fixture
async def kube(scenario_cluster: Cluster) -> AsyncIterator[Kube]:
    """The cluster with Steward's definitions and a policy that has a candidate."""
    async with await Kube.connect(kubeconfig=scenario_cluster.kubeconfig, clock=SystemClock()) as connected:
        for kind in KINDS:
            name = text(definition(kind), "metadata", "name")
            if await connected.find(CRDS, name) is None:
                await connected.create(CRDS, definition(kind))
            while not _established(await connected.get(CRDS, name)):
                pass
        policy: JsonObject = {"metadata": {"name": "default"}, "spec": {"mode": "Manual"}}
        await connected.apply(UPGRADE_POLICIES, policy)
        candidate: JsonObject = {"status": {"candidate": "edge-26.8.3"}}
        await connected.merge(UPGRADE_POLICIES, "default", candidate, subresource="status")
        yield connected
        for run in (await connected.list(UPGRADE_RUNS)).items:
            await connected.delete(UPGRADE_RUNS, text(run, "metadata", "name"))


@pytest.fixture
def cli(tmp_path: Path, scenario_cluster: Cluster) -> Command:
    """The command, pointed at the cluster."""
    return Command(tmp_path, {"KUBECONFIG": str(scenario_cluster.kubeconfig)})


async def test_a_run_is_begun_followed_paused_and_aborted(cli: Command, kube: Kube) -> None:
    async def refuse() -> None:
        while await kube.find(UPGRADE_RUNS, "edge-26.8.3") is None:
            pass
        condition: JsonObject = {
            "type": "Planned",
            "status": "False",
            "reason": "NoPlan",
            "message": "no plan leads there",
            "lastTransitionTime": datetime(2026, 11, 21, tzinfo=UTC).isoformat(),
        }
        status: JsonObject = {"status": {"phase": "Pending", "conditions": [condition]}}
        await kube.merge(UPGRADE_RUNS, "edge-26.8.3", status, subresource="status")

    begun, _ = await asyncio.gather(cli("upgrade", "start"), refuse())
    assert begun.code == 4, begun.err
    assert "NoPlan: no plan leads there" in begun.out
    assert (await cli("upgrade", "pause")).code == 0
    assert text(await kube.get(UPGRADE_RUNS, "edge-26.8.3"), "spec", "state") == "Pause"
    watching = await cli.start("upgrade", "watch", "--through-pauses")
    assert watching.stdout is not None
    while b"NoPlan" not in await watching.stdout.readline():
        pass
    assert (await cli("upgrade", "abort", "--yes")).code == 0
    over: JsonObject = {"status": {"phase": "Aborted", "finishedAt": "2026-11-21T12:00:00Z"}}
    await kube.merge(UPGRADE_RUNS, "edge-26.8.3", over, subresource="status")
    rest, _ = await watching.communicate()
    assert b"edge-26.8.3  Aborted" in rest
    assert watching.returncode == 1


@pytest.mark.usefixtures("kube")
async def test_rights_are_those_of_the_identity_that_is_asked_for(cli: Command) -> None:
    answer = await cli("upgrade", "list", "--as", "nobody-special")
    assert answer.code == 6
    assert 'User "nobody-special" cannot list resource "upgraderuns"' in answer.err
    allowed = await cli("upgrade", "list", "--as", "nobody-special", "--as-group=[system:masters]")
    assert allowed.code == 0, allowed.err


async def test_the_cluster_is_fit_for_an_installation(cli: Command) -> None:
    answer = await cli("check", "--pre", "-o", "json")
    checks = rows(rows(json.loads(answer.out), "categories")[0], "checks")
    assert answer.code == 0, answer.out
    assert all(text(check, "result") != "error" for check in checks)
    weak = await cli("check", "--pre", "-o", "json", "--as", "nobody-special")
    assert weak.code == 1
    assert "not authorized to create customresourcedefinitions.apiextensions.k8s.io" in weak.out


def _established(found: JsonObject) -> bool:
    return any(
        text(each, "type") == "Established" and text(each, "status") == "True"
        for each in rows(found, "status", "conditions")
    )
