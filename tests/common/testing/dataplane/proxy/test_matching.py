"""Which route takes a request."""

import pytest

from steward.testing.dataplane.config import HeaderMatch, Match
from steward.testing.dataplane.proxy.exchange import Request
from steward.testing.dataplane.proxy.matching import find

ROUTES = (
    ("everything", (Match(path_prefix="/"),)),
    ("below a", (Match(path_prefix="/a"),)),
    ("exactly a", (Match(path_exact="/a"),)),
    ("writes", (Match(path_prefix="/a", method="POST"),)),
    ("tagged", (Match(path_prefix="/a", headers=(HeaderMatch("X-Tag", "v[0-9]+", regex=True),)),)),
    ("asked", (Match(path_prefix="/a", query=(HeaderMatch("who", "ann"),)),)),
    ("numbers", (Match(path_regex="/n/[0-9]+"),)),
)


@pytest.mark.parametrize(
    ("request_", "route"),
    [
        (Request("GET", "/"), "everything"),
        (Request("GET", "/ab"), "everything"),
        (Request("GET", "/a/b"), "below a"),
        (Request("GET", "/a?x=1"), "exactly a"),
        (Request("POST", "/a/b"), "writes"),
        (Request("GET", "/a/b", headers=(("x-tag", "v12"),)), "tagged"),
        (Request("GET", "/a/b", headers=(("x-tag", "x12"),)), "below a"),
        (Request("GET", "/a/b?who=ann"), "asked"),
        (Request("GET", "/n/12"), "numbers"),
        (Request("GET", "/n/x"), "everything"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.method} {value.path}",
)
def test_the_most_specific_match_wins(request_: Request, route: str) -> None:
    assert find(ROUTES, request_) == route


def test_of_equal_matches_the_first_wins_and_without_any_there_is_no_route() -> None:
    twins = (("first", (Match(path_prefix="/a"),)), ("second", (Match(path_prefix="/a"),)))

    assert find(twins, Request("GET", "/a")) == "first"
    assert find(twins, Request("GET", "/b")) is None
    assert find((("open", ()),), Request("GET", "/b")) == "open"
