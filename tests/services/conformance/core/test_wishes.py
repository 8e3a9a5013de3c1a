"""The query contract of the echo server."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conformance.core.wishes import Senseless, Wishes, wishes_of

MILLISECONDS = st.integers(0, 600_000).map(lambda each: timedelta(milliseconds=each))
WISHES = st.builds(
    Wishes,
    status=st.none() | st.integers(0, 599),
    delay=MILLISECONDS,
    fail_until=st.integers(0, 100),
    fail_percent=st.integers(0, 100),
    id=st.text(max_size=20),
    bytes=st.none() | st.integers(0, 10_000),
    stream=st.integers(0, 100),
    every=MILLISECONDS,
    close=st.booleans(),
    close_after=st.none() | st.integers(0, 100),
    retry_after=st.none() | st.integers(0, 100),
    spans=st.text(max_size=20),
)


@given(WISHES)
def test_a_path_says_what_was_wished(wishes: Wishes) -> None:
    assert wishes_of(wishes.on("/a")) == wishes


@pytest.mark.parametrize(
    ("path", "wishes"),
    [
        ("/", Wishes()),
        ("/?version=2&other", Wishes()),
        ("/?delay=200ms", Wishes(delay=timedelta(seconds=0.2))),
        ("/?delay=1.5s&close", Wishes(delay=timedelta(seconds=1.5), close=True)),
        ("/?close=false", Wishes()),
        ("/?status=503&fail-until=1&id=a", Wishes(status=503, fail_until=1, id="a")),
        ("/x?delay=0.4&close=True", Wishes(delay=timedelta(seconds=0.4), close=True)),
    ],
)
def test_people_may_write_wishes_in_their_own_way(path: str, wishes: Wishes) -> None:
    assert wishes_of(path) == wishes


@pytest.mark.parametrize(
    "query",
    [
        "status=ok",
        "status=5000",
        "delay=soon",
        "delay=-1",
        "delay=601",
        "delay=nan",
        "fail-until=-1",
        "fail-percent=101",
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(query: str) -> None:
    with pytest.raises(Senseless, match=query.partition("=")[0]):
        wishes_of(f"/?{query}")


def test_failures_come_first_and_are_as_many_as_wished() -> None:
    wishes = Wishes(fail_until=3)
    assert [wishes.fails(attempt) for attempt in range(1, 6)] == [True, True, True, False, False]


@given(st.integers(0, 100))
def test_of_a_hundred_exactly_as_many_fail_as_percent_were_wished(percent: int) -> None:
    assert sum(Wishes(fail_percent=percent).fails(attempt) for attempt in range(1, 101)) == percent


def test_a_status_is_that_of_failures_where_only_some_fail() -> None:
    some, all_of_them = Wishes(status=418, fail_until=1), Wishes(status=418)
    assert [some.answered(attempt, fine=200, failing=503) for attempt in (1, 2)] == [418, 200]
    assert [all_of_them.answered(attempt, fine=200, failing=503) for attempt in (1, 2)] == [418, 418]
    assert Wishes(fail_until=1).answered(1, fine=200, failing=503) == 503
