"""A circuit breaker that makes things worse: it opens every endpoint where each fails a little."""

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes.reading import all_replies, cautious, objects_of
from services.conformance.core.orders import Reply
from services.conformance.core.probe import Cause
from services.conformance.core.proofs import Maker, good, maker
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import texts

ACCRUAL = "balancer.linkerd.io/failure-accrual"


def refused_by_client(reply: Reply) -> bool:
    """Refused by the client's own proxy: failing fast, or shedding what it cannot place."""
    return reply.status in (503, 504) and maker(reply) is Maker.CLIENT_PROXY


def _failed_by_application(reply: Reply) -> bool:
    return not good(reply) and maker(reply) is Maker.APPLICATION


def _most_pending(evidence: Evidence) -> float:
    pages = (evidence.steps[step].pages for step in evidence if step in evidence)
    return max(
        (
            page.total("outbound_http_balancer_endpoints", endpoint_state="pending")
            for each in pages
            for page in (each or {}).values()
        ),
        default=0,
    )


def _amplifies(_stage: Stage, evidence: Evidence) -> str | None:
    replies = all_replies(evidence, evidence)
    refused = [reply for reply in replies if refused_by_client(reply)]
    failed = [reply for reply in replies if _failed_by_application(reply)]
    pending = _most_pending(evidence)
    if not refused or not failed or not pending:
        return None
    kinds = {texts(each, "metadata", "annotations").get(ACCRUAL) for each in objects_of(evidence, why.SERVICE)}
    kind = ", ".join(sorted(kind for kind in kinds if kind)) or "no annotation read"
    return (
        f"the proxy refused {len(refused)} requests while the application failed {len(failed)} of {len(replies)}; "
        f"up to {pending:g} endpoints pending; {ACCRUAL}: {kind}"
    )


BREAKER_AMPLIFIES = Cause(
    code="BREAKER_AMPLIFIES",
    rung=Rung.PROXY,
    seen=cautious(_amplifies),
    message="A circuit breaker turns a partial failure into a whole one: it opens every endpoint, good requests too.",
    expected="where all endpoints fail a little, none is opened and no request is refused by the proxy",
    disproof="No 503 or 504 comes from the client's proxy, and no endpoint is pending while calls are made.",
    remedy="Lower the success-rate threshold or raise its minimum of requests; or break on consecutive failures.",
    command="kubectl get service <service> -o yaml | grep failure-accrual",
)
