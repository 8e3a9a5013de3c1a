"""The pure parts of an outbound proxy: shares, hosts, redirects, breakers, overrides, budgets, replays."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.testing.dataplane.config import (
    Backend,
    ConsecutiveAccrual,
    Meta,
    RateAccrual,
    Redirect,
    Retry,
    Rule,
    Timeouts,
)
from steward.testing.dataplane.proxy.accrual import Breaker
from steward.testing.dataplane.proxy.ewma import PeakEwma
from steward.testing.dataplane.proxy.exchange import Body, Request
from steward.testing.dataplane.proxy.grpc_codes import classify, name_of
from steward.testing.dataplane.proxy.own_errors import spelled
from steward.testing.dataplane.proxy.replay import Replay
from steward.testing.dataplane.proxy.request_overrides import overridden
from steward.testing.dataplane.proxy.retries import Budget, BudgetPolicy
from steward.testing.dataplane.proxy.routing import Shares, location, serves

CONSECUTIVE = ConsecutiveAccrual(3, timedelta(seconds=10), timedelta(seconds=15))


@given(weights=st.lists(st.integers(0, 100), min_size=1, max_size=5), rounds=st.integers(1, 200))
def test_every_backend_always_had_its_share_to_within_one_for_each_other_backend(
    weights: list[int], rounds: int
) -> None:
    backends = tuple(Backend(Meta("core", "Service", str(n)), weight=weight) for n, weight in enumerate(weights))
    shares, total = Shares(), sum(weights)
    picked = [shares.pick(backends, lambda backend: backend.weight) for _ in range(rounds)]
    if not total:
        assert set(picked) == {None}
        return
    dealt = Counter(picked)
    for backend in backends:
        assert abs(dealt[backend] - rounds * backend.weight / total) <= len(weights)
        assert backend.weight or not dealt[backend]


@pytest.mark.parametrize(
    ("hosts", "authority", "fits"),
    [
        pytest.param((), "anything:80", True, id="none-given"),
        pytest.param(("a.example",), "A.example:8080", True, id="without-port-and-case"),
        pytest.param(("*.example",), "a.b.example", True, id="wildcard"),
        pytest.param(("*.example",), "example", False, id="wildcard-needs-something"),
        pytest.param(("a.example",), "b.example", False, id="other"),
    ],
)
def test_hosts_of_a_route(hosts: tuple[str, ...], authority: str, fits: bool) -> None:
    assert serves(hosts, authority) is fits


@pytest.mark.parametrize(
    ("redirect", "where"),
    [
        pytest.param(Redirect(), "http://shop:8080/a/b?c=d", id="nothing"),
        pytest.param(Redirect(scheme="https", hostname="x", port=8443), "https://x:8443/a/b?c=d", id="elsewhere"),
        pytest.param(Redirect(path="/new"), "http://shop:8080/new?c=d", id="path"),
        pytest.param(Redirect(path_prefix="/z"), "http://shop:8080/z/b?c=d", id="prefix"),
    ],
)
def test_where_a_redirect_leads(redirect: Redirect, where: str) -> None:
    assert location(redirect, Request("GET", "/a/b?c=d", "shop:8080"), "/a") == where


class TestBreaker:
    def test_it_opens_after_failures_in_a_row_only(self) -> None:
        breaker = Breaker(CONSECUTIVE, Random(1))
        for failed in (True, True, False, True, True):
            assert breaker.record(0, failed=failed) is None
        penalty = breaker.record(0, failed=True)
        assert penalty is not None
        assert timedelta(seconds=8) <= penalty <= timedelta(seconds=12)
        assert not breaker.admits(penalty.total_seconds() - 0.01)
        assert breaker.admits(penalty.total_seconds())

    def test_on_trial_it_admits_one_request_and_a_failure_costs_more(self) -> None:
        breaker = Breaker(CONSECUTIVE, Random(1))
        for _ in range(3):
            breaker.record(0, failed=True)
        breaker.send()
        assert not breaker.admits(100)
        penalty = breaker.record(100, failed=True)
        assert penalty is not None
        assert penalty > timedelta(seconds=11)
        assert not breaker.admits(111)

    def test_a_trial_that_ends_without_a_verdict_is_repeated_and_a_success_closes_it(self) -> None:
        breaker = Breaker(CONSECUTIVE, Random(1))
        for _ in range(3):
            breaker.record(0, failed=True)
        breaker.send()
        breaker.forget()
        assert breaker.admits(100)
        breaker.record(100, failed=False)
        for _ in range(2):
            assert breaker.record(100, failed=True) is None
            assert breaker.admits(100)

    def test_a_rate_needs_enough_requests_within_its_window(self) -> None:
        breaker = Breaker(RateAccrual(0.5, timedelta(seconds=5), 4), Random(1))
        for now in (0, 1, 1.5, 6.5, 7):
            assert breaker.record(now, failed=True) is None
        assert breaker.record(7, failed=False) is None
        assert breaker.record(7, failed=True) is not None


def test_a_slow_answer_is_noticed_at_once_and_forgotten_slowly() -> None:
    ewma = PeakEwma(0)
    ewma.observe(1.0, 1)
    assert ewma.value(1) == 1.0
    assert 0.3 < ewma.value(11) < 0.4
    ewma.observe(0.001, 1.1)
    assert ewma.value(1.1) > 0.9


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        pytest.param((("l5d-timeout", "250ms"),), Rule(timeouts=Timeouts(timedelta(milliseconds=250))), id="timeout"),
        pytest.param((("l5d-retry-http", "5xx,404"),), Rule(retry=Retry(((500, 599), (404, 404)))), id="statuses"),
        pytest.param((("l5d-retry-http", "gateway-error"),), Rule(retry=Retry(((502, 504),))), id="gateway"),
        pytest.param((("l5d-retry-grpc", "unavailable,internal"),), Rule(retry=Retry(codes=(14, 13))), id="codes"),
        pytest.param(
            (("l5d-retry-limit", "3"), ("l5d-retry-timeout", "1.5s")),
            Rule(retry=Retry(limit=3, timeout=timedelta(seconds=1.5))),
            id="limits",
        ),
        pytest.param((("l5d-timeout", "soon"),), Rule(), id="nonsense"),
    ],
)
def test_what_a_client_may_ask_for(headers: tuple[tuple[str, str], ...], rule: Rule) -> None:
    assert overridden(Rule(), (*headers, ("x", "y"))) == (rule, (("x", "y"),))


def test_a_budget_allows_a_share_of_requests_and_a_few_more() -> None:
    budget = Budget(BudgetPolicy(0.2, 1))
    for _ in range(50):
        budget.deposit(0)
    assert [budget.withdraw(0) for _ in range(21)] == [True] * 20 + [False]
    assert [budget.withdraw(11) for _ in range(11)] == [True] * 10 + [False]


async def test_a_body_is_sent_again_as_it_was_and_read_on_where_it_stopped() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for word in (b"a", b"b", b"c"):
            yield word

    replay = Replay(Body(chunks()))
    first = replay.body()
    assert await anext(first) == b"a"
    assert await replay.body().read() == b"abc"
    assert await first.read() == b"bc"
    assert replay.possible


async def test_a_large_body_passes_but_cannot_be_sent_again() -> None:
    content = [b"x" * 50_000] * 3

    async def chunks() -> AsyncIterator[bytes]:
        for each in content:
            yield each

    replay = Replay(Body(chunks()))
    assert await replay.body().read() == b"".join(content)
    assert not replay.possible


@pytest.mark.parametrize(("milliseconds", "text"), [(250, "250ms"), (1000, "1s"), (1500, "1.5s")])
def test_durations_are_spelled_as_the_proxy_does(milliseconds: int, text: str) -> None:
    assert spelled(timedelta(milliseconds=milliseconds)) == text


def test_codes_of_grpc_and_which_of_them_fail() -> None:
    assert (name_of("14"), name_of("99"), name_of("")) == ("UNAVAILABLE", "", "")
    assert {code for code in range(17) if classify(200, str(code)) == "failure"} == {2, 4, 7, 13, 14, 15}
    assert (classify(500, ""), classify(499, "")) == ("failure", "success")
