"""`linkerd check` of the stand-in, field by field against what the real one said of clusters in the same state."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from steward.jsonvalue import JsonObject, text
from steward.kube.resources import CLUSTER_ROLES, CONFIG_MAPS, CRDS, MUTATING_WEBHOOKS, SECRETS, SERVICES, Resource
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.certificates import YEAR, Authority, Pair, Trust, Validity, webhook_pair
from steward.testing.linkerd.manifests import rendered
from steward.testing.linkerd.mesh import SimulatedMesh, in_pod
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.simulation.engine import Pace
from steward.testing.linkerd.simulation.faults import InjectorFault, PodFault
from steward.testing.linkerd.values import Installation, Method
from steward.testing.linkerd.webhooks import INJECTOR
from tests.common.testing_linkerd import recorded
from tests.common.testing_linkerd.command_line import cluster_of, linkerd, steady, told

V219, OLD, NEW = recorded.VERSIONS
DAY = timedelta(days=1)
Prepare = Callable[[SimulatedMesh], Awaitable[None]]
UNREACHABLE = "http://127.0.0.1:9/version.json"


@dataclass(frozen=True, slots=True)
class Case:
    """A recording and how to bring a cluster into the same state."""

    file: str
    prepare: Prepare
    cli: str = NEW
    arguments: str = ""
    feed: str = ""
    code: int = 0


def now(mesh: SimulatedMesh) -> datetime:
    return mesh.kubernetes.clock.now()


def installed(version: str, method: Method = Method.CLI) -> Prepare:
    async def prepare(mesh: SimulatedMesh) -> None:
        await mesh.install(version, method=method)

    return prepare


def upgraded(
    before: str, after: str, *, restarted: bool = False, method: Method = Method.CLI, replicas: int = 3
) -> Prepare:
    """A control plane that moved on, with a Deployment `web` that did or did not follow."""

    async def prepare(mesh: SimulatedMesh) -> None:
        await mesh.install(before, method=method)
        mesh.workload("Deployment", "app1", "web", replicas)
        await mesh.settled()
        if after != before:
            await mesh.upgrade(after)
        if restarted:
            mesh.restart("Deployment", "app1", "web", "1")
            await mesh.settled()

    return prepare


def with_trust(make: Callable[[datetime], Trust]) -> Prepare:
    async def prepare(mesh: SimulatedMesh) -> None:
        await mesh.install(NEW, trust=make(now(mesh)))

    return prepare


def scaled_down(component: str) -> Prepare:
    async def prepare(mesh: SimulatedMesh) -> None:
        await mesh.install(NEW)
        mesh.workload("Deployment", "app1", "web", 1)
        mesh.change("Deployment", "linkerd", f"linkerd-{component}", {"spec": {"replicas": 0}})
        await mesh.settled()

    return prepare


def without(resource: Resource, name: str, namespace: str = "") -> Prepare:
    async def prepare(mesh: SimulatedMesh) -> None:
        await mesh.install(NEW)
        mesh.delete(resource, name, namespace)

    return prepare


def certified(make: Callable[[datetime], tuple[Pair, Pair | None]]) -> Prepare:
    async def prepare(mesh: SimulatedMesh) -> None:
        await mesh.install(NEW)
        serving, trusted = make(now(mesh))
        mesh.certify(INJECTOR, serving, trusted=trusted)

    return prepare


def injector_pair(moment: datetime, life: timedelta = YEAR, name: str | None = None) -> Pair:
    return webhook_pair(INJECTOR.service, moment, life=life, name=name, quick=True)


def signed_at(moment: datetime, issuer: Validity, anchor_life: timedelta = 10 * YEAR) -> Trust:
    root = Authority.self_signed("root.linkerd.cluster.local", Validity.around(moment, anchor_life))
    return Trust(root.pair.certificate, root.issue_authority("identity.linkerd.cluster.local", issuer).pair)


def expired_anchor(moment: datetime) -> str:
    return Authority.self_signed("root.linkerd.cluster.local", Validity.around(moment, -DAY)).pair.certificate


async def two_anchors_and_stale_proxies(mesh: SimulatedMesh) -> None:
    await mesh.install(NEW)
    mesh.workload("Deployment", "app1", "web", 3)
    await mesh.settled()
    assert mesh.installed is not None
    more = Trust.for_helm(now(mesh)).anchors
    await mesh.upgrade(NEW, trust=mesh.installed.installation.trust.with_anchor_added(more))


async def rotated_behind_the_back_of_the_configuration(mesh: SimulatedMesh) -> None:
    await mesh.install(NEW)
    rotated = Installation.planned(Release(NEW), Trust.for_helm(now(mesh)), Method.CLI)
    objects = rendered(rotated, lambda _: rotated.trust.issuer)
    wanted = ("linkerd-identity-trust-roots", "linkerd-identity-issuer")
    mesh.apply([one for one in objects if text(one, "metadata", "name") in wanted], manager="kubectl")


async def not_injected(mesh: SimulatedMesh) -> None:
    await mesh.install(NEW)
    mesh.faults.injector = InjectorFault.BAD_CERTIFICATE
    mesh.workload("Deployment", "app1", "web", 3)
    await mesh.settled()


async def mixed_kinds(mesh: SimulatedMesh) -> None:
    await mesh.install(NEW)
    pin = {"config.linkerd.io/proxy-version": OLD, "config.linkerd.io/proxy-enable-native-sidecar": "false"}
    mesh.workload("Pod", "x1", "pinned", annotations=pin)
    mesh.workload("Pod", "x1", "optout", annotations={"linkerd.io/inject": "disabled"})
    mesh.workload("Pod", "x1", "hostnet", changes={"spec": {"hostNetwork": True}})
    mesh.workload("StatefulSet", "x1", "ss", 2)
    mesh.workload("DaemonSet", "x1", "ds")
    await mesh.settled()


async def stuck(mesh: SimulatedMesh) -> None:
    await mesh.install(NEW, method=Method.HELM)
    mesh.faults.break_workload("linkerd", "linkerd-destination", PodFault.UNSCHEDULABLE)
    mesh.restart("Deployment", "linkerd", "linkerd-destination", "1")
    await mesh.settled()


async def bare(_mesh: SimulatedMesh) -> None:
    """Nothing is installed."""


PROXY = "--proxy -n app1"
CASES = [
    Case("check/healthy-edge-26.8.3.json", installed(NEW)),
    Case("check/healthy-same-version.json", installed(OLD), OLD),
    Case("check/version-skew-newer-cli.json", installed(OLD), arguments=f"--expected-version {NEW}"),
    Case("check/older-cli-newer-cp.json", installed(NEW), OLD, f"--expected-version {NEW}"),
    Case("check/outdated-vs-feed.json", installed(OLD), OLD, f"--expected-version {NEW}"),
    Case("check/versioncheck-unreachable.json", installed(OLD), OLD, feed=UNREACHABLE),
    Case("check/crds.json", installed(OLD), OLD, "--crds", feed=UNREACHABLE),
    Case("check/not-installed.json", bare, arguments=f"--expected-version {NEW}", code=1),
    Case("check/after-cp-upgrade-dp-stale.json", upgraded(OLD, NEW)),
    Case("check/proxy-after-cp-upgrade-dp-stale.json", upgraded(OLD, NEW), arguments=PROXY),
    Case("check/proxy-version-skew-newer-cli.json", upgraded(OLD, OLD), arguments=PROXY),
    Case("check/proxy-healthy.json", upgraded(OLD, OLD), OLD, "--proxy"),
    Case("check/proxy-healthy-edge-26.8.3.json", upgraded(OLD, NEW, restarted=True), arguments="--proxy"),
    Case("check/proxy-mixed-kinds.json", mixed_kinds, arguments="--proxy -n x1"),
    Case("check/proxy-not-injected.json", not_injected, arguments=PROXY, code=1),
    Case("check/fault-destination-scaled-to-0.json", scaled_down("destination"), code=1),
    Case("check/fault-destination-scaled-to-0.proxy.json", scaled_down("destination"), arguments=PROXY, code=1),
    Case("check/fault-injector-scaled-to-0.json", scaled_down("proxy-injector"), code=1),
    Case("check/fault-missing-clusterrole.json", without(CLUSTER_ROLES, "linkerd-linkerd-destination")),
    Case("check/fault-missing-crd.json", without(CRDS, "serviceprofiles.linkerd.io"), code=1),
    Case(
        "check/fault-missing-injector-webhook.json",
        without(MUTATING_WEBHOOKS, "linkerd-proxy-injector-webhook-config"),
        code=1,
    ),
    Case("check/fault-missing-linkerd-config.json", without(CONFIG_MAPS, "linkerd-config", "linkerd"), code=1),
    Case("check/certs-custom-healthy.json", with_trust(Trust.for_helm)),
    Case("check/certs-anchor-expired.json", with_trust(lambda t: signed_at(t, Validity.around(t, -DAY), -DAY)), code=1),
    Case(
        "check/certs-anchor-expires-30d.json",
        with_trust(lambda t: signed_at(t, Validity.around(t, 29 * DAY), 30 * DAY)),
    ),
    Case("check/certs-issuer-expired.json", with_trust(lambda t: signed_at(t, Validity.around(t, -DAY))), code=1),
    Case("check/certs-issuer-expires-30d.json", with_trust(lambda t: signed_at(t, Validity.around(t, 30 * DAY)))),
    Case("check/certs-issuer-not-yet-valid.json", with_trust(lambda t: signed_at(t, Validity.later(t, DAY))), code=1),
    Case(
        "check/certs-issuer-not-from-anchor.json",
        with_trust(lambda t: Trust.for_helm(t).with_issuer(Trust.for_helm(t).issuer)),
        code=1,
    ),
    Case(
        "check/certs-bundle-two-anchors.json",
        with_trust(lambda t: Trust.for_helm(t).with_anchor_added(Trust.for_helm(t).anchors)),
    ),
    Case(
        "check/certs-bundle-two-anchors-one-expired.json",
        with_trust(lambda t: Trust.for_helm(t).with_anchor_added(expired_anchor(t))),
        code=1,
    ),
    Case("check/certs-bundle-two-anchors.proxy.json", two_anchors_and_stale_proxies, arguments=PROXY),
    Case("check/certs-rotated-linkerd-config-stale.json", rotated_behind_the_back_of_the_configuration, code=1),
    Case("check/webhook-cert-expired.json", certified(lambda t: (injector_pair(t, -DAY), None)), code=1),
    Case("check/webhook-cert-expires-30d.json", certified(lambda t: (injector_pair(t, 30 * DAY), None))),
    Case(
        "check/webhook-cert-wrong-san.json",
        certified(lambda t: (injector_pair(t, name="other.linkerd.svc"), None)),
        code=1,
    ),
    Case(
        "check/webhook-cert-cabundle-mismatch.json",
        certified(lambda t: (injector_pair(t), injector_pair(t))),
        code=1,
    ),
    Case("helm/check-after-helm-install.json", installed(OLD, Method.HELM), OLD),
    Case("helm/check-after-helm-upgrade.json", upgraded(OLD, NEW, method=Method.HELM)),
    Case("helm/check-after-rollback.json", upgraded(NEW, OLD, method=Method.HELM)),
    Case("helm/check-stuck-rollout.json", stuck, code=1),
    Case("step219/check-healthy-25.10.7.json", installed(V219), V219),
    Case("step219/check-newer-cli.json", installed(V219), OLD),
    Case("step219/check-proxy-mixed.json", upgraded(V219, OLD, replicas=2), OLD, PROXY),
    Case("step219/check-proxy-after-restart.json", upgraded(V219, OLD, restarted=True, replicas=2), OLD, PROXY),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
async def test_the_answer_is_the_recorded_one(case: Case, simulated_mesh: SimulatedMesh) -> None:
    expected = recorded.stream(recorded.path("recordings", *case.file.split("/")).read_text())
    async with asyncio.timeout(60):
        await case.prepare(simulated_mesh)
        with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
            said = await linkerd(
                case.cli, "check", "-o", "json", "--wait", "0s", *case.arguments.split(), feed=case.feed
            )
    assert told(said.documents) == told(expected)
    assert (said.code, said.err) == (case.code, "")


TABLES = [
    Case("check/fault-destination-scaled-to-0.table.txt", scaled_down("destination"), code=1),
    Case("check/version-skew-newer-cli.short.txt", installed(OLD), arguments="-o short"),
]


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.file)
async def test_the_text_is_the_recorded_one(case: Case, simulated_mesh: SimulatedMesh) -> None:
    expected = recorded.path("recordings", *case.file.split("/")).read_text()
    await case.prepare(simulated_mesh)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--wait", "0s", *case.arguments.split())
    assert steady(said.out) == steady(expected)
    assert said.code == case.code


async def test_without_a_kubeconfig_the_answer_is_still_json() -> None:
    expected = recorded.stream(recorded.path("recordings", "check", "no-kubeconfig.json").read_text())
    with cluster_of(None):
        said = await linkerd(NEW, "check", "-o", "json", "--wait", "3s")
    assert said.documents == expected
    assert said.code == 1


async def test_an_unreachable_cluster_is_the_second_check() -> None:
    async with FakeKubernetes() as kubernetes:
        kubeconfig = kubernetes.kubeconfig()
        await kubernetes.stop()
        with cluster_of(kubeconfig):
            said = await linkerd(NEW, "check", "-o", "json", "--wait", "0s")
    checks = told(said.documents)
    assert said.code == 1
    assert "can query the Kubernetes API" in str(checks)
    assert "connection refused" in str(checks)


PRE = [
    Case("check-pre/no-gateway-crds.json", bare, code=1),
    Case("extension/check-pre.json", installed(NEW), code=1),
]


@pytest.mark.parametrize("case", PRE, ids=lambda case: case.file)
async def test_the_check_before_an_installation_is_the_recorded_one(case: Case, simulated_mesh: SimulatedMesh) -> None:
    expected = recorded.stream(recorded.path("recordings", *case.file.split("/")).read_text())
    await case.prepare(simulated_mesh)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--pre", "-o", "json", "--wait", "0s")
    assert told(said.documents) == told(expected)
    assert said.code == case.code


@pytest.mark.parametrize(("form", "file"), [("json", "ok.json"), ("table", "ok.table.txt")])
async def test_a_cluster_that_is_ready_for_linkerd_says_so(form: str, file: str, simulated_mesh: SimulatedMesh) -> None:
    expected = recorded.path("recordings", "check-pre", file).read_text()
    simulated_mesh.gateway_api()
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--pre", "-o", form)
    assert said.out.strip() == expected.strip()
    assert said.code == 0


async def test_a_check_waits_for_what_may_still_come(simulated_mesh: SimulatedMesh) -> None:
    await scaled_down("destination")(simulated_mesh)
    simulated_mesh.pace = Pace(start=timedelta(milliseconds=800))
    simulated_mesh.change("Deployment", "linkerd", "linkerd-destination", {"spec": {"replicas": 1}})
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "-o", "json", "--wait", "30s")
    assert said.code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("-o", "yaml"), "Invalid output type 'yaml'"),
        (("--pre", "--proxy"), "mutually exclusive"),
        (("--wait", "soon"), "invalid duration"),
        (("--nonsense",), "unknown flag: --nonsense"),
        (("--wait",), "flag needs an argument: --wait"),
    ],
)
async def test_a_wrong_flag_is_named(arguments: tuple[str, ...], problem: str) -> None:
    with cluster_of(None):
        said = await linkerd(NEW, "check", *arguments)
    assert problem in said.err
    assert (said.code, said.out) == (1, "")


async def test_a_pinned_deployment_is_called_out_of_date_for_ever(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW)
    pinned = in_pod({"config.linkerd.io/proxy-version": OLD})
    simulated_mesh.workload("Deployment", "app1", "web", 1, changes=pinned)
    await simulated_mesh.settled()
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--proxy", "-o", "short")
    assert "some proxies are not running the current version" in said.out
    assert said.code == 0


async def test_a_highly_available_control_plane_must_have_replicas(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW, ha=True)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        assert "linkerd-ha-checks" in (await linkerd(NEW, "check", "-o", "json")).out
        simulated_mesh.change("Deployment", "linkerd", "linkerd-identity", {"spec": {"replicas": 1}})
        await simulated_mesh.settled()
        said = await linkerd(NEW, "check", "-o", "short")
    assert "not enough replicas available for [linkerd-identity]" in said.out
    assert said.code == 0


async def test_a_secret_that_is_gone_fails_the_identity(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW)
    simulated_mesh.delete(SECRETS, "linkerd-identity-issuer", "linkerd")
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "-o", "short", "--wait", "0s")
    assert "certificate config is valid" in said.out
    assert said.code == 1


async def test_settings_written_as_labels_are_pointed_out(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW)
    label: JsonObject = {"config.linkerd.io/proxy-log-level": "debug"}
    changes: JsonObject = {"spec": {"template": {"metadata": {"labels": label}}}}
    simulated_mesh.workload("Deployment", "app1", "web", 1, changes=changes)
    marked: JsonObject = {"name": "web", "annotations": {"config.linkerd.io/opaque-ports": "8080"}}
    spec: JsonObject = {"selector": {"app": "web"}, "ports": [{"port": 8080}]}
    simulated_mesh.cluster.create(SERVICES, {"metadata": marked, "spec": spec}, "app1")
    await simulated_mesh.settled()
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--proxy", "-n", "app1", "-o", "short")
    assert "Some labels on data plane pods should be annotations" in said.out
    assert "config.linkerd.io/proxy-log-level=debug" in said.out
    assert "service web expects target port 8080 to be opaque" in said.out
    assert said.code == 0


async def test_a_namespace_that_does_not_exist_is_named(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--proxy", "-n", "nowhere", "-o", "short", "--wait", "0s")
    assert 'The "nowhere" namespace does not exist' in said.out
    assert said.code == 1


async def test_a_proxy_that_is_not_ready_is_an_error(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW)
    simulated_mesh.faults.break_workload("app1", "web", PodFault.PROXY_NEVER_READY)
    simulated_mesh.workload("Deployment", "app1", "web", 1)
    await simulated_mesh.settled()
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "check", "--proxy", "-n", "app1", "-o", "short", "--wait", "0s")
    assert 'container "linkerd-proxy" in pod "web-' in said.out
    assert said.code == 1


async def test_an_old_kubernetes_is_an_error() -> None:
    async with FakeKubernetes(version="v1.30.4") as kubernetes, SimulatedMesh(kubernetes) as mesh:
        await mesh.install(NEW)
        with cluster_of(kubernetes.kubeconfig()):
            said = await linkerd(NEW, "check", "-o", "short", "--wait", "0s")
    assert "Kubernetes is on version [1.30.4], but version [1.31.0] or more recent is required" in said.out
    assert said.code == 1
