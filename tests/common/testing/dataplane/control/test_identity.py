from base64 import b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from steward.jsonvalue import JsonObject, text
from steward.kube.resources import CONFIG_MAPS, CORE_EVENTS, SECRETS
from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.identity import NoIdentity, signed_by
from steward.testing.dataplane.control.leaf import Leaf
from steward.testing.dataplane.control.settings import bundle_of
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy.tls import identity_of
from steward.testing.kubernetes.cluster import Patch
from steward.testing.linkerd.certificates import Pair, Trust
from steward.testing.linkerd.proxy import TRUST_ROOTS
from tests.common.testing.dataplane.control.world_of import Cluster, cluster

WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local"


def settings(world: Cluster, pod: str = "web-1") -> ProxySettings:
    bundle = bundle_of(world.control.world)
    return ProxySettings(pod, "shop", "10.42.0.7", "edge-26.8.3", account="web", trust_anchors=bundle)


def rotate(world: Cluster, pair: Pair) -> None:
    content: JsonObject = {
        "crt.pem": b64encode(pair.certificate.encode()).decode(),
        "key.pem": b64encode(pair.key.encode()).decode(),
    }
    world.mesh.cluster.patch(SECRETS, "linkerd-identity-issuer", Patch("merge", {"data": content}), "linkerd")


def issuer_of(chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain.encode())[1]


def said(world: Cluster) -> list[str]:
    return [text(one, "reason") for one in world.mesh.cluster.list(CORE_EVENTS, "linkerd")]


async def test_a_leaf_names_the_account_and_leads_to_the_anchors() -> None:
    async with cluster() as world:
        issued = world.control.identity.issue(settings(world))
        leaf, issuer = x509.load_pem_x509_certificates(issued.certificate.encode())
        assert issued.name == WEB
        assert identity_of(leaf.public_bytes(Encoding.DER)) == WEB
        assert signed_by(issuer, issued.anchors)
        leaf.verify_directly_issued_by(issuer)


async def test_an_issuer_that_the_anchors_do_not_vouch_for_is_skipped_until_they_do() -> None:
    async with cluster() as world:
        other = Trust.for_helm(world.kubernetes.clock.now())
        first = world.control.identity.issue(settings(world)).certificate
        rotate(world, other.issuer)
        await world.settled()
        assert "IssuerUpdateSkipped" in said(world)
        assert issuer_of(world.control.identity.issue(settings(world)).certificate) == issuer_of(first)
        bundle: JsonObject = {"ca-bundle.crt": bundle_of(world.control.world) + other.anchors}
        world.mesh.cluster.patch(CONFIG_MAPS, TRUST_ROOTS, Patch("merge", {"data": bundle}), "linkerd")
        await world.settled()
        assert "IssuerUpdated" in said(world)
        assert issuer_of(world.control.identity.issue(settings(world)).certificate) == other.issuer.parsed


async def test_nothing_is_issued_while_identity_is_away() -> None:
    async with cluster() as world:
        world.faults.switch_on(faults.IDENTITY_DOWN, Scope(namespace="shop"))
        with pytest.raises(NoIdentity):
            world.control.identity.issue(settings(world))
        world.faults.clear()
        world.mesh.change("Deployment", "linkerd", "linkerd-identity", {"spec": {"replicas": 0}})
        await world.settled()
        with pytest.raises(NoIdentity):
            world.control.identity.issue(settings(world))


async def test_a_leaf_of_a_foreign_issuer_does_not_lead_to_the_anchors() -> None:
    async with cluster() as world:
        world.faults.switch_on(faults.FOREIGN_ISSUER)
        issued = world.control.identity.issue(settings(world))
        _, issuer = x509.load_pem_x509_certificates(issued.certificate.encode())
        assert not signed_by(issuer, issued.anchors)


async def test_a_leaf_that_is_said_to_have_expired_has() -> None:
    async with cluster() as world:
        leaf = Leaf(world.control.identity, settings(world))
        assert leaf.get()
        fresh = leaf.current
        world.faults.switch_on(faults.EXPIRED_LEAVES)
        assert leaf.current is not None
        assert leaf.current.not_after < world.kubernetes.clock.now()
        world.faults.clear()
        assert leaf.current == fresh


async def test_a_refused_leaf_is_counted_and_asked_for_again() -> None:
    outcomes: list[str] = []
    async with cluster() as world:
        leaf = Leaf(
            world.control.identity,
            settings(world),
            answered=lambda: outcomes.append("answered"),
            failed=lambda: outcomes.append("failed"),
        )
        world.faults.switch_on(faults.IDENTITY_DOWN)
        assert not leaf.get()
        assert leaf.refused
        world.faults.clear()
        assert leaf.get()
        assert outcomes == ["failed", "answered"]
        assert leaf.issued.is_set()
