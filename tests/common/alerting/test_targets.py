"""Targets as Prometheus tells them, and matchers as Prometheus applies them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.promql import Matcher
from steward.alerting.targets import Health, UnreadablePattern, fits, targets_in
from steward.jsonvalue import Json
from tests.services.alerting.core.prometheus import answer, read, recorded, target

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@pytest.mark.parametrize("name", ["viz", "pod-monitor"])
def test_a_real_answer_tells_each_proxy_by_its_pod_and_how_it_fares(name: str) -> None:
    proxies = {each.pod: each for each in targets_in(recorded(name)) if each.container == "linkerd-proxy"}
    assert {pod: each.health for pod, each in proxies.items()} == {
        "linkerd-identity-7f-1": Health.UP,
        "web-5d-1": Health.UP,
        "web-5d-2": Health.REFUSED,
        "cart-9c-1": Health.DOWN,
    }
    assert {each.namespace for each in proxies.values()} == {"shop", "linkerd"}
    assert proxies["web-5d-1"].host == "127.0.0.3"


def test_a_controller_is_told_by_its_container_and_component() -> None:
    (found,) = (each for each in targets_in(recorded("viz")) if each.container == "identity")
    assert (found.component, found.job, found.federates) == ("identity", "linkerd-controller", False)


def test_another_prometheus_that_is_asked_for_the_mesh_federates() -> None:
    assert [each.federates for each in targets_in(recorded("federation"))] == [True]


@pytest.mark.parametrize(
    ("error", "health"),
    [
        ("server returned HTTP status 403 Forbidden", Health.REFUSED),
        ("server returned HTTP status 401 Unauthorized", Health.REFUSED),
        ("server returned HTTP status 404 Not Found", Health.DOWN),
        ("server returned HTTP status 4030", Health.DOWN),
        ("context deadline exceeded", Health.DOWN),
        ("", Health.DOWN),
    ],
)
def test_only_an_answer_that_denies_is_a_refusal(error: str, health: Health) -> None:
    assert read(target("linkerd-proxy", health="down", error=error))[0].health is health


def test_a_target_that_was_never_scraped_is_not_up() -> None:
    (found,) = read(target("linkerd-proxy", health="unknown"))
    assert found.health is Health.UNKNOWN
    assert not found.is_up


@pytest.mark.parametrize(
    ("address", "host"), [("10.0.0.1:4191", "10.0.0.1"), ("[fd00::1]:4191", "fd00::1"), ("[fd00::1", ""), ("", "")]
)
def test_the_host_of_an_address_has_no_brackets_and_a_strange_address_has_no_host(address: str, host: str) -> None:
    assert read(target("j", address=address))[0].host == host


@given(JSON)
def test_an_answer_of_any_shape_is_read(value: Json) -> None:
    shapes: list[Json] = [value, {"data": value}, {"data": {"activeTargets": value}}, answer(value)]
    for shape in shapes:
        for found in targets_in(shape):
            assert found.health in Health


@pytest.mark.parametrize(
    ("matcher", "there", "fitting"),
    [
        (Matcher("job", "=", "a"), {"job": "a"}, True),
        (Matcher("job", "=", ""), {}, True),
        (Matcher("job", "!=", "a"), {}, True),
        (Matcher("job", "=~", "a|b"), {"job": "b"}, True),
        (Matcher("job", "=~", "a"), {"job": "ab"}, False),
        (Matcher("job", "!~", "a.*"), {"job": "ab"}, False),
        (Matcher("job", "=~", "(.*/)?linkerd-proxy"), {"job": "linkerd/linkerd-proxy"}, True),
    ],
)
def test_a_matcher_fits_as_in_prometheus(matcher: Matcher, there: dict[str, str], fitting: bool) -> None:
    assert fits(matcher, there) is fitting


def test_a_pattern_that_cannot_be_tried_here_is_named() -> None:
    with pytest.raises(UnreadablePattern, match=r"\\\\pN"):
        fits(Matcher("job", "=~", r"\pN"), {"job": "1"})
