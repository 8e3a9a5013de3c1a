"""What becomes of a request or a connection: the policy, as far as the faults of this proxy let it count."""

from dataclasses import replace
from typing import TypeVar

from steward.testing.dataplane.config import Authorization, InboundRoute, InboundServer, Meta, RateLimit
from steward.testing.dataplane.proxy.exchange import Request
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_faults import (
    AUDIT_DENIES,
    AUTHORIZATION_DENIES_ALL,
    AUTHORIZATION_IGNORED,
    IDENTITIES_IGNORED,
    NETWORKS_IGNORED,
    RATE_LIMIT_IGNORED,
    RATE_LIMIT_OVERRIDES_IGNORED,
    RATE_LIMIT_SHARED,
    RATE_LIMIT_STRICT,
    ROUTE_AUTHORIZATION_IGNORED,
    TCP_DENIAL_IGNORED,
    UNKNOWN_ROUTE_ALLOWED,
)
from steward.testing.dataplane.proxy.matching import find
from steward.testing.dataplane.proxy.policy import DEFAULT_ROUTE, Decision, Peer, Verdict, authorize, routes_of
from steward.testing.dataplane.proxy.ratelimit import Limited, Limiter

Guarded = TypeVar("Guarded", InboundServer, InboundRoute)
_OPEN = Decision(Verdict.ALLOWED, Meta("", "default", "all-unauthenticated"))
_SHUT = Decision(Verdict.DENIED)
_UNKNOWN = InboundRoute(DEFAULT_ROUTE, ())
_STRICT = 10


class Decider:
    """Asks the policies of one proxy, and keeps the buckets of its rate limits."""

    def __init__(self, context: InboundContext) -> None:
        self._context = context
        self._limiters: dict[int, Limiter] = {}

    def route(self, server: InboundServer, request: Request) -> InboundRoute | None:
        """The route that takes the request, or None where none does."""
        found = find(((each, each.matches) for each in routes_of(server)), request)
        if found is None and self._context.broken(UNKNOWN_ROUTE_ALLOWED):
            return _UNKNOWN
        return found

    def request(self, server: InboundServer, route: InboundRoute, peer: Peer) -> Decision:
        """About one request."""
        ignored = self._context.broken(ROUTE_AUTHORIZATION_IGNORED) and route.meta.kind != DEFAULT_ROUTE.kind
        return _OPEN if ignored or route is _UNKNOWN else self._decide(server, route, peer)

    def connection(self, server: InboundServer, peer: Peer) -> Decision:
        """About a connection whose bytes nobody looks at."""
        decision = self._decide(server, None, peer)
        return _OPEN if not decision.allowed and self._context.broken(TCP_DENIAL_IGNORED) else decision

    def limited(self, server: InboundServer, port: int, peer: Peer) -> tuple[Limited, int] | None:
        """The limit that the request exceeds, and its rate."""
        limit = server.rate_limit
        if limit is None or self._context.broken(RATE_LIMIT_IGNORED):
            return None
        limit = self._as_broken(limit)
        limiter = self._limiters.get(port)
        if limiter is None or limiter.limit != limit:
            limiter = self._limiters[port] = Limiter(limit)
        identity = "" if self._context.broken(RATE_LIMIT_SHARED) else peer.identity
        scope = limiter.reject(identity, self._context.clock.monotonic())
        if scope is None:
            return None
        return scope, limit.total if scope is Limited.TOTAL else dict(limit.overrides).get(identity, limit.identity)

    def _decide(self, server: InboundServer, route: InboundRoute | None, peer: Peer) -> Decision:
        if self._context.broken(AUTHORIZATION_DENIES_ALL):
            return _SHUT
        if self._context.broken(AUTHORIZATION_IGNORED):
            return _OPEN
        decision = authorize(self._as_told(server), self._as_told(route) if route is not None else None, peer)
        return _SHUT if decision.audited and self._context.broken(AUDIT_DENIES) else decision

    def _as_told(self, guarded: Guarded) -> Guarded:
        if self._context.broken(NETWORKS_IGNORED):
            guarded = replace(guarded, authorizations=tuple(map(_from_everywhere, guarded.authorizations)))
        if self._context.broken(IDENTITIES_IGNORED):
            guarded = replace(guarded, authorizations=tuple(map(_from_everybody, guarded.authorizations)))
        return guarded

    def _as_broken(self, limit: RateLimit) -> RateLimit:
        if self._context.broken(RATE_LIMIT_OVERRIDES_IGNORED):
            limit = replace(limit, overrides=())
        if not self._context.broken(RATE_LIMIT_STRICT):
            return limit
        overrides = tuple((name, _tenth(rate)) for name, rate in limit.overrides)
        return replace(limit, total=_tenth(limit.total), identity=_tenth(limit.identity), overrides=overrides)


def _from_everywhere(authorization: Authorization) -> Authorization:
    return Authorization(authorization.meta, identities=authorization.identities)


def _from_everybody(authorization: Authorization) -> Authorization:
    return replace(authorization, identities=None)


def _tenth(rate: int) -> int:
    return max(1, rate // _STRICT) if rate else 0
