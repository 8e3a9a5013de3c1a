"""Which probes must stay green beside a mutation: one of each family that has nothing to do with what is broken.

What a fault breaks is told by all of its rows together. A family is concerned if it has one of them, or if its group
stands on the group of one: in a run it would be skipped, or explained by what lies below.
"""

from collections.abc import Iterable, Mapping

from services.conformance.core.dependencies import GROUNDS
from services.conformance.core.probe import Probe
from services.conformance.core.probes import FAMILIES
from tests.mutation.catalogue import all_mutations
from tests.services.conformance.mutations.mutation import Mutation

CANARIES = (
    "authz.default.deny",
    "authz.server",
    "authz.tcp",
    "cb.consecutive",
    "cp.dst-consistency",
    "cp.webhook",
    "disc.dns",
    "egress.allow",
    "exp.external-workload",
    "ingress.header",
    "inj.levels",
    "lb.spread",
    "lb.zero-endpoints",
    "life.shutdown",
    "mtls.leaves",
    "mtls.require-id",
    "mtls.tcp",
    "obs.inbound-metrics",
    "obs.viz.tap",
    "proto.grpc.stream",
    "proto.http1",
    "proto.opaque.default",
    "proto.sse",
    "proto.tcp.client-first",
    "proto.undefined-port",
    "ratelimit.total",
    "retry.limit",
    "route.no-match",
    "route.producer-consumer",
    "route.redirect",
    "route.weight-zero",
    "sp.timeout",
    "timeout.route",
    "topo.local",
)
"""Of each family a quick one, that sends traffic where the family does."""

_COUNTED = frozenset(CANARIES)
TOUCHED: Mapping[str, frozenset[str]] = {
    # Whatever is proven by counters is not, where these are wrong.
    "metrics-frozen": _COUNTED,
    "metrics-counted-twice": _COUNTED,
    "metrics-restless": _COUNTED,
    # Pods that are read, or told of, under an address or port that is another's.
    "addresses-crossed": frozenset({"cp.dst-consistency"}),
    "sm-http-at-18080": frozenset({"cp.dst-consistency"}),
    "v1-skip-inbound-ports-8080": frozenset({"cp.dst-consistency"}),
    # The unmeshed server, who must be refused for having no identity.
    "su-scaled-to-0": frozenset({"mtls.require-id"}),
    # Bytes go the way of requests.
    "inbound-redirection-broken": frozenset({"mtls.tcp"}),
    "v1-restarted-under-injector-overlooks": frozenset({"mtls.tcp"}),
    # What is carried over HTTP/2 between the proxies, or streamed.
    "inbound-protocol-not-restored": frozenset({"mtls.require-id", "proto.sse"}),
    "h2-downgraded": frozenset({"proto.grpc.stream"}),
    "streams-buffered": frozenset({"proto.grpc.stream"}),
    # Whatever a route does is not done, where routes are not kept, not found, or taken for every path.
    "routes-ignored": frozenset({"route.redirect", "route.weight-zero"}),
    "routes-not-found": frozenset({"route.producer-consumer", "route.redirect", "route.weight-zero"}),
    "path-ignored": frozenset({"route.redirect"}),
    "filters-ignored": frozenset({"route.producer-consumer"}),
}
"""What a fault breaks besides the features whose mutations have it, so that it is no canary there."""


def canaries(mutation: Mutation) -> tuple[Probe, ...]:
    """Those that a mutation must leave alone."""
    broken = frozenset(row.probe for row in all_mutations() if row.name == mutation.name)
    families = [family for family in FAMILIES if not any(probe.id in broken for probe in family)]
    groups = frozenset(feature.split(".", 1)[0] for feature in broken)
    return tuple(
        probe
        for family in families
        for probe in family
        if probe.id in CANARIES
        and probe.id not in TOUCHED.get(mutation.name, ())
        and not groups & _below(probe.group)
        and not broken & frozenset(probe.depends_on)
    )


def unwatched() -> tuple[str, ...]:
    """Families without a canary, each by its first feature."""
    return tuple(family[0].id for family in FAMILIES if not any(probe.id in CANARIES for probe in family))


def _below(group: str) -> frozenset[str]:
    """The groups that a group stands on, near and far."""
    direct: Iterable[str] = GROUNDS.get(group, ())
    return frozenset(direct).union(*(_below(each) for each in direct))
