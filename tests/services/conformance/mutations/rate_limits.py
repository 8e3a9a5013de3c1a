"""How rate limits are broken."""

from steward.events.conformance import Rung
from steward.testing.dataplane.control import faults as told
from steward.testing.dataplane.faults import Scope
from steward.testing.dataplane.proxy import inbound_faults as proxy
from tests.services.conformance.mutations.mutation import Mutation

_IGNORED, _STRICT = "LIMIT_IGNORED", "LIMIT_TOO_STRICT"

MUTATIONS = (
    Mutation("ratelimit.total", proxy.RATE_LIMIT_IGNORED, _IGNORED, Rung.PROXY),
    Mutation("ratelimit.total", proxy.RATE_LIMIT_STRICT, _STRICT, Rung.PROXY),
    Mutation("ratelimit.identity", told.RATE_LIMITS_IGNORED, _IGNORED, Rung.PROXY),
    Mutation("ratelimit.identity", proxy.RATE_LIMIT_SHARED, "LIMIT_SHARED", Rung.PROXY),
    Mutation("ratelimit.override", proxy.RATE_LIMIT_OVERRIDES_IGNORED, "OVERRIDE_IGNORED", Rung.PROXY),
    Mutation("ratelimit.total", proxy.AUTHORIZATION_DENIES_ALL, scope=Scope(pod="sp"), control=True),
    *(
        Mutation(f"ratelimit.{which}", proxy.AUTHORIZATION_DENIES_ALL, scope=Scope(pod="sp"), control=True)
        for which in ("identity", "override")
    ),
)
