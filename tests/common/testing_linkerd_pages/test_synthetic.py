"""Pages of a mesh that is nothing else: what the catalogue says of a version is there, and a fault changes little."""

from collections import Counter
from datetime import timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from steward.alerting.families import Appears, Exposer, catalogue
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.testing.clock import ManualClock
from steward.testing.linkerd_pages.faults import EFFECTS, Fault
from steward.testing.linkerd_pages.synthetic import SyntheticLinkerd

NEWEST = Version.parse("edge-26.8.3")
VERSIONS = [*(each.edge for each in shipped().logical), NEWEST]

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def values(mesh: SyntheticLinkerd) -> Values:
    found: Values = {}
    for scrape in mesh.scrapes():
        for path, _ in scrape.targets:
            page = mesh.page(path) or ""
            for family in parsed(page):
                for sample in family.samples:
                    # The parser gives counters of the old form the suffix that they lack.
                    name = sample.name if f"\n{sample.name}" in page else sample.name.removesuffix("_total")
                    key = (name, (("page", path), *sorted(sample.labels.items())))
                    assert key not in found, f"{key} is there twice"
                    found[key] = sample.value
    return found


def names(mesh: SyntheticLinkerd, path: str) -> set[str]:
    return {line.split()[2] for line in (mesh.page(path) or "").splitlines() if line.startswith("# TYPE")}


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_page_has_what_the_catalogue_says_that_a_version_always_has(version: Version) -> None:
    mesh = SyntheticLinkerd(version)
    edge = catalogue().edge(version)
    for path, exposer in (("/identity", Exposer.IDENTITY), ("/destination", Exposer.DESTINATION)):
        wanted = {
            each.name
            for each in catalogue().exposed(version)
            if each.appears is Appears.ALWAYS and each.exposed(edge, exposer)
        }
        assert wanted <= names(mesh, path)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_every_page_can_be_read_and_has_no_series_twice(version: Version) -> None:
    assert len(values(SyntheticLinkerd(version))) > 200


def test_the_issuers_lifetime_is_on_no_page_before_it_existed() -> None:
    assert "issuer_cert_ttl_seconds" not in names(SyntheticLinkerd(Version.parse("edge-24.8.2")), "/identity")
    assert "issuer_cert_ttl_seconds" in names(SyntheticLinkerd(NEWEST), "/identity")


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_changes_its_own_families_and_nothing_else(fault: Fault) -> None:
    clock = ManualClock()
    mesh = SyntheticLinkerd(NEWEST, clock=clock)
    healthy = values(mesh)
    mesh.break_it(fault)
    broken = values(mesh)
    differing = {key[0] for key in healthy.keys() | broken.keys() if healthy.get(key) != broken.get(key)}
    assert differing
    assert differing <= {effect.family for effect in EFFECTS[fault]}
    mesh.mend()
    assert values(mesh) == healthy


async def test_a_counter_of_a_fault_begins_where_the_fault_does() -> None:
    clock = ManualClock()
    mesh = SyntheticLinkerd(NEWEST, clock=clock)
    await clock.advance(timedelta(hours=1))
    mesh.break_it(Fault.INJECTOR_FAILS_OPEN)
    name = "apiserver_admission_webhook_fail_open_count"
    assert [value for key, value in values(mesh).items() if key[0] == name] == [1]
    await clock.advance(timedelta(seconds=10))
    assert [value for key, value in values(mesh).items() if key[0] == name] == [3]


def test_a_renamed_family_is_there_under_its_other_name_only() -> None:
    mesh = SyntheticLinkerd(NEWEST)
    before = Counter(key[0] for key in values(mesh))
    mesh.rename("issuer_cert_ttl_seconds", "issuer_cert_time_left_seconds")
    after = Counter(key[0] for key in values(mesh))
    assert after["issuer_cert_ttl_seconds"] == 0
    assert after["issuer_cert_time_left_seconds"] == before["issuer_cert_ttl_seconds"]


async def test_pages_are_answered_on_loopback() -> None:
    async with SyntheticLinkerd(NEWEST) as mesh, httpx.AsyncClient() as client:
        answer = await client.get(f"http://{mesh.address}/identity")
        missing = await client.get(f"http://{mesh.address}/nobody")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "issuer_cert_ttl_seconds" in answer.text
    assert missing.status_code == 404
