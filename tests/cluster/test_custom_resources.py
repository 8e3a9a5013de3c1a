"""Custom resources on a real API server: right ones come back as they were sent, wrong ones are refused in words."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from steward.jsonvalue import JsonObject, table, text
from steward.kube.client import Kube
from steward.kube.errors import Invalid
from steward.kube.resources import (
    CONFORMANCE_RUNS,
    CONFORMANCE_SUITES,
    CRDS,
    RELEASE_CATALOGS,
    UPGRADE_PLANS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
    Resource,
)
from steward.resources import (
    KINDS,
    ConformanceRun,
    ConformanceSuite,
    ReleaseCatalog,
    UpgradePlan,
    UpgradePolicy,
    UpgradeRun,
)
from steward.resources.base import Resource as Kind
from steward.resources.definitions import definition
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.workloads import unique
from tests.cluster import refusals
from tests.cluster.refusals import Mistake, put
from tests.cluster.specimens import MINIMAL, filled, named

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORY = Path(__file__).parents[2]
SHIPPED = {
    path.stem: path.read_text()
    for path in (
        *sorted((REPOSITORY / "services/upgrader/plans").glob("*.yaml")),
        REPOSITORY / "deploy/base/defaults/release-catalog.yaml",
        REPOSITORY / "deploy/base/defaults/upgrade-policy.yaml",
        REPOSITORY / "deploy/components/conformance/suite.yaml",
    )
}
RESOURCES: dict[type[Kind], Resource] = {
    ReleaseCatalog: RELEASE_CATALOGS,
    UpgradePlan: UPGRADE_PLANS,
    UpgradePolicy: UPGRADE_POLICIES,
    UpgradeRun: UPGRADE_RUNS,
    ConformanceSuite: CONFORMANCE_SUITES,
    ConformanceRun: CONFORMANCE_RUNS,
}
MESSAGE = "said in a sentence"
_CONDITION: JsonObject = {
    "status": "True",
    "reason": "Told",
    "message": MESSAGE,
    "lastTransitionTime": "2026-11-21T12:00:00Z",
}
# Spec and status of each kind, and what `kubectl get` makes of them.
TABLES: tuple[tuple[type[Kind], JsonObject, JsonObject, str], ...] = (
    (
        ReleaseCatalog,
        {},
        {
            "mesh": {"controlPlane": "edge-26.6.3", "meshedPods": 42},
            "channels": [{"name": "edge", "head": "edge-26.8.3"}],
            "conditions": [{**_CONDITION, "type": "Fresh"}, {**_CONDITION, "type": "MeshAsExpected"}],
        },
        """
        NAME       RUNNING       HEAD          MESHED   FRESH   ASEXPECTED   AGE
        specimen   edge-26.6.3   edge-26.8.3   42       True    True         0s
        """,
    ),
    (
        UpgradePlan,
        {"priority": 7, "oneWay": True},
        {"planHash": MESSAGE, "conditions": [{**_CONDITION, "type": "Valid"}]},
        """
        NAME       FROM                TO         PRIORITY   ONEWAY   VALID   AGE
        specimen   >=25.10.7 <26.6.3   >=26.6.3   7          true     True    0s
        """,
    ),
    (
        UpgradePolicy,
        {"mode": "Automatic"},
        {"candidate": "edge-26.8.3", "conditions": [{**_CONDITION, "type": "PathAvailable"}]},
        """
        NAME       CHANNEL   MODE        PAUSED   CANDIDATE     PATH   AGE
        specimen   edge      Automatic   false    edge-26.8.3   True   0s
        """,
    ),
    (
        UpgradeRun,
        {},
        {
            "phase": "Running",
            "step": "data-plane",
            "progress": "4/6",
            "workloads": {"verified": 12},
            "snapshot": {
                "fromVersion": "edge-26.6.3",
                "installMethod": "Helm",
                "plan": "some",
                "planHash": "sha256:00",
                "planSpec": MINIMAL[UpgradePlan],
                "policy": "default",
                "policySpec": {},
                "takenAt": "2026-11-21T12:00:00Z",
            },
            "conditions": [{**_CONDITION, "type": "Progressing"}],
        },
        """
        NAME       FROM          TO            PHASE     STEP         PROGRESS   PROXIES   AGE
        specimen   edge-26.6.3   edge-26.8.3   Running   data-plane   4/6        12        0s
        """,
    ),
    (
        ConformanceSuite,
        {},
        {"features": 120, "digest": MESSAGE, "conditions": [{**_CONDITION, "type": "Valid"}]},
        """
        NAME       FEATURES   VALID   AGE
        specimen   120        True    0s
        """,
    ),
    (
        ConformanceRun,
        {},
        {
            "phase": "Completed",
            "outcome": "Failed",
            "summary": {"passed": 99, "failed": 1, "inconclusive": 2},
            "conditions": [{**_CONDITION, "type": "Complete"}],
        },
        """
        NAME       SUITE     PHASE       OUTCOME   PASSED   FAILED   INCONCLUSIVE   AGE
        specimen   default   Completed   Failed    99       1        2              0s
        """,
    ),
)
# What has a namespace is tried in test_alert_resources.
each_kind = pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.kind_name)


def each_mistake(mistakes: tuple[Mistake, ...]) -> pytest.MarkDecorator:
    """One test for each entry of a catalogue."""
    return pytest.mark.parametrize("mistake", mistakes, ids=lambda each: f"{each.where}={str(each.value)[:30]}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kube(
    control_plane: Cluster, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Kube]:
    """The cluster with our definitions; those that were not there before are taken away again."""
    commands = Commands(binaries, control_plane.kubeconfig, tmp_path_factory.mktemp("kubectl"))
    names = {text(definition(kind), "metadata", "name"): definition(kind) for kind in KINDS}
    async with await Kube.connect(kubeconfig=control_plane.kubeconfig) as connected:
        ours = [name for name in names if await connected.find(CRDS, name) is None]
        for body in names.values():
            await connected.apply(CRDS, body, manager="custom-resources-test", force=True)
        commands.until_established(*names)
        yield connected
        for name in ours:
            await connected.delete(CRDS, name)


@pytest_asyncio.fixture(loop_scope="module")
async def name(kube: Kube) -> AsyncIterator[str]:
    """A name of the test's own; what was created by it goes away."""
    chosen = unique("specimen")
    yield chosen
    for resource in RESOURCES.values():
        if await kube.find(resource, chosen) is not None:
            await kube.delete(resource, chosen)


@pytest.fixture
def kubectl(control_plane: Cluster, binaries: Binaries, tmp_path: Path) -> Commands:
    """The real kubectl."""
    return Commands(binaries, control_plane.kubeconfig, tmp_path)


@each_kind
async def test_the_least_that_is_valid_gets_the_defaults_of_the_models(kube: Kube, name: str, kind: type[Kind]) -> None:
    await kube.apply(RESOURCES[kind], named(name, MINIMAL[kind]))

    stored = await kube.get(RESOURCES[kind], name)

    assert stored["spec"] == kind.of({"spec": MINIMAL[kind]}).to_json()["spec"]


@each_kind
async def test_every_member_comes_back_as_it_was_sent(kube: Kube, name: str, kind: type[Kind]) -> None:
    sent = filled(kind, name).to_json()
    created = await kube.create(RESOURCES[kind], {"metadata": {"name": name}, "spec": sent["spec"]})
    assert "status" not in created, "the status is written through its own subresource"
    await kube.replace(RESOURCES[kind], {**created, "status": sent["status"]}, subresource="status")

    stored = await kube.get(RESOURCES[kind], name)

    assert (stored["spec"], stored["status"]) == (sent["spec"], sent["status"])
    read, meant = kind.of(stored), filled(kind, name)
    assert read.model_copy(update={"metadata": meant.metadata, "kind": meant.kind}) == meant


@each_kind
async def test_members_that_nobody_knows_are_pruned(kube: Kube, name: str, kind: type[Kind]) -> None:
    resource = RESOURCES[kind]
    spec: JsonObject = {**MINIMAL[kind], "surprise": {"deep": 1}}
    body: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, **named(name, spec)}

    stored = await kube.request("POST", resource.path(), query={"fieldValidation": "Ignore"}, body=body)

    assert "surprise" not in table(stored, "spec")


@each_mistake(refusals.PLANS)
async def test_a_wrong_plan_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await is_refused(kube, UPGRADE_PLANS, name, mistake)


@each_mistake(refusals.CATALOGS)
async def test_a_wrong_catalog_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await is_refused(kube, RELEASE_CATALOGS, name, mistake)


@each_mistake(refusals.POLICIES)
async def test_a_wrong_policy_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await is_refused(kube, UPGRADE_POLICIES, name, mistake)


@each_mistake(refusals.RUNS)
async def test_a_wrong_run_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await is_refused(kube, UPGRADE_RUNS, name, mistake)


@each_mistake(refusals.SUITES)
async def test_a_wrong_suite_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await is_refused(kube, CONFORMANCE_SUITES, name, mistake)


@each_mistake(refusals.EXERCISES)
async def test_a_wrong_conformance_run_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await is_refused(kube, CONFORMANCE_RUNS, name, mistake)


@each_mistake(refusals.EXERCISE_CHANGES)
async def test_a_conformance_run_stays_what_it_was_made_for(kube: Kube, name: str, mistake: Mistake) -> None:
    await kube.create(CONFORMANCE_RUNS, named(name, {"only": ["mtls"], "state": "Stop"}))

    with pytest.raises(Invalid) as refused:
        await kube.merge(CONFORMANCE_RUNS, name, put({}, mistake.path, mistake.value))

    says(refused.value, mistake)


async def test_what_the_catalogues_begin_with_is_valid(kube: Kube, name: str) -> None:
    for resource, base in refusals.BASE.items():
        await kube.create(resource, {"metadata": {"name": name}, **base}, dry_run=True)


@each_mistake(refusals.CHANGES)
async def test_a_run_stays_what_it_was_made_for(kube: Kube, name: str, mistake: Mistake) -> None:
    spec: JsonObject = {"target": "edge-26.8.3", "planRef": {"name": "some"}, "state": "Abort", "restartEpoch": 3}
    await kube.create(UPGRADE_RUNS, named(name, spec))

    with pytest.raises(Invalid) as refused:
        await kube.merge(UPGRADE_RUNS, name, put({}, mistake.path, mistake.value))

    says(refused.value, mistake)


async def test_a_run_can_be_paused_resumed_repeated_and_aborted(kube: Kube, name: str) -> None:
    await kube.create(UPGRADE_RUNS, named(name, MINIMAL[UpgradeRun]))
    changes: tuple[JsonObject, ...] = ({"state": "Pause"}, {"state": "Run"}, {"restartEpoch": 1}, {"state": "Abort"})

    for change in changes:
        stored = await kube.merge(UPGRADE_RUNS, name, {"spec": change})

        assert change.items() <= table(stored, "spec").items()


@each_mistake(refusals.STATUSES)
async def test_a_wrong_status_is_refused(kube: Kube, name: str, mistake: Mistake) -> None:
    await kube.create(UPGRADE_RUNS, named(name, MINIMAL[UpgradeRun]))

    with pytest.raises(Invalid) as refused:
        await kube.merge(UPGRADE_RUNS, name, put({}, mistake.path, mistake.value), subresource="status")

    says(refused.value, mistake)


async def test_a_spec_does_not_change_by_way_of_the_status(kube: Kube, name: str) -> None:
    await kube.create(UPGRADE_RUNS, named(name, MINIMAL[UpgradeRun]))
    both: JsonObject = {"spec": {"state": "Abort"}, "status": {"phase": "Running"}}

    stored = await kube.merge(UPGRADE_RUNS, name, both, subresource="status")

    assert (text(stored, "spec", "state"), text(stored, "status", "phase")) == ("Run", "Running")


@pytest.mark.parametrize("shipped", SHIPPED)
async def test_what_is_shipped_is_accepted(kube: Kube, shipped: str) -> None:
    body: JsonObject = yaml.safe_load(SHIPPED[shipped])
    kind = next(kind for kind in KINDS if kind.kind_name == text(body, "kind"))

    stored = await kube.create(RESOURCES[kind], body, dry_run=True)

    assert stored["spec"] == kind.of(body).to_json()["spec"]


@each_kind
async def test_kubectl_knows_a_kind_by_its_short_name_and_explains_it(kind: type[Kind], kubectl: Commands) -> None:
    (short,) = kind.short_names

    assert kubectl.kubectl("get", short, "--output=name") == kubectl.kubectl("get", kind.plural, "--output=name")
    explained = kubectl.kubectl("explain", short)
    assert kind.kind_name in explained
    assert " ".join(kind.description.split()) in " ".join(explained.split())


@pytest.mark.parametrize(("kind", "spec", "status", "table_"), TABLES, ids=lambda each: getattr(each, "plural", ""))
async def test_kubectl_shows_where_things_stand(
    kube: Kube, name: str, kind: type[Kind], spec: JsonObject, status: JsonObject, table_: str, kubectl: Commands
) -> None:
    (short,) = kind.short_names
    await kube.create(RESOURCES[kind], named(name, {**MINIMAL[kind], **spec}))
    await kube.merge(RESOURCES[kind], name, {"status": status}, subresource="status")

    shown = kubectl.kubectl("get", short, name)
    wide = kubectl.kubectl("get", short, name, "--output=wide")

    assert squeezed(shown.replace(name, "specimen")) == squeezed(table_)
    assert MESSAGE in wide


def squeezed(shown: str) -> list[str]:
    """Lines with single spaces, without the age that ends them."""
    return [" ".join(line.split()[:-1]) for line in shown.strip().splitlines()]


async def is_refused(kube: Kube, resource: Resource, name: str, mistake: Mistake) -> None:
    """Creating it is answered in words that name the member and say what is wrong."""
    with pytest.raises(Invalid) as refused:
        await kube.create(resource, mistake.make(resource, name), dry_run=True)
    says(refused.value, mistake)


def says(refused: Invalid, mistake: Mistake) -> None:
    """Whether the answer says what it should."""
    missing = [each for each in mistake.said if each not in str(refused)]
    assert not missing, f"{missing} is not said in: {refused}"
