"""What is gathered of a mesh, and what is said where something cannot be."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog
import yaml

from services.alerting.core.exported.certificates import Standing
from services.alerting.core.exported.exposition import Exposition, Facts, exposition
from services.alerting.core.exported.samples import Samples
from services.alerting.core.exported.unread import Fact
from services.alerting.edges.mesh_facts import MeshFacts
from steward.jsonvalue import Json, JsonObject
from steward.kube.client import Kube
from steward.kube.resources import (
    CONFIG_MAPS,
    CONFORMANCE_RUNS,
    CRDS,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    SECRETS,
    UPGRADE_RUNS,
)
from steward.mesh.view import MeshView
from steward.resources.conformance_run import ConformanceRun
from steward.resources.definitions import definition
from steward.resources.upgrade_run import UpgradeRun
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.faults import Refuse
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.certificates import Trust, webhook_pair
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.values import Method
from steward.testing.linkerd.webhooks import INJECTOR

VERSION = "edge-26.8.3"
ISSUER = "linkerd-identity-issuer"
READ = ("get", "list", "watch")
VIEW = (
    Rule(READ, ("",), ("pods", "namespaces", "configmaps")),
    Rule(READ, ("apps",), ("deployments", "statefulsets", "daemonsets")),
    Rule(READ, ("apiextensions.k8s.io",), ("customresourcedefinitions",)),
)
SECRETS_IN_LINKERD = Rule(("get",), ("",), ("secrets",), ("linkerd",))
WEBHOOKS = Rule(("get",), ("admissionregistration.k8s.io",), ("*",))
CERT_MANAGER = Rule(("list",), ("cert-manager.io",), ("certificates",), ("linkerd",))
RUNS = Rule(("list", "watch"), ("steward.linkerd.io",), ("upgraderuns", "conformanceruns"))
ENOUGH = (*VIEW, SECRETS_IN_LINKERD, WEBHOOKS, CERT_MANAGER, RUNS)


@asynccontextmanager
async def gathering(kube: Kube) -> AsyncIterator[MeshFacts]:
    """A view that is synced where it can be, and the facts over it."""
    view = MeshView(kube)
    facts = MeshFacts(kube, view)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(view.run()), tasks.create_task(facts.run())]
        try:
            yield facts
        finally:
            for task in running:
                task.cancel()


async def when(facts: MeshFacts, so: Callable[[Facts], bool]) -> Facts:
    """The first look of which it is so. Each look asks the API server, so watches move on meanwhile."""
    async with asyncio.timeout(30):
        while True:
            seen = await facts.look()
            if so(seen):
                return seen


def seen_all(seen: Facts) -> bool:
    return seen.inventory is not None and not any("not listed yet" in each.message for each in seen.unread)


async def shown(kube: Kube) -> Exposition:
    async with gathering(kube) as facts:
        return exposition(await when(facts, seen_all), None)


def values(samples: Samples) -> dict[tuple[str, ...], float]:
    return {each.labels: each.value for each in samples}


def serve(kubernetes: FakeKubernetes, body: JsonObject) -> None:
    kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(body)))


def serve_cert_manager(kubernetes: FakeKubernetes) -> None:
    schema: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: JsonObject = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names: JsonObject = {"kind": "Certificate", "plural": "certificates", "singular": "certificate"}
    spec: JsonObject = {"group": "cert-manager.io", "names": names, "scope": "Namespaced", "versions": [version]}
    serve(
        kubernetes,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "certificates.cert-manager.io"},
            "spec": spec,
        },
    )


async def test_a_sound_mesh_agrees_with_itself(simulated_mesh: SimulatedMesh, kube: Kube) -> None:
    await simulated_mesh.install(VERSION, ha=True)
    simulated_mesh.workload("Deployment", "shop", "web", replicas=2)
    await simulated_mesh.settled()

    found = await shown(kube)

    assert found.unread == ()
    assert {each.labels[0] for each in found.certificates.not_after} == {"TrustAnchor", "Issuer", "Webhook"}
    assert values(found.certificates.issuer_agrees) == {(): 1.0}
    assert set(values(found.certificates.webhook_agrees).values()) == {1.0}
    assert len(found.certificates.webhook_agrees) == 3
    three = {("destination",): 3.0, ("identity",): 3.0, ("proxy-injector",): 3.0}
    assert values(found.replicas.expected) == values(found.replicas.ready) == three
    assert values(found.meshed_pods)[("shop",)] == 2.0
    assert set(values(found.unmeshed_pods).values()) == {0.0}


async def test_pods_that_started_while_the_injector_was_away_are_seen(
    simulated_mesh: SimulatedMesh, kube: Kube
) -> None:
    await simulated_mesh.install(VERSION)
    simulated_mesh.change("Deployment", "linkerd", "linkerd-proxy-injector", {"spec": {"replicas": 0}})
    await simulated_mesh.settled()
    simulated_mesh.workload("Deployment", "shop", "web", replicas=2)
    await simulated_mesh.settled()

    found = await shown(kube)

    assert values(found.unmeshed_pods)[("shop",)] == 2.0
    assert values(found.replicas.expected)[("proxy-injector",)] == 1.0
    assert values(found.replicas.ready)[("proxy-injector",)] == 0.0


async def test_a_webhook_whose_certificate_its_caller_does_not_know_disagrees(
    simulated_mesh: SimulatedMesh, kube: Kube
) -> None:
    await simulated_mesh.install(VERSION)
    now = simulated_mesh.kubernetes.clock.now()
    pair, stranger = (webhook_pair(INJECTOR.service, now, quick=True) for _ in range(2))
    simulated_mesh.certify(INJECTOR, pair, trusted=stranger)

    found = await shown(kube)

    disagreeing = [each.labels for each in found.certificates.webhook_agrees if not each.value]
    assert disagreeing == [("linkerd-proxy-injector.linkerd.io", "linkerd-proxy-injector-k8s-tls")]


async def test_an_issuer_of_another_anchor_disagrees_in_either_layout_and_no_key_is_kept(
    simulated_mesh: SimulatedMesh, kube: Kube
) -> None:
    await simulated_mesh.install(VERSION, method=Method.HELM)
    stranger = Trust.for_helm(simulated_mesh.kubernetes.clock.now()).issuer
    data: JsonObject = {
        "tls.crt": base64.b64encode(stranger.certificate.encode()).decode(),
        "tls.key": base64.b64encode(stranger.key.encode()).decode(),
    }
    await kube.delete(SECRETS, ISSUER, "linkerd")
    await kube.create(SECRETS, {"metadata": {"name": ISSUER}, "type": "kubernetes.io/tls", "data": data}, "linkerd")

    async with gathering(kube) as facts:
        seen = await when(facts, seen_all)

    assert values(exposition(seen, None).certificates.issuer_agrees) == {(): 0.0}
    assert str(data["tls.key"])[:40] not in repr(seen)
    assert stranger.key.splitlines()[1] not in repr(seen)


async def test_where_linkerd_is_not_installed_nothing_is_said_and_nothing_is_missing(kube: Kube) -> None:
    found = await shown(kube)
    assert found.unread == ()
    assert found.certificates.issuer_agrees == ()
    assert found.certificates.webhook_agrees == ()
    assert found.replicas.expected == ()


async def test_what_cert_manager_plans_is_read_where_it_is_installed(simulated_mesh: SimulatedMesh, kube: Kube) -> None:
    await simulated_mesh.install(VERSION)
    serve_cert_manager(simulated_mesh.kubernetes)
    certificates = type(UPGRADE_RUNS)("cert-manager.io", "v1", "certificates", "Certificate")
    status: JsonObject = {
        "renewalTime": "2027-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    body: JsonObject = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "issuer"},
        "spec": {"secretName": ISSUER},
        "status": status,
    }
    await kube.create(certificates, body, "linkerd")

    found = await shown(kube)

    place = ("Issuer", "linkerd", ISSUER)
    assert set(values(found.certificates.renewal)) == set(values(found.certificates.ready)) == {place}


async def test_the_webhooks_of_viz_are_seen_where_viz_is(simulated_mesh: SimulatedMesh, kube: Kube) -> None:
    await simulated_mesh.install(VERSION)
    pair = webhook_pair("tap-injector", simulated_mesh.kubernetes.clock.now(), quick=True)
    encoded = base64.b64encode(pair.certificate.encode()).decode()
    labels: JsonObject = {"linkerd.io/extension": "viz"}
    await kube.create(NAMESPACES, {"metadata": {"name": "linkerd-viz", "labels": labels}})
    secret: JsonObject = {"metadata": {"name": "tap-injector-k8s-tls"}, "data": {"tls.crt": encoded}}
    await kube.create(SECRETS, secret, "linkerd-viz")
    client: JsonObject = {"caBundle": encoded, "service": {"name": "tap-injector", "namespace": "linkerd-viz"}}
    hook: JsonObject = {
        "name": "tap-injector.linkerd.io",
        "clientConfig": client,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    name: JsonObject = {"name": "linkerd-tap-injector-webhook-config"}
    await kube.create(MUTATING_WEBHOOKS, {"metadata": name, "webhooks": list[Json]([hook])})

    found = await shown(kube)

    assert found.unread == (), "tap has no certificate of its own here, and nobody misses it"
    key = ("tap-injector.linkerd.io", "tap-injector-k8s-tls")
    # Its certificate is for linkerd.svc, not for linkerd-viz.svc: the API server would not take it.
    assert values(found.certificates.webhook_agrees)[key] == 0.0
    assert ("Webhook", "linkerd-viz") in {each.labels[:2] for each in found.certificates.not_after}


async def test_runs_are_followed_as_they_begin_and_end(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    serve(fake_kubernetes, definition(UpgradeRun))
    serve(fake_kubernetes, definition(ConformanceRun))
    await kube.create(UPGRADE_RUNS, {"metadata": {"name": "next"}, "spec": {"target": VERSION}})
    await kube.create(CONFORMANCE_RUNS, {"metadata": {"name": "nightly"}, "spec": {}})
    acting: JsonObject = {
        "startedAt": "2026-08-22T10:00:00Z",
        "conditions": [
            {
                "type": "Progressing",
                "status": "True",
                "reason": "Started",
                "message": "",
                "lastTransitionTime": "2026-08-22T10:00:00Z",
            }
        ],
    }
    failing: JsonObject = {"feature": "mtls.identity", "state": "Failing", "at": "2026-08-22T10:00:00Z"}
    async with gathering(kube) as facts:
        fake_kubernetes.cluster.set_status(UPGRADE_RUNS, "next", acting)
        fake_kubernetes.cluster.set_status(CONFORMANCE_RUNS, "nightly", {"features": [failing]})
        seen = await when(facts, lambda each: any(run.acts for run in each.upgrades))
        seen = await when(facts, lambda each: any(run.features for run in each.conformance))
        assert values(exposition(seen, None).upgrades) == {("next",): 1.0}
        assert [each.labels[0] for each in exposition(seen, None).failed_features] == ["mtls.identity"]
        fake_kubernetes.cluster.set_status(UPGRADE_RUNS, "next", {**acting, "finishedAt": "2026-08-22T11:00:00Z"})
        seen = await when(facts, lambda each: not any(run.acts for run in each.upgrades))
        assert exposition(seen, None).upgrades == ()


async def test_kinds_that_are_not_installed_make_no_noise(simulated_mesh: SimulatedMesh, kube: Kube) -> None:
    await simulated_mesh.install(VERSION)
    with structlog.testing.capture_logs() as said:
        async with gathering(kube) as facts:
            seen = await when(facts, seen_all)
    assert (seen.unread, said) == ((), [])


async def test_a_mesh_of_which_nothing_was_heard_for_long_is_no_picture_of_it(
    simulated_mesh: SimulatedMesh, fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    await simulated_mesh.install(VERSION)
    async with (
        await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), clock=manual_clock) as kube,
        gathering(kube) as facts,
    ):
        assert (await when(facts, seen_all)).inventory is not None
        await manual_clock.advance(timedelta(minutes=31))
        seen = await facts.look()
    assert seen.inventory is None
    assert "last heard of the mesh 0:31:00 ago" in seen.unread[0].message


async def test_with_the_least_rights_everything_is_seen(
    simulated_mesh: SimulatedMesh, fake_kubernetes: FakeKubernetes
) -> None:
    await simulated_mesh.install(VERSION)
    serve_cert_manager(fake_kubernetes)
    serve(fake_kubernetes, definition(UpgradeRun))
    serve(fake_kubernetes, definition(ConformanceRun))
    async with await Kube.connect(kubeconfig=fake_kubernetes.add_user("alerting", "alerting", ENOUGH)) as kube:
        found = await shown(kube)
    assert found.unread == ()
    assert values(found.certificates.issuer_agrees) == {(): 1.0}


@pytest.mark.parametrize(
    ("missing", "fact", "right"),
    [
        (SECRETS_IN_LINKERD, Fact.CERTIFICATES, f"get secrets linkerd/{ISSUER}"),
        (
            WEBHOOKS,
            Fact.CERTIFICATES,
            "get mutatingwebhookconfigurations.admissionregistration.k8s.io linkerd-proxy-injector-webhook-config",
        ),
        (CERT_MANAGER, Fact.RENEWALS, "list certificates.cert-manager.io in linkerd"),
        (RUNS, Fact.UPGRADES, "list and watch upgraderuns.steward.linkerd.io"),
        (RUNS, Fact.CONFORMANCE, "list and watch conformanceruns.steward.linkerd.io"),
    ],
)
async def test_a_missing_right_takes_away_its_own_numbers_and_is_named(
    simulated_mesh: SimulatedMesh, fake_kubernetes: FakeKubernetes, missing: Rule, fact: Fact, right: str
) -> None:
    await simulated_mesh.install(VERSION)
    serve_cert_manager(fake_kubernetes)
    serve(fake_kubernetes, definition(UpgradeRun))
    serve(fake_kubernetes, definition(ConformanceRun))
    rules = [each for each in ENOUGH if each is not missing]
    async with await Kube.connect(kubeconfig=fake_kubernetes.add_user("alerting", "alerting", rules)) as kube:
        found = await shown(kube)
    assert right in {each.right for each in found.unread if each.fact is fact}
    assert values(found.unread_facts)[(fact.value,)] >= 1.0
    assert values(found.replicas.expected)[("identity",)] == 1.0
    assert bool(found.certificates.issuer_agrees) is (missing is not SECRETS_IN_LINKERD)


async def test_a_mesh_that_cannot_be_listed_has_no_numbers_and_says_which_right_is_missing(
    simulated_mesh: SimulatedMesh, fake_kubernetes: FakeKubernetes
) -> None:
    await simulated_mesh.install(VERSION)
    without_pods = [Rule(READ, ("",), ("namespaces", "configmaps")), *ENOUGH[1:]]
    async with (
        await Kube.connect(kubeconfig=fake_kubernetes.add_user("alerting", "alerting", without_pods)) as kube,
        gathering(kube) as facts,
    ):
        seen = await when(facts, lambda each: any("pods" in unread.message for unread in each.unread))
    assert seen.inventory is None
    found = exposition(seen, None)
    assert found.unmeshed_pods == ()
    assert found.replicas.expected == ()
    assert values(found.certificates.issuer_agrees) == {(): 1.0}, "what can be read is"


async def test_a_passing_failure_forgets_nothing_and_a_refusal_does(
    simulated_mesh: SimulatedMesh, fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    await simulated_mesh.install(VERSION)
    path = f"/api/v1/namespaces/linkerd/secrets/{ISSUER}$"
    async with gathering(kube) as facts:
        await when(facts, seen_all)
        fake_kubernetes.faults.add(Refuse(503, "ServiceUnavailable", "starting"), path=path, times=None)
        seen = await facts.look()
        assert values(exposition(seen, None).certificates.issuer_agrees) == {(): 1.0}
        assert "starting" in next(each.message for each in seen.unread if each.fact is Fact.CERTIFICATES)
        fake_kubernetes.faults.clear()
        fake_kubernetes.faults.add(Refuse(403, "Forbidden", "not you"), path=path, times=None)
        seen = await facts.look()
    assert exposition(seen, None).certificates.issuer_agrees == ()
    assert [each.standing for each in seen.certificates.holdings if each.name == ISSUER] == [Standing.UNKNOWN]


async def test_a_bundle_that_somebody_broke_is_reported_and_the_rest_of_it_is_shown(
    simulated_mesh: SimulatedMesh, kube: Kube
) -> None:
    trust = await simulated_mesh.install(VERSION)
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bundle: JsonObject = {"data": {"ca-bundle.crt": broken + trust.anchors}}
    await kube.merge(CONFIG_MAPS, "linkerd-identity-trust-roots", bundle, "linkerd")

    found = await shown(kube)

    assert len([each for each in found.certificates.not_after if each.labels[0] == "TrustAnchor"]) == 1
    assert values(found.unread_facts)[("Certificates",)] == 1.0
    assert "block 1 of 2" in found.unread[0].message
