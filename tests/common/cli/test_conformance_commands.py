"""`conformance`, from outside: the installed command against an API server and NATS; the test plays the service."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.conformance.core import safety
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.cli.conformance.ending import OWNED
from steward.clock import SystemClock
from steward.conformance.results import RESULT_STREAM_KEY, FeatureResult, Verdict
from steward.events.subjects import token
from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.kube.resources import CONFORMANCE_RUNS, NAMESPACES
from steward.kube.watching import WatchFrom
from steward.testing.command import Command, StewardCluster
from steward.testing.nats import NatsServer
from tests.common.conformance.specimens import DENIED, result

SUITE: JsonObject = {"kind": "ConformanceSuite", "metadata": {"name": "default"}, "spec": {}}


def run(outcome: str, **status: Json) -> JsonObject:
    """A run as the service leaves it."""
    lines: list[Json] = [
        {"feature": "mtls.identity", "verdict": "Passed", "state": "Healthy"},
        {
            "feature": "authz.meshtls",
            "verdict": "Failed",
            "state": "Failing",
            "cause": "POLICY_DENY",
            "message": "an allowed client is refused",
        },
    ]
    said: JsonObject = {
        "type": "Complete",
        "status": "True",
        "reason": "FeaturesBroken",
        "message": "1 of 2 features does not work",
        "lastTransitionTime": "2026-11-21T09:05:00Z",
    }
    return {
        "kind": "ConformanceRun",
        "metadata": {"name": "nightly"},
        "spec": {},
        "status": {
            "phase": "Completed",
            "outcome": outcome,
            "summary": {"passed": 1, "failed": 1},
            "features": lines,
            "conditions": [said],
            "startedAt": "2026-11-21T09:00:00Z",
            "endedAt": "2026-11-21T09:05:00Z",
            **status,
        },
    }


async def played(cluster: StewardCluster, outcome: str) -> str:
    """Play the service: finish the run that appears."""
    listing = await cluster.kube.list(CONFORMANCE_RUNS)
    start = WatchFrom(listing.resource_version, timedelta(seconds=30))
    names = [text(each, "metadata", "name") for each in listing.items]
    if not names:
        async for event in cluster.kube.watch(CONFORMANCE_RUNS, start):
            names.append(text(event.object, "metadata", "name"))
            break
    await cluster.show(run(outcome), names[0])
    return names[0]


async def keep(nats: NatsServer, results: Sequence[FeatureResult]) -> None:
    """Store results as the service does."""
    settings = BusSettings(servers=(nats.url,), cluster="testing")
    bus = await Bus.connect(settings, name="conformance", clock=SystemClock())
    await bus.reconcile()
    for each in results:
        subject = f"steward.results.v1.testing.{RESULT_STREAM_KEY}.{token(each.run)}.{each.feature}"
        await bus.record(subject, each.model_dump_json(by_alias=True).encode(), message_id=each.id)
    await bus.close()


def test_namespaces_are_known_by_the_label_that_the_service_gives_them() -> None:
    assert OWNED == safety.RUN_UID


@pytest.mark.parametrize(("outcome", "code"), [("Passed", 0), ("Failed", 1), ("Inconclusive", 3), ("Aborted", 4)])
async def test_start_follows_the_run_and_ends_as_it_did(
    cli: Command, cluster: StewardCluster, outcome: str, code: int
) -> None:
    await cluster.put(SUITE)
    service = asyncio.create_task(played(cluster, outcome))
    answer = await cli("conformance", "start", "--only", "mtls", "--timeout", "60s")
    name = await service
    assert answer.code == code, answer.err
    assert f"ConformanceRun '{name}' created" in answer.err
    assert "authz.meshtls" in answer.out
    assert "POLICY_DENY: an allowed client is refused" in answer.out
    (stored,) = cluster.fake.cluster.list(CONFORMANCE_RUNS)
    assert table(stored, "spec")["only"] == ["mtls"]


async def test_a_dry_run_prints_objects_rights_and_features_and_makes_nothing(
    cli: Command, cluster: StewardCluster
) -> None:
    await cluster.put(SUITE)
    answer = await cli("conformance", "start", "--only", "mtls", "--dry-run")
    assert answer.code == 0, answer.err
    assert "namespaces steward-probes" in answer.out
    assert "dry runs: pods and Linkerd's resources, never stored" in answer.out
    assert "mtls.identity" in answer.out
    assert "authz.server" not in answer.out
    assert cluster.fake.cluster.list(CONFORMANCE_RUNS) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "--only", "nonsense"), "'nonsense' means no feature"),
        (("start", "--once", "--for", "1h"), "--once and --for exclude each other"),
        (("start", "--for", "soon"), "--for 'soon'"),
        (("start", "--suite", "nosuch"), "ConformanceSuite 'nosuch' does not exist"),
        (("run-one", "mtls.identify"), "there is no feature 'mtls.identify'"),
        (("list", "nosuch"), "'nosuch' means no feature"),
        (("cleanup",), None),
    ],
)
@pytest.mark.usefixtures("cluster")
async def test_what_cannot_be_meant_is_refused_in_words(
    cli: Command, arguments: tuple[str, ...], said: str | None
) -> None:
    answer = await cli("conformance", *arguments)
    assert "Traceback" not in answer.err
    if said is None:
        assert (answer.code, answer.err) == (0, "nothing is left behind\n")
    else:
        assert answer.code == 2, answer.err
        assert said in answer.err
        assert "hint: " in answer.err


async def test_status_shows_groups_and_what_is_broken(cli: Command, cluster: StewardCluster) -> None:
    await cluster.put(run("Failed"))
    answer = await cli("conformance", "status")
    assert answer.code == 1
    assert "GROUP" in answer.out
    (line,) = (each for each in answer.out.splitlines() if "authz.meshtls" in each)
    assert line.split()[1:4] == ["authz.meshtls", "Failing", "POLICY_DENY"]
    assert line.rstrip().endswith("an allowed client is refused")
    as_json = json.loads((await cli("conformance", "status", "-o", "json")).out)
    assert text(as_json, "status", "outcome") == "Failed"


async def test_stop_asks_for_it_and_refuses_a_run_that_is_over(cli: Command, cluster: StewardCluster) -> None:
    await cluster.put({"kind": "ConformanceRun", "metadata": {"name": "nightly"}, "spec": {}})
    assert (await cli("conformance", "stop")).code == 0
    (stored,) = cluster.fake.cluster.list(CONFORMANCE_RUNS)
    assert text(stored, "spec", "state") == "Stop"
    await cluster.show(run("Aborted"))
    answer = await cli("conformance", "stop")
    assert answer.code == 1
    assert "there is nothing to stop" in answer.err


async def test_cleanup_deletes_what_dead_runs_left_and_nothing_else(cli: Command, cluster: StewardCluster) -> None:
    await cluster.put({"kind": "ConformanceRun", "metadata": {"name": "living"}, "spec": {}})
    (living,) = cluster.fake.cluster.list(CONFORMANCE_RUNS)
    owners = {"of-the-living": text(living, "metadata", "uid"), "of-the-dead": "gone", "of-a-team": ""}
    for name, uid in owners.items():
        labels: JsonObject = {OWNED: uid} if uid else {}
        await cluster.kube.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
    unsure = await cli("conformance", "cleanup")
    assert unsure.code == 2
    assert "add --yes" in unsure.err
    answer = await cli("conformance", "cleanup", "--yes")
    assert answer.code == 0, answer.err
    left = {text(each, "metadata", "name") for each in cluster.fake.cluster.list(NAMESPACES)}
    assert "of-the-dead" not in left
    assert {"of-the-living", "of-a-team"} <= left


async def test_explain_history_and_report_tell_what_was_kept(
    cli: Command, cluster: StewardCluster, nats: NatsServer, tmp_path: Path
) -> None:
    await cluster.put(run("Failed"))
    (stored,) = cluster.fake.cluster.list(CONFORMANCE_RUNS)
    uid = text(stored, "metadata", "uid")
    now = datetime.now(UTC)  # noqa: TID251 - the command reads the wall clock too
    results = [
        result("authz.meshtls", Verdict.PASSED, run_uid=uid, at=now - timedelta(minutes=2)),
        result(
            "authz.meshtls",
            Verdict.FAILED,
            cycle=1,
            run_uid=uid,
            at=now - timedelta(minutes=1),
            causes=(DENIED,),
            rung=DENIED.rung,
        ),
        result("mtls.identity", Verdict.PASSED, run_uid=uid, at=now),
        result("mtls.identity", Verdict.PASSED, run_uid="of an earlier run of the name", at=now, cycle=7),
    ]
    await keep(nats, results)

    explained = await cli("conformance", "explain", "authz.meshtls")
    assert explained.code == 0, explained.err
    for said in ("How it is tried:", "The last results:", "POLICY_DENY", "[proxy]", DENIED.remedy, DENIED.command):
        assert said in explained.out
    past = json.loads((await cli("conformance", "history", "authz.meshtls", "-o", "json")).out)
    assert [each["verdict"] for each in rows(past, "items")] == ["Passed", "Failed"]
    sparkline = await cli("conformance", "history", "authz.meshtls")
    assert "50.00 % of 2" in sparkline.out

    page = tmp_path / "conformance.html"
    written = await cli("conformance", "report", "--file", str(page))
    assert written.code == 1, written.err
    assert "3 results of ConformanceRun 'nightly'" in written.err
    assert "POLICY_DENY" in page.read_text()
    junit = await cli("conformance", "report", "--format", "junit")
    assert 'name="authz.meshtls"' in junit.out


async def test_what_can_be_exercised_is_listed_without_a_cluster(cli: Command) -> None:
    answer = await cli("conformance", "list", "mtls", "-o", "json", KUBECONFIG="/nonexistent")
    assert answer.code == 0, answer.err
    names = [text(each, "feature") for each in rows(json.loads(answer.out), "items")]
    assert "mtls.identity" in names
    assert {name.split(".")[0] for name in names} == {"mtls"}
