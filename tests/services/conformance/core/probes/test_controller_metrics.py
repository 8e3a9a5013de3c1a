"""Scraping the control plane: by names and with families of the version, judged by evidence made by hand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.conformance.core.controllers import admin_ports, families
from services.conformance.core.evidence import Evidence, Found, Scraped
from services.conformance.core.pages import page_of
from services.conformance.core.probes.controller_metrics import CP_METRICS
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.testing.linkerd_pages import controllers
from steward.testing.linkerd_pages.controllers import Controller
from tests.common.testing_linkerd.recorded import path
from tests.services.conformance.core.seen import STAGE, wrong

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BEGINNINGS = {each.name: each.edge for each in shipped().logical}
COMPONENTS = ("destination", "identity", "policy", "proxy-injector", "sp-validator")


def shown(version: Version, component: str) -> Scraped:
    controller = Controller(component, "linkerd-0", version, NOW - timedelta(hours=1))
    page = page_of(controllers.page_of(controller, NOW))
    name = admin_ports(version)[component][0]
    return Scraped((f"{name}:9990",), f"{name}:9990", 200, page)


def scraped(version: Version, **changed: Scraped) -> Evidence:
    pages = {f"linkerd-0/{each}": shown(version, each) for each in COMPONENTS}
    unmeshed = pages | {f"linkerd-0/{each}": said for each, said in changed.items()}
    return Evidence({"meshed": Found(scraped=pages), "unmeshed": Found(scraped=unmeshed)})


def recorded() -> Iterator[tuple[str, str, set[str]]]:
    """Pages of a real control plane, by the container that showed them."""
    names: dict[str, set[str]] = {}
    for family, entry in json.loads(path("recordings", "dataplane", "metrics-catalog.json").read_text()).items():
        for page in entry["pages"]:
            names.setdefault(page, set()).add(family)
    for page, seen in names.items():
        component = next((each for each in COMPONENTS if page.removesuffix("-2").endswith(f"-{each}")), "")
        if page.startswith("cp-") and component:
            yield page, component, seen


@pytest.mark.parametrize("version", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_control_plane_that_shows_what_its_version_has_passes(version: Version) -> None:
    assert wrong(CP_METRICS.proof(replace(STAGE, linkerd=version), scraped(version))) == []


def test_a_real_control_plane_shows_every_family_that_is_asked_for() -> None:
    version, pages = Version.parse("edge-26.8.3"), 0
    for page, component, seen in recorded():
        wanted = families(component, version)
        assert len(wanted) >= 20, page
        assert [each.name for each in wanted if not seen & {each.name, *each.series}] == [], page
        pages += 1
    assert pages >= 5


def test_ports_are_looked_for_by_the_names_that_they_have_in_a_version() -> None:
    assert admin_ports(Version.parse("edge-25.6.2"))["destination"] == ("admin-http",)
    assert admin_ports(Version.parse("stable-2.14.10"))["policy"] == ("admin-http",)
    assert admin_ports(Version.parse("edge-25.6.3"))["destination"] == ("dest-admin",)
    assert admin_ports(Version.parse("enterprise-2.19.0"))["identity"] == ("ident-admin",)
    assert admin_ports(None)["identity"] == ("ident-admin", "admin-http")


def test_of_a_version_that_nobody_knows_no_more_is_asked_than_all_have() -> None:
    of_all = {each.name for each in families("policy", None)}
    assert of_all
    for version in BEGINNINGS.values():
        assert of_all <= {each.name for each in families("policy", version)}


def test_a_controller_that_is_not_found_at_all_is_missed() -> None:
    version = BEGINNINGS["2.20"]
    pages = {f"linkerd-0/{each}": shown(version, each) for each in COMPONENTS if each != "identity"}
    found = Found(scraped=pages)
    broken = wrong(CP_METRICS.proof(replace(STAGE, linkerd=version), Evidence({"meshed": found, "unmeshed": found})))
    assert broken == ["scraper, meshed: finds", "scraper, unmeshed: finds"]


def test_a_page_that_one_scraper_reads_and_another_does_not_is_told_of_the_other() -> None:
    version = BEGINNINGS["2.20"]
    shut = scraped(version, identity=Scraped(("ident-admin:9990",), "ident-admin:9990", 403, said="403"))
    assert wrong(CP_METRICS.proof(replace(STAGE, linkerd=version), shut)) == [
        "scraper, unmeshed: the page of linkerd-0/identity"
    ]
    seen = [cause.code for cause in CP_METRICS.causes if cause.seen(STAGE, shut)]
    assert seen == ["SCRAPE_REFUSED"]


def test_a_port_with_the_name_of_another_version_is_found_by_no_scraper() -> None:
    version = BEGINNINGS["2.20"]
    stage = replace(STAGE, linkerd=version)
    found = scraped(version, policy=Scraped(("admin-http:9990",), said="no port of that name"))
    (cause,) = [cause for cause in CP_METRICS.causes if cause.seen(stage, found)]
    assert cause.code == "ADMIN_PORT_RENAMED"
    assert cause.seen(stage, found) == "linkerd-0/policy has admin-http:9990, none is called policy-admin"
