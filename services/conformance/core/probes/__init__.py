"""Every probe there is.

A family of features is a module of this package that exposes `PROBES`. To add one: a line in `FAMILIES`.
"""

from collections.abc import Iterable

from services.conformance.core.patterns import any_means
from services.conformance.core.probe import Probe
from services.conformance.core.probes import (
    authorization,
    balancing,
    breakers,
    certificates,
    control_plane,
    default_policies,
    discovery,
    draining,
    egress,
    encryption,
    expansion,
    failfast,
    filters,
    grpc,
    http,
    identity,
    ingress,
    injection,
    lifecycle,
    matches,
    observability,
    opaque,
    other_protocols_authorized,
    ports,
    profiles,
    rate_limits,
    raw,
    retries,
    routes,
    splits,
    streams,
    timeouts,
    topology,
    viz,
    webhooks,
)
from steward.conformance.results import Safety, Tier

FAMILIES: tuple[tuple[Probe, ...], ...] = (
    authorization.PROBES,
    balancing.PROBES,
    breakers.PROBES,
    certificates.PROBES,
    control_plane.PROBES,
    default_policies.PROBES,
    discovery.PROBES,
    egress.PROBES,
    encryption.PROBES,
    expansion.PROBES,
    failfast.PROBES,
    filters.PROBES,
    grpc.PROBES,
    http.PROBES,
    identity.PROBES,
    ingress.PROBES,
    injection.PROBES,
    (*lifecycle.PROBES, *draining.PROBES),
    matches.PROBES,
    observability.PROBES,
    opaque.PROBES,
    other_protocols_authorized.PROBES,
    ports.PROBES,
    profiles.PROBES,
    rate_limits.PROBES,
    raw.PROBES,
    retries.PROBES,
    routes.PROBES,
    splits.PROBES,
    streams.PROBES,
    timeouts.PROBES,
    topology.PROBES,
    viz.PROBES,
    webhooks.PROBES,
)

PROBES: tuple[Probe, ...] = tuple(sorted((probe for family in FAMILIES for probe in family), key=lambda each: each.id))


def chosen(
    include: Iterable[str],
    exclude: Iterable[str],
    tiers: Iterable[Tier],
    allow: Iterable[Safety],
    *,
    of: Iterable[Probe] = PROBES,
) -> tuple[Probe, ...]:
    """The probes that a suite asks for: of its tiers, no bolder than it allows, included (all where none is named).

    A pattern is a feature (`mtls.identity`), a group (`mtls`, which is the same as `mtls.*`), or a part of one
    (`retry.*`). A feature that is named outright comes along whatever its tier is; never one that is not allowed.
    """
    wanted, unwanted = tuple(include), tuple(exclude)
    levels, allowed = frozenset(tiers), frozenset(allow)
    return tuple(
        probe
        for probe in of
        if probe.safety in allowed
        and not any_means(unwanted, probe.id)
        and (probe.id in wanted or (probe.tier in levels and (not wanted or any_means(wanted, probe.id))))
    )
