"""Which of several routes a request belongs to: the most specific match wins, then the first."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

from steward.testing.dataplane.config import HeaderMatch, Match
from steward.testing.dataplane.proxy.exchange import Request

Route = TypeVar("Route")
Rank = tuple[int, int, bool, int, int]
_EXACT, _REGEX, _PREFIX, _ANY = 3, 2, 1, 0


def find(routes: Iterable[tuple[Route, Sequence[Match]]], request: Request) -> Route | None:
    """The route of the best match; a route without matches takes everything."""
    best: tuple[Rank, Route] | None = None
    for route, matches in routes:
        for match in matches or (Match(),):
            rank = rank_of(match, request)
            if rank is not None and (best is None or rank > best[0]):
                best = rank, route
    return best[1] if best is not None else None


def rank_of(match: Match, request: Request) -> Rank | None:
    """How specific a match is that fits: by path, method, headers, query. None where it does not fit."""
    path, _, query = request.path.partition("?")
    of_path = _path(match, path)
    if of_path is None or (match.method and match.method != request.method):
        return None
    if not _all_fit(match.headers, request.headers, lower=True):
        return None
    if not _all_fit(match.query, parse_qsl(query, keep_blank_values=True), lower=False):
        return None
    return (*of_path, bool(match.method), len(match.headers), len(match.query))


def _path(match: Match, path: str) -> tuple[int, int] | None:
    if match.path_exact:
        return (_EXACT, len(path)) if path == match.path_exact else None
    if match.path_regex:
        return (_REGEX, len(match.path_regex)) if re.fullmatch(match.path_regex, path) else None
    if match.path_prefix:
        return (_PREFIX, len(match.path_prefix)) if _starts_with(path, match.path_prefix) else None
    return _ANY, 0


def _starts_with(path: str, prefix: str) -> bool:
    """By whole segments: `/a` is a prefix of `/a/b`, not of `/ab`."""
    trimmed = prefix.rstrip("/")
    return path == trimmed or path.startswith(trimmed + "/")


def _all_fit(wanted: Iterable[HeaderMatch], given: Iterable[tuple[str, str]], *, lower: bool) -> bool:
    present = list(given)
    return all(
        any(_fits(each, value) for name, value in present if name == (each.name.lower() if lower else each.name))
        for each in wanted
    )


def _fits(wanted: HeaderMatch, value: str) -> bool:
    return re.fullmatch(wanted.value, value) is not None if wanted.regex else value == wanted.value
