"""`conformance sonobuoy`, from outside: what Sonobuoy finds, whatever happens; the test plays the service."""

import asyncio
import tarfile
from pathlib import Path

import pytest
import yaml

from steward.conformance.reports.sonobuoy import PLUGIN, RESULTS
from steward.conformance.results import Verdict
from steward.jsonvalue import JsonObject, dig, rows, strings, table, text
from steward.kube.resources import CONFORMANCE_RUNS
from steward.testing.command import Command, StewardCluster
from steward.testing.nats import NatsServer
from tests.common.cli.test_conformance_commands import SUITE, keep, run
from tests.common.conformance.specimens import DENIED, result
from tests.deploy.kustomize import DEPLOY

DEFINITION = DEPLOY / "sonobuoy" / f"{PLUGIN}.yaml"
_STATUSES = {"passed", "failed", "skipped", "unknown"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where Sonobuoy waits."""
    made = tmp_path / "results"
    made.mkdir()
    return made


def handed_over(folder: Path) -> dict[str, bytes]:
    """The files as Sonobuoy unpacks them."""
    archive = Path((folder / "done").read_text())
    assert archive.parent == folder
    with tarfile.open(archive) as packed:
        return {each.name: found.read() for each in packed if (found := packed.extractfile(each))}


def tree(folder: Path) -> JsonObject:
    """The results as Sonobuoy reads them."""
    found: JsonObject = yaml.safe_load(handed_over(folder)[RESULTS])
    return found


def statuses(item: JsonObject) -> set[str]:
    """Of an item and everything below it."""
    return {text(item, "status")}.union(*(statuses(each) for each in rows(item, "items")))


def definition() -> JsonObject:
    """What `sonobuoy run --plugin` is given."""
    found: JsonObject = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    return found


async def test_the_plugin_hands_over_every_feature_with_its_cause_and_a_page_to_read(
    cli: Command, cluster: StewardCluster, nats: NatsServer, folder: Path
) -> None:
    await cluster.put(SUITE)

    written = asyncio.Event()
    cluster.fake.on_write(lambda _: written.set())

    async def service() -> None:
        """It keeps results before it ends the run."""
        while not cluster.fake.cluster.list(CONFORMANCE_RUNS):
            await written.wait()
            written.clear()
        (made,) = cluster.fake.cluster.list(CONFORMANCE_RUNS)
        name, uid = text(made, "metadata", "name"), text(made, "metadata", "uid")
        found = [
            result("mtls.identity", Verdict.PASSED, run_uid=uid),
            result("authz.meshtls", Verdict.FAILED, run_uid=uid, causes=(DENIED,), rung=DENIED.rung),
        ]
        await keep(nats, [each.model_copy(update={"run": name}) for each in found])
        await cluster.show(run("Failed"), name)

    playing = asyncio.create_task(service())
    answer = await cli("conformance", "sonobuoy", "--results", str(folder), "--timeout", "60s")
    await playing
    assert answer.code == 0, answer.err
    assert set(handed_over(folder)) == {RESULTS, f"{PLUGIN}.html", f"{PLUGIN}.json"}
    found = tree(folder)
    assert (text(found, "name"), text(found, "status")) == (PLUGIN, "failed")
    assert statuses(found) <= _STATUSES
    (authz,) = [each for each in rows(found, "items") if text(each, "name") == "authz"]
    (feature,) = rows(authz, "items")
    assert text(feature, "details", "cause") == DENIED.code
    assert DENIED.code.encode() in handed_over(folder)[f"{PLUGIN}.html"]


@pytest.mark.usefixtures("cluster")
async def test_what_cannot_begin_is_told_to_sonobuoy_instead_of_letting_it_wait(cli: Command, folder: Path) -> None:
    answer = await cli("conformance", "sonobuoy", "--results", str(folder), "--suite", "nosuch")
    assert answer.code == 2
    assert text(tree(folder), "status") == "failed"
    assert "ConformanceSuite 'nosuch' does not exist" in text(tree(folder), "details", "error")


async def test_an_unreachable_cluster_is_told_too(cli: Command, folder: Path) -> None:
    answer = await cli("conformance", "sonobuoy", "--results", str(folder), KUBECONFIG="/nonexistent")
    assert answer.code != 0
    assert text(tree(folder), "status") == "failed"


async def test_a_run_that_takes_too_long_is_stopped_and_told(
    cli: Command, cluster: StewardCluster, folder: Path
) -> None:
    await cluster.put(SUITE)
    answer = await cli("conformance", "sonobuoy", "--results", str(folder), "--timeout", "1s")
    assert answer.code == 124
    assert "passed" in text(tree(folder), "details", "error")
    (stored,) = cluster.fake.cluster.list(CONFORMANCE_RUNS)
    assert text(stored, "spec", "state") == "Stop"


@pytest.mark.usefixtures("cluster")
async def test_without_a_place_for_results_nothing_is_begun(
    cli: Command, cluster: StewardCluster, tmp_path: Path
) -> None:
    await cluster.put(SUITE)
    answer = await cli("conformance", "sonobuoy", "--results", str(tmp_path / "nowhere"))
    assert answer.code == 2
    assert "mount the volume `results` there" in answer.err
    assert cluster.fake.cluster.list(CONFORMANCE_RUNS) == []


def test_the_definition_is_one_that_sonobuoy_takes() -> None:
    found = definition()
    assert set(found) == {"sonobuoy-config", "podSpec", "spec"}
    config = table(found, "sonobuoy-config")
    assert text(config, "driver") == "Job"
    assert text(config, "plugin-name") == PLUGIN
    assert text(config, "result-format") == "manual"
    assert dig(config, "result-files") is None, "it looks for the name that we write"
    (mount,) = rows(found, "spec", "volumeMounts")
    arguments = strings(dig(found, "spec", "args"))
    assert text(mount, "name") == "results"
    assert text(mount, "mountPath") == arguments[arguments.index("--results") + 1]
    assert dig(found, "podSpec", "restartPolicy") == "Never"
    for setting, wanted in (("allowPrivilegeEscalation", False), ("runAsNonRoot", True)):
        assert dig(found, "spec", "securityContext", setting) is wanted


async def test_the_definition_calls_a_command_that_exists_in_the_image_of_this_version(cli: Command) -> None:
    spec = table(definition(), "spec")
    program, *command = strings(dig(spec, "command"))
    answer = await cli(*command, *strings(dig(spec, "args")), "--help")
    assert (program, answer.code) == ("linkerd-steward", 0), answer.err
    component = yaml.safe_load((DEPLOY / "components/conformance/kustomization.yaml").read_text(encoding="utf-8"))
    (image,) = rows(component, "images")
    assert text(spec, "image") == f"{text(image, 'newName')}:{text(image, 'newTag')}"
