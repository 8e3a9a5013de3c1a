"""Which proxies are scraped: matched to the pods that the API knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.core.exported.samples import Samples
from services.alerting.core.exported.scraped import (
    Place,
    Scrapes,
    alive_query,
    refused_scrapes,
    scrapes_in_series,
    scrapes_of,
    unscraped_proxies,
)
from steward.alerting.monitoring import ScrapeKind, ScrapeProfile
from steward.alerting.targets import targets_in
from steward.jsonvalue import JsonObject
from steward.linkerd.pods import PodFacts
from tests.services.alerting.core.prometheus import read, recorded, target
from tests.services.alerting.meshes import pod

PROXIES = ScrapeProfile(ScrapeKind.VIZ).proxies
PODS = (
    pod("linkerd", "linkerd-identity-7f-1", proxy="container", address="127.0.0.2"),
    pod("shop", "web-5d-1", proxy="init", address="127.0.0.3"),
    pod("shop", "web-5d-2", proxy="init", address="127.0.0.4"),
    pod("shop", "cart-9c-1", proxy="init", address="127.0.0.5"),
)


def shown(samples: Samples) -> dict[str, float]:
    return {each.labels[0]: each.value for each in samples}


@pytest.mark.parametrize("name", ["viz", "pod-monitor"])
def test_a_real_answer_says_who_refuses_and_who_is_not_scraped(name: str) -> None:
    scrapes = scrapes_of(targets_in(recorded(name)), PROXIES)
    assert shown(refused_scrapes(scrapes, PODS)) == {"linkerd": 0, "shop": 1}
    assert shown(unscraped_proxies(scrapes, PODS)) == {"linkerd": 0, "shop": 2}


def test_a_pod_that_has_no_target_is_not_scraped() -> None:
    assert shown(unscraped_proxies(Scrapes(), PODS)) == {"linkerd": 1, "shop": 3}


def test_a_target_that_tells_no_pod_is_matched_by_its_address() -> None:
    targets = read(
        target("linkerd-proxy", address="127.0.0.3:4191"),
        target("linkerd-proxy", address="127.0.0.4:4191", health="down", error="HTTP status 401 Unauthorized"),
    )
    scrapes = scrapes_of(targets, PROXIES)
    assert shown(unscraped_proxies(scrapes, PODS)) == {"linkerd": 1, "shop": 2}
    assert shown(refused_scrapes(scrapes, PODS)) == {"linkerd": 0, "shop": 1}


def test_a_refusal_of_nobody_we_know_is_counted_without_a_namespace() -> None:
    targets = read(target("linkerd-proxy", address="10.9.9.9:4191", health="down", error="HTTP status 403 Forbidden"))
    assert shown(refused_scrapes(scrapes_of(targets, PROXIES), PODS)) == {"": 1, "linkerd": 0, "shop": 0}


def test_an_address_that_was_another_pods_a_moment_ago_proves_nothing() -> None:
    targets = read(target("linkerd-proxy", pod="gone", namespace="shop", address="127.0.0.3:4191"))
    assert shown(unscraped_proxies(scrapes_of(targets, PROXIES), PODS))["shop"] == 3


def test_a_pod_without_an_address_is_found_by_its_name_alone() -> None:
    young = pod("shop", "new", proxy="init")
    targets = read(target("linkerd-proxy", pod="new", namespace="shop"), target("linkerd-proxy", address=""))
    assert shown(unscraped_proxies(scrapes_of(targets, PROXIES), [young])) == {"shop": 0}
    assert shown(unscraped_proxies(scrapes_of(targets[1:], PROXIES), [young])) == {"shop": 1}


def test_a_pod_of_the_same_name_elsewhere_is_another_pod() -> None:
    targets = read(target("linkerd-proxy", pod="web-5d-1", namespace="test"))
    assert shown(unscraped_proxies(scrapes_of(targets, PROXIES), PODS))["shop"] == 3


def test_what_is_no_proxy_counts_for_none() -> None:
    targets = read(
        target("kubelet", pod="web-5d-1", namespace="shop"),
        target("kubelet", health="down", error="HTTP status 403 Forbidden"),
    )
    assert scrapes_of(targets, PROXIES) == Scrapes()


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "shop", "pod": "web-5d-1"},
        {"exported_namespace": "shop", "exported_pod": "web-5d-1", "namespace": "monitoring", "pod": "prometheus-0"},
        {"instance": "127.0.0.3:4191"},
    ],
    ids=["labels are kept", "labels were displaced", "only the address is kept"],
)
def test_of_series_from_another_prometheus_the_proxys_own_labels_count(labels: dict[str, str]) -> None:
    member: JsonObject = {"metric": dict(labels), "value": [0, "1"]}
    scrapes = scrapes_in_series([member])
    assert shown(unscraped_proxies(scrapes, PODS)) == {"linkerd": 1, "shop": 2}


def test_a_vector_of_any_shape_is_read() -> None:
    assert scrapes_in_series([{}, {"metric": "text"}, {"metric": {"pod": 7}}]).up == (Place(), Place(), Place())
    assert shown(unscraped_proxies(scrapes_in_series([{}]), PODS)) == {"linkerd": 1, "shop": 3}


def test_the_question_asks_for_one_metric_of_the_proxies() -> None:
    query = alive_query(PROXIES)
    assert 'process_start_time_seconds{job=~"(.*/)?linkerd-proxy"}' in query
    assert query.startswith("count by (")


@given(st.lists(st.tuples(st.sampled_from(PODS), st.sampled_from(["up", "down", "unknown"])), max_size=8))
def test_every_pod_is_either_scraped_or_counted_as_not(seen: list[tuple[PodFacts, str]]) -> None:
    targets = [target("linkerd-proxy", pod=each.name, namespace=each.namespace, health=health) for each, health in seen]
    scraped = {each for each, health in seen if health == "up"}
    found = shown(unscraped_proxies(scrapes_of(read(*targets), PROXIES), PODS))
    assert sum(found.values()) == len(PODS) - len(scraped)
