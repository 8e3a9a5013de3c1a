"""What opens admin ports to whoever scrapes them under strict defaults, tried on a simulated data plane."""

import os
import subprocess
from pathlib import Path

import pytest

from steward.jsonvalue import JsonObject, dig, rows, text, texts
from steward.testing.dataplane.control.validation import Validator, validated
from steward.testing.linkerd.mesh import in_pod
from tests.common.testing.dataplane.lab import Lab, lab
from tests.deploy.kustomize import DEPLOY, kubectl, named, objects

COMPONENT = DEPLOY / "components" / "alerting" / "scrape-authorization"
STRICT = ("all-authenticated", "cluster-authenticated", "deny")
ADMIN = 4191
# Pods of the simulation have addresses on loopback, which is nobody's cluster network.
SIMULATED = """
patches:
- target: {kind: NetworkAuthentication, name: scrapers}
  patch: |
    - {op: replace, path: /spec/networks, value: [{cidr: 127.0.0.0/8}]}
"""


def built(folder: Path, *parts: str, more: str = "") -> list[JsonObject]:
    """The component, and parts of it, as somebody takes them for the namespace shop."""
    taken = [os.path.relpath(COMPONENT / part, folder.resolve()) for part in ("", *parts)]
    lines = ["namespace: shop", "components:", *(f"- {each}" for each in taken)]
    (folder / "kustomization.yaml").write_text("\n".join(lines) + more)
    done = subprocess.run([str(kubectl()), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


async def scraped(it: Lab, path: str = "/metrics") -> tuple[int, int, int]:
    """What Prometheus in the mesh, another meshed pod, and Prometheus outside of the mesh are answered."""
    ip = it.ip("web")
    clients = ("linkerd-viz/prometheus", "other", "yard/prometheus")
    first, second, third = [(await it.get(each, ip, path, ADMIN)).status for each in clients]
    return first, second, third


async def shop(it: Lab, policy: str) -> None:
    annotation = in_pod({"config.linkerd.io/default-inbound-policy": policy})
    it.workload("web", changes=annotation)
    it.workload("other")
    it.workload("prometheus", namespace="yard")
    it.mesh.namespace("linkerd-viz")
    it.workload("prometheus", namespace="linkerd-viz", changes=in_pod(spec={"serviceAccountName": "prometheus"}))
    await it.plane.settled()
    await it.until_ready("web")


@pytest.fixture
def by_identity(tmp_path: Path, renderer: None) -> list[JsonObject]:
    del renderer
    return built(tmp_path)


@pytest.fixture
def by_network(tmp_path: Path, renderer: None) -> list[JsonObject]:
    del renderer
    return built(tmp_path, "from-network", more=SIMULATED)


def test_every_object_is_in_the_namespace_that_was_asked_for_and_says_what_it_is_part_of(
    by_network: list[JsonObject],
) -> None:
    assert len(by_network) == 5
    for each in by_network:
        assert text(each, "metadata", "namespace") == "shop"
        assert texts(each, "metadata", "labels") == {"app.kubernetes.io/part-of": "linkerd-steward"}


def test_every_reference_leads_to_an_object_that_is_there(by_network: list[JsonObject]) -> None:
    for policy in (each for each in by_network if text(each, "kind") == "AuthorizationPolicy"):
        for reference in (dig(policy, "spec", "targetRef"), *rows(policy, "spec", "requiredAuthenticationRefs")):
            assert named(by_network, text(reference, "kind"), text(reference, "name"))


@pytest.mark.parametrize("policy", STRICT)
async def test_under_a_strict_default_whoever_scrapes_from_the_mesh_is_let_in_and_nobody_else(
    policy: str, by_identity: list[JsonObject]
) -> None:
    async with lab() as it:
        await shop(it, policy)
        before = await scraped(it)
        assert before == ((403, 403, 403) if policy == "deny" else (200, 200, 403))
        it.apply(*by_identity)
        assert await it.until(lambda: scraped(it), lambda found: found != before) == (200, 403, 403)


async def test_whoever_scrapes_from_outside_of_the_mesh_is_let_in_by_its_network(by_network: list[JsonObject]) -> None:
    async with lab() as it:
        await shop(it, "deny")
        it.apply(*by_network)
        assert await it.until(lambda: scraped(it), lambda found: found != (403, 403, 403)) == (200, 200, 200)


async def test_the_probes_of_the_kubelet_go_on(by_identity: list[JsonObject]) -> None:
    async with lab() as it:
        await shop(it, "deny")
        it.apply(*by_identity)
        await it.until(lambda: scraped(it), lambda found: found == (200, 403, 403))
        assert await scraped(it, "/ready") == await scraped(it, "/live") == (200, 200, 200)


async def test_nothing_but_the_admin_port_is_opened(by_network: list[JsonObject]) -> None:
    async with lab() as it:
        await shop(it, "deny")
        it.apply(*by_network)
        await it.until(lambda: scraped(it), lambda found: found == (200, 200, 200))
        assert (await it.get("other", it.ip("web"), port=8080)).status == 403


async def test_the_policy_controller_takes_it(by_network: list[JsonObject]) -> None:
    async with lab() as it:
        await shop(it, "deny")
        validator = Validator(it.plane.control.world, it.plane.faults, lambda: True)
        kinds = it.mesh.cluster.kinds
        for resource in validated([kind.resource for kind in kinds]):
            it.mesh.kubernetes.admit(resource, validator.admit, name="validator", operations=("CREATE", "UPDATE"))
        it.apply(*by_network)
        for each in by_network:
            served = kinds.named(text(each, "apiVersion"), text(each, "kind"))
            assert served is not None
            assert it.mesh.cluster.find(served.resource, text(each, "metadata", "name"), "shop") is not None
