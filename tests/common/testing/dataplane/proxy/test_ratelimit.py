"""Local rate limits, without a clock and without a proxy."""

from collections.abc import Sequence

import pytest

from steward.testing.dataplane.config import Meta, RateLimit
from steward.testing.dataplane.proxy.ratelimit import Limited, Limiter

META = Meta("policy.linkerd.io", "HTTPLocalRateLimitPolicy", "slow")
ANN = "ann.shop.serviceaccount.identity.linkerd.cluster.local"
BOB = "bob.shop.serviceaccount.identity.linkerd.cluster.local"


def admitted(limiter: Limiter, identities: Sequence[str], *, a_second: int, seconds: int) -> dict[str, int]:
    """Who got how many through, with everybody asking evenly and in turn."""
    passed = dict.fromkeys(identities, 0)
    for turn in range(a_second * seconds):
        for identity in identities:
            passed[identity] += limiter.reject(identity, turn / a_second) is None
    return passed


def test_a_client_gets_its_rate_and_one_second_of_burst() -> None:
    limiter = Limiter(RateLimit(META, identity=10))

    assert admitted(limiter, [ANN], a_second=50, seconds=4)[ANN] in (49, 50)


def test_each_identity_has_a_bucket_of_its_own_and_an_override_another_rate() -> None:
    limiter = Limiter(RateLimit(META, identity=10, overrides=((BOB, 20),)))

    passed = admitted(limiter, [ANN, BOB], a_second=50, seconds=4)

    assert passed[BOB] == pytest.approx(2 * passed[ANN], abs=2)


def test_clients_without_identity_share_one_bucket() -> None:
    limiter = Limiter(RateLimit(META, identity=10))

    first = sum(limiter.reject("", 0.0) is None for _ in range(8))
    second = sum(limiter.reject("", 0.0) is None for _ in range(8))

    assert (first, second) == (8, 2)


def test_the_total_is_spent_by_requests_that_the_identity_limit_rejects() -> None:
    limiter = Limiter(RateLimit(META, total=10, identity=2))

    answers = [limiter.reject(ANN, 0.0) for _ in range(12)]

    assert answers == [None, None, *[Limited.IDENTITY] * 8, Limited.TOTAL, Limited.TOTAL]
    assert limiter.reject(BOB, 0.0) is Limited.TOTAL


def test_without_any_number_nothing_is_limited() -> None:
    limiter = Limiter(RateLimit(META))

    assert {limiter.reject(ANN, 0.0) for _ in range(1000)} == {None}
