"""A target whose routes are those of before, while its endpoints are those of now."""

from collections.abc import Iterator
from dataclasses import replace

from steward.testing.dataplane.config import Backend, Endpoint, Meta, OutboundTarget, Route


def backends_of(target: OutboundTarget) -> Iterator[Backend]:
    """Every backend that a target has, by whatever way."""
    for route in (*target.http_routes, *target.grpc_routes, *target.opaque_routes):
        for rule in route.rules:
            yield from rule.backends
    if target.profile is not None:
        yield from target.profile.overrides
    if target.default is not None:
        yield target.default


def outdated(before: OutboundTarget, now: OutboundTarget) -> OutboundTarget:
    """What a proxy goes by that does not take over changes of routes."""
    known = {backend.meta: backend.endpoints for backend in backends_of(now)}
    return replace(
        now,
        http_routes=tuple(_refreshed(each, known) for each in before.http_routes),
        grpc_routes=tuple(_refreshed(each, known) for each in before.grpc_routes),
        opaque_routes=tuple(_refreshed(each, known) for each in before.opaque_routes),
    )


def _refreshed(route: Route, known: dict[Meta, tuple[Endpoint, ...]]) -> Route:
    rules = tuple(
        replace(
            rule,
            backends=tuple(replace(each, endpoints=known.get(each.meta, each.endpoints)) for each in rule.backends),
        )
        for rule in route.rules
    )
    return replace(route, rules=rules)
