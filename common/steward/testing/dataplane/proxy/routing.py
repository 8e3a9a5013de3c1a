"""Which rule of which route a request meets, which backend gets it, and what becomes of its headers. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from steward.testing.dataplane.config import Backend, HeaderChange, Match, Redirect, Route, Rule
from steward.testing.dataplane.proxy.exchange import Headers, Request, with_header, without
from steward.testing.dataplane.proxy.matching import find


@dataclass(frozen=True, slots=True)
class Blind:
    """What of a match is not looked at; nothing in a healthy proxy."""

    path: bool = False
    method: bool = False
    headers: bool = False
    query: bool = False
    hosts: bool = False

    def seen(self, match: Match) -> Match:
        """The match without what is not looked at."""
        if self.path:
            match = replace(match, path_exact="", path_prefix="", path_regex="")
        return replace(
            match,
            method="" if self.method else match.method,
            headers=() if self.headers else match.headers,
            query=() if self.query else match.query,
        )


def rule_for(routes: Iterable[Route], request: Request, blind: Blind) -> tuple[Route, Rule] | None:
    """The most specific rule that fits, the first of equals."""
    fitting = (route for route in routes if blind.hosts or serves(route.hosts, request.authority))
    every = (
        ((route, rule), tuple(blind.seen(match) for match in rule.matches)) for route in fitting for rule in route.rules
    )
    return find(every, request)


def serves(hosts: tuple[str, ...], authority: str) -> bool:
    """Whether a route with these hostnames is about this authority; `*.x` is about everything below x."""
    name = authority.rsplit(":", 1)[0] if not authority.endswith("]") else authority
    return not hosts or any(fnmatchcase(name.lower(), host.lower()) for host in hosts)


class Shares:
    """Deals requests to backends by their weights, evenly in time: each always had its share to within one."""

    def __init__(self) -> None:
        self._dealt: dict[tuple[Backend, ...], list[float]] = {}

    def pick(self, backends: tuple[Backend, ...], weight: Callable[[Backend], int]) -> Backend | None:
        """The next one; None where no backend has any weight."""
        weights = [weight(backend) for backend in backends]
        total = sum(weights)
        if not total:
            return None
        # Endpoints change all the time and have nothing to do with shares.
        key = tuple(replace(backend, endpoints=()) for backend in backends)
        dealt = self._dealt.setdefault(key, [0.0] * len(backends))
        for index, share in enumerate(weights):
            dealt[index] += share
        chosen = max(range(len(backends)), key=lambda index: (dealt[index] if weights[index] else -1, -index))
        dealt[chosen] -= total
        return backends[chosen]


def changed(headers: Headers, change: HeaderChange | None) -> Headers:
    """With the filter applied: set, then add, then remove."""
    if change is None:
        return headers
    for name, value in change.set:
        headers = with_header(headers, name.lower(), value)
    headers = (*headers, *((name.lower(), value) for name, value in change.add))
    return without(headers, [name.lower() for name in change.remove])


def location(redirect: Redirect, request: Request, matched_prefix: str) -> str:
    """Where a redirect sends the client; what it does not name stays as it was."""
    host, colon, port = request.authority.partition(":")
    path, question, query = request.path.partition("?")
    if redirect.path:
        path = redirect.path
    elif redirect.path_prefix:
        rest = path.removeprefix(matched_prefix.rstrip("/")).lstrip("/")
        path = redirect.path_prefix.rstrip("/") + (f"/{rest}" if rest else "")
    at = f":{redirect.port}" if redirect.port else f"{colon}{port}"
    return f"{redirect.scheme or request.scheme}://{redirect.hostname or host}{at}{path or '/'}{question}{query}"
