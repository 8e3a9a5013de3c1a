"""`upgrade`, from outside: the installed command against an API server; the test plays upgrader's part."""

import asyncio
import json
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
import yaml

from steward.jsonvalue import JsonObject, rows, table, text, whole
from steward.kube.resources import CRDS, UPGRADE_POLICIES, UPGRADE_RUNS
from steward.kube.watching import WatchFrom
from steward.testing.command import Command, StewardCluster
from steward.testing.kubernetes.faults import BROKEN
from steward.testing.kubernetes.server import FakeKubernetes

Document = Callable[[str], JsonObject]
_WITHOUT_RULES: JsonObject = {
    "name": "v1alpha1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}


async def _answered(cluster: StewardCluster, document: JsonObject) -> JsonObject:
    """Play upgrader: take up the run that appears, with the status of `document`."""
    listing = await cluster.kube.list(UPGRADE_RUNS)
    if listing.items:
        run = listing.items[0]
    else:
        start = WatchFrom(listing.resource_version, timedelta(seconds=30))
        run = {}
        async for event in cluster.kube.watch(UPGRADE_RUNS, start):
            run = event.object
            break
    name = text(run, "metadata", "name")
    await cluster.show(document, name)
    return run


@pytest.mark.usefixtures("cluster")
async def test_status_without_any_run_says_how_to_begin_one(cli: Command) -> None:
    answer = await cli("upgrade", "status")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: there is no UpgradeRun\nhint: begin one with: linkerd steward upgrade start\n"


async def test_status_without_definitions_says_how_to_install_them(cli: Command, fake: FakeKubernetes) -> None:
    answer = await cli("upgrade", "status", KUBECONFIG=str(fake.kubeconfig()))
    assert answer.code == 3
    assert "the API server does not know this resource" in answer.err
    assert "linkerd steward install | kubectl apply --server-side -f -" in answer.err


@pytest.mark.parametrize(
    ("state", "code"), [("running", 0), ("paused", 4), ("succeeded", 0), ("aborted", 1), ("refused", 4), ("new", 0)]
)
async def test_status_ends_with_the_code_of_the_run(
    cli: Command, cluster: StewardCluster, document: Document, state: str, code: int
) -> None:
    await cluster.put(document(f"run-{state}"))
    answer = await cli("upgrade", "status")
    assert answer.code == code
    assert answer.out.startswith("UpgradeRun ")
    assert answer.err == ""


async def test_status_prefers_the_run_that_has_begun(cli: Command, cluster: StewardCluster, document: Document) -> None:
    for state in ("running", "refused", "succeeded", "preview"):
        await cluster.put(document(f"run-{state}"))
    answer = await cli("upgrade", "status", "-o", "json")
    assert text(json.loads(answer.out), "metadata", "name") == "edge-26.8.3"


@pytest.mark.usefixtures("cluster")
async def test_status_of_a_name_that_is_not_there(cli: Command) -> None:
    answer = await cli("upgrade", "status", "nosuch")
    assert answer.code == 3
    assert "'nosuch'" in answer.err
    assert "Traceback" not in answer.err


async def test_output_in_json_and_yaml_is_the_object(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    as_json = json.loads((await cli("upgrade", "status", "-o", "json")).out)
    as_yaml = yaml.safe_load((await cli("upgrade", "status", "-o", "yaml")).out)
    assert text(as_json, "kind") == "UpgradeRun"
    assert whole(as_json, "status", "workloads", "verified") == 12
    assert text(as_yaml, "status", "phase") == "Running"
    listed = json.loads((await cli("upgrade", "list", "-o", "json")).out)
    assert [text(item, "metadata", "name") for item in rows(listed, "items")] == ["edge-26.8.3"]


async def test_start_takes_the_candidate_of_the_policy_and_repeats_what_upgrader_says(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("policy"))
    answer, run = await asyncio.gather(cli("upgrade", "start"), _answered(cluster, document("run-running")))
    assert table(run, "spec")["target"] == "edge-26.8.3"
    assert text(run, "metadata", "name") == "edge-26.8.3"
    assert answer.code == 0
    assert "edge-26.6.3 → edge-26.8.3 by Helm, plan linkerd-2.19-to-2.20" in answer.out
    assert "notice: Check that every cluster has Gateway API 1.4." in answer.err


async def test_start_repeats_a_refusal_word_by_word(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("policy"))
    answer, _ = await asyncio.gather(
        cli("upgrade", "start", "edge-26.8.3"), _answered(cluster, document("run-refused"))
    )
    assert answer.code == 4
    assert "TooFar: from edge-25.1.1 (2.17) to edge-26.8.3 (2.20) is 3 logical versions" in answer.out


async def test_start_with_plan_policy_and_name_writes_exactly_these(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("policy"), "night")
    await cluster.put(document("plan"))
    arguments = (
        "edge-26.8.3",
        "--plan",
        "linkerd-2.19-to-2.20",
        "--policy",
        "night",
        "--name",
        "mine",
        "--restart-only",
    )
    answer, run = await asyncio.gather(cli("upgrade", "start", *arguments), _answered(cluster, document("run-running")))
    assert answer.code == 0
    assert text(run, "metadata", "name") == "mine"
    spec = table(run, "spec")
    assert (spec["purpose"], spec["policyRef"], spec["planRef"]) == (
        "RestartOnly",
        {"name": "night"},
        {"name": "linkerd-2.19-to-2.20"},
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("start", "newest"), 2, "error: 'newest' is no Linkerd version: expected something like 'edge-26.8.3'"),
        (("start", "--plan", "nosuch"), 3, "error: UpgradePlan 'nosuch' does not exist"),
        (("start", "--policy", "nosuch"), 3, "error: UpgradePolicy 'nosuch' does not exist"),
        (("preview", "--run", "nosuch"), 3, "'nosuch'"),
        (("pause", "nosuch"), 3, "'nosuch'"),
        (("watch", "--timeout", "soon"), 2, "'soon' is no duration: write it like 30s, 5m, 1h30m or 7d"),
        (("status", "-o", "xml"), 2, "'xml' is not one of 'table', 'json', 'yaml'"),
        (("satrt",), 2, "No such command 'satrt'. Did you mean 'start'"),
        (("start", "a", "b"), 2, "unexpected extra argument"),
        (("start", "--pln", "x"), 2, "No such option: --pln"),
    ],
)
async def test_a_mistake_has_an_answer_of_its_own(
    cli: Command, cluster: StewardCluster, document: Document, arguments: tuple[str, ...], code: int, said: str
) -> None:
    await cluster.put(document("policy"))
    answer = await cli("upgrade", *arguments)
    assert answer.code == code
    assert said in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err


async def test_start_without_a_candidate_repeats_the_policy_s_reason(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    policy = document("policy")
    condition: JsonObject = {
        "type": "PathAvailable",
        "status": "False",
        "reason": "TooYoung",
        "message": "edge-26.8.3 is known since 2026-11-20; the policy waits 7 days",
        "lastTransitionTime": "2026-11-21T11:55:00Z",
    }
    await cluster.put({**policy, "status": {"conditions": [condition]}})
    answer = await cli("upgrade", "start")
    assert answer.code == 1
    assert "TooYoung: edge-26.8.3 is known since 2026-11-20; the policy waits 7 days" in answer.err
    assert "linkerd steward upgrade start TARGET" in answer.err


async def test_start_under_a_paused_policy_says_how_to_end_the_pause(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("policy"))
    await cluster.kube.merge(UPGRADE_POLICIES, "default", {"spec": {"paused": True}})
    answer = await cli("upgrade", "start")
    assert answer.code == 4
    assert "UpgradePolicy 'default' is paused" in answer.err
    assert "kubectl patch upgradepolicy default" in answer.err


async def test_start_beside_a_run_names_it_and_creates_none(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("policy"))
    await cluster.put(document("run-running"))
    answer = await cli("upgrade", "start")
    assert answer.code == 1
    assert "UpgradeRun 'edge-26.8.3' to edge-26.8.3 is under way (Running): one at a time" in answer.err
    assert len((await cluster.kube.list(UPGRADE_RUNS)).items) == 1


async def test_a_second_run_to_the_same_release_gets_a_number(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("policy"))
    await cluster.put(document("run-succeeded"), "edge-26.8.3")

    async def taken_up() -> None:
        start = WatchFrom((await cluster.kube.list(UPGRADE_RUNS)).resource_version, timedelta(seconds=30))
        async for event in cluster.kube.watch(UPGRADE_RUNS, start):
            assert text(event.object, "metadata", "name") == "edge-26.8.3-2"
            break
        await cluster.show(document("run-running"), "edge-26.8.3-2")

    answer, _ = await asyncio.gather(cli("upgrade", "start"), taken_up())
    assert answer.code == 0


async def test_preview_creates_a_run_that_does_nothing_and_shows_it(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("policy"))
    answer, run = await asyncio.gather(cli("upgrade", "preview"), _answered(cluster, document("run-preview")))
    assert table(run, "spec")["dryRun"] == "Preview"
    assert answer.code == 0
    assert "17 of 20 workloads would be restarted" in answer.out
    assert "There is no way back once this has begun" in answer.out
    again = await cli("upgrade", "preview", "--run", text(run, "metadata", "name"))
    assert again.out == answer.out


async def test_preview_of_a_real_run_is_refused(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    answer = await cli("upgrade", "preview", "--run", "edge-26.8.3")
    assert answer.code == 2
    assert "UpgradeRun 'edge-26.8.3' is no preview" in answer.err


@pytest.mark.parametrize(("verb", "state"), [("pause", "Pause"), ("resume", "Run"), ("abort", "Abort")])
async def test_what_people_want_of_a_run_is_written_into_its_spec(
    cli: Command, cluster: StewardCluster, document: Document, verb: str, state: str
) -> None:
    await cluster.put(document("run-paused"))
    answer = await cli("upgrade", verb, *(["--yes"] if verb == "abort" else []))
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"UpgradeRun 'edge-26.8.3-paused': {verb} asked for\n"
    run = await cluster.kube.get(UPGRADE_RUNS, "edge-26.8.3-paused")
    assert text(run, "spec", "state") == state


async def test_abort_asks_nobody_only_with_yes(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    answer = await cli("upgrade", "abort")
    assert answer.code == 2
    assert "cannot be undone and nobody can be asked" in answer.err
    assert text(await cluster.kube.get(UPGRADE_RUNS, "edge-26.8.3"), "spec", "state") in ("", "Run")


@pytest.mark.parametrize("verb", ["pause", "resume", "abort"])
async def test_a_run_that_is_over_cannot_be_steered(
    cli: Command, cluster: StewardCluster, document: Document, verb: str
) -> None:
    await cluster.put(document("run-succeeded"))
    answer = await cli("upgrade", verb)
    assert answer.code == 1
    assert f"UpgradeRun 'edge-26.8.3-done' is over (Succeeded): there is nothing to {verb}" in answer.err


async def test_watch_tells_every_happening_on_a_line_and_ends_with_the_run(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("run-running"))
    process = await cli.start("upgrade", "watch")
    assert process.stdout is not None
    first = [await process.stdout.readline() for _ in range(7)]
    assert first[-1].decode().endswith("edge-26.8.3  Running\n")
    await cluster.show(document("run-succeeded"), "edge-26.8.3")
    rest, err = await process.communicate()
    assert rest.decode().splitlines()[-1].endswith("edge-26.8.3  Succeeded")
    assert (process.returncode, err) == (0, b"")


async def test_watch_ends_with_a_pause_and_says_how_to_go_on(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("run-paused"))
    answer = await cli("upgrade", "watch")
    assert answer.code == 4
    assert answer.err == "hint: it goes on with: linkerd steward upgrade resume edge-26.8.3-paused\n"


async def test_watch_stays_through_a_pause_when_told_to(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("run-paused"))
    process = await cli.start("upgrade", "watch", "--through-pauses")
    assert process.stdout is not None
    while b"  Paused\n" not in await process.stdout.readline():
        pass
    await cluster.show(document("run-aborted"), "edge-26.8.3-paused")
    rest, _ = await process.communicate()
    assert b"edge-26.8.3-paused  Aborted" in rest
    assert process.returncode == 1


async def test_watch_gives_up_after_its_timeout(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    answer = await cli("upgrade", "watch", "--timeout", "300ms")
    assert answer.code == 124
    assert answer.err == "error: the time given with --timeout passed\n"


async def test_watch_survives_ended_watches_forgotten_history_and_a_restart(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("run-running"))
    process = await cli.start("upgrade", "watch")
    assert process.stdout is not None
    assert process.stderr is not None
    while b"edge-26.8.3  Running" not in await process.stdout.readline():
        pass
    cluster.fake.expire_watches()
    running = document("run-running")
    table(running, "status", "workloads")["verified"] = 15
    await cluster.show(running)
    while b"15/20 workloads verified" not in await process.stdout.readline():
        pass
    await cluster.fake.stop()
    assert b"the API server does not answer, trying again" in await process.stderr.readline()
    await cluster.fake.start()
    await cluster.show(document("run-succeeded"), "edge-26.8.3")
    rest, _ = await process.communicate()
    assert b"edge-26.8.3  Succeeded" in rest
    assert process.returncode == 0


async def test_watch_of_a_deleted_run_says_so(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    process = await cli.start("upgrade", "watch")
    assert process.stdout is not None
    while b"edge-26.8.3  Running" not in await process.stdout.readline():
        pass
    await cluster.kube.delete(UPGRADE_RUNS, "edge-26.8.3")
    _, err = await process.communicate()
    assert process.returncode == 3
    assert b"'edge-26.8.3'" in err


async def test_ctrl_c_ends_cleanly(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    process = await cli.start("upgrade", "watch")
    assert process.stdout is not None
    while b"edge-26.8.3  Running" not in await process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"interrupted; what was begun in the cluster goes on\n")


async def test_an_api_server_that_only_fails_is_unreachable(cli: Command, cluster: StewardCluster) -> None:
    cluster.fake.faults.add(BROKEN, times=None)
    answer = await cli("upgrade", "list")
    assert answer.code == 5
    assert "etcdserver: request timed out" in answer.err
    assert "Traceback" not in answer.err


async def test_an_object_of_another_shape_is_explained(cli: Command, cluster: StewardCluster) -> None:
    await cluster.kube.merge(CRDS, "upgraderuns.steward.linkerd.io", {"spec": {"versions": [_WITHOUT_RULES]}})
    spec: JsonObject = {"metadata": {"name": "odd"}, "spec": {"target": 7}}
    await cluster.kube.create(UPGRADE_RUNS, spec)
    answer = await cli("upgrade", "status", "odd")
    assert answer.code == 1
    assert answer.err.startswith("error: an object does not fit its schema: spec.target: ")
    assert "Traceback" not in answer.err


@pytest.mark.usefixtures("cluster")
async def test_verbose_adds_the_traceback(cli: Command) -> None:
    answer = await cli("upgrade", "status", "nosuch", "--verbose")
    assert answer.code == 3
    assert "Traceback (most recent call last)" in answer.err
