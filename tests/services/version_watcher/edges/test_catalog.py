"""The catalog on the API server: made where it is missing, never written over somebody else's change."""

import pytest

from services.version_watcher.edges.catalog import CatalogStore, CatalogUnusable
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Conflict
from steward.kube.resources import RELEASE_CATALOGS
from steward.resources.release_catalog import ReleaseCatalogStatus
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import Refuse
from steward.testing.kubernetes.server import FakeKubernetes
from tests.services.version_watcher.cluster import serve_catalogs


async def test_a_catalog_that_is_missing_is_made_with_nothing_in_its_spec(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    serve_catalogs(fake_kubernetes.cluster)
    held = await CatalogStore(kube, "default").read()
    assert (held.catalog.spec.releases, held.catalog.status) == ((), None)
    assert held.reference.kind == "ReleaseCatalog"


async def test_a_catalog_that_somebody_else_just_made_is_taken(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    serve_catalogs(fake_kubernetes.cluster)
    fake_kubernetes.cluster.create(RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": {}})
    fake_kubernetes.faults.add(Refuse(404, "NotFound"), method="GET", path="/default$")
    assert (await CatalogStore(kube, "default").read()).catalog.metadata.uid


async def test_without_the_definition_it_says_what_to_install(kube: Kube) -> None:
    with pytest.raises(CatalogUnusable, match="deploy/crds"):
        await CatalogStore(kube, "default").read()


async def test_a_status_is_written_and_the_spec_is_left_alone(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    serve_catalogs(fake_kubernetes.cluster)
    spec: JsonObject = {"releases": [{"version": "edge-26.8.3"}]}
    fake_kubernetes.cluster.create(RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": spec})
    store = CatalogStore(kube, "default")
    after = await store.write(await store.read(), ReleaseCatalogStatus(observed_generation=7))
    assert after.catalog.status == ReleaseCatalogStatus(observed_generation=7)
    assert [each.version for each in after.catalog.spec.releases] == ["edge-26.8.3"]


async def test_a_status_is_not_written_over_a_change_that_was_not_seen(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    serve_catalogs(fake_kubernetes.cluster)
    store = CatalogStore(kube, "default")
    before = await store.read()
    fake_kubernetes.cluster.patch(RELEASE_CATALOGS, "default", Patch("merge", {"metadata": {"labels": {"a": "b"}}}))
    with pytest.raises(Conflict):
        await store.write(before, ReleaseCatalogStatus())


async def test_a_status_that_cannot_be_read_is_as_good_as_none(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    cluster = fake_kubernetes.cluster
    serve_catalogs(cluster)
    cluster.create(RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": {}})
    cluster.set_status(RELEASE_CATALOGS, "default", {"observedGeneration": 1})
    found = dict(cluster.get(RELEASE_CATALOGS, "default"))
    found["status"] = {"observedGeneration": "of another version of Steward"}
    cluster.put(cluster.kinds.of(RELEASE_CATALOGS), found)
    held = await CatalogStore(kube, "default").read()
    assert (held.status_was_readable, held.catalog.status) == (False, None)


async def test_a_spec_that_does_not_fit_names_the_place(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    cluster = fake_kubernetes.cluster
    serve_catalogs(cluster)
    cluster.create(RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": {}})
    found = dict(cluster.get(RELEASE_CATALOGS, "default"))
    found["spec"] = {"releases": [{"version": 7}]}
    cluster.put(cluster.kinds.of(RELEASE_CATALOGS), found)
    with pytest.raises(CatalogUnusable, match=r"spec\.releases\.0\.version"):
        await CatalogStore(kube, "default").read()
