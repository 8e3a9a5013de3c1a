"""Causes in the proxies: no valid certificate, a policy that denies, stale endpoints, detection that waits."""

from collections.abc import Mapping

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes.reading import (
    all_replies,
    cautious,
    growth_of,
    pages_of,
    read_at,
    replies_of,
)
from services.conformance.core.orders import Reply
from services.conformance.core.pages import Page
from services.conformance.core.probe import Cause
from services.conformance.core.proofs import Maker, maker, tally
from services.conformance.core.stage import Stage
from services.conformance.core.told import endpoints_told
from steward.events.conformance import Rung
from steward.jsonvalue import text


def expiries(pages: Mapping[str, Page]) -> dict[str, float]:
    """When the certificate of each proxy expires, in seconds since 1970; proxies that do not tell are left out."""
    found = {}
    for pod, page in pages.items():
        for name in (
            "control_identity_cert_expiration_timestamp_seconds",
            "identity_cert_expiration_timestamp_seconds",
        ):
            for sample in page.select(name):
                if sample.value > 0:
                    found[pod] = sample.value
    return found


def expired_leaves(evidence: Evidence, *names: str) -> dict[str, float]:
    """Pods whose certificate has expired, with the seconds since, by the clock of the agents."""
    now = read_at(evidence)
    if now is None:
        return {}
    return {pod: now - expiry for pod, expiry in expiries(pages_of(evidence, *names)).items() if expiry <= now}


def _no_identity(_stage: Stage, evidence: Evidence) -> str | None:
    expired = expired_leaves(evidence, why.CLIENT_AFTER, why.SERVER_AFTER, why.CLIENT_BEFORE, why.SERVER_BEFORE)
    if expired:
        told = ", ".join(f"{pod} {since:.0f} s ago" for pod, since in sorted(expired.items()))
        return f"certificates expired: {told}"
    bare = [
        pod
        for pod, page in pages_of(evidence, why.CLIENT_AFTER, why.SERVER_AFTER).items()
        if page.total("control_identity_cert_refreshes_total", result="ok") == 0
        and page.total("control_identity_cert_expiration_timestamp_seconds") == 0
        and page.total("identity_cert_expiration_timestamp_seconds") == 0
    ]
    return f"never given a certificate: {', '.join(sorted(bare))}" if bare else None


NO_IDENTITY = Cause(
    code="NO_IDENTITY",
    rung=Rung.PROXY,
    seen=cautious(_no_identity),
    message="A proxy has no valid certificate; one that has expired is never renewed, and no readiness says so.",
    expected="control_identity_cert_expiration_timestamp_seconds lies in the future on every proxy",
    disproof="The expiry on each proxy's page is later than the clock.",
    remedy="See that the identity controller runs and its issuer is valid; then restart the pods named here.",
    command="linkerd diagnostics proxy-metrics -n <namespace> po/<pod> | grep cert_expiration",
)


def _policy_deny(_stage: Stage, evidence: Evidence) -> str | None:
    http = growth_of(evidence, why.SERVER_BEFORE, why.SERVER_AFTER, "inbound_http_authz_deny_total")
    tcp = growth_of(evidence, why.SERVER_BEFORE, why.SERVER_AFTER, "inbound_tcp_authz_deny_total")
    if http or tcp:
        return f"the server's proxy denied {http:g} requests and {tcp:g} connections of the diagnosis"
    denied = [reply for reply in replies_of(evidence, why.BY_SERVICE, why.BY_POD) if _denied(reply)]
    return f"the server's proxy answered {tally(denied)}" if denied else None


def _denied(reply: Reply) -> bool:
    return (reply.status == 403 or reply.grpc_status == 7) and maker(reply) is Maker.SERVER_PROXY


POLICY_DENY = Cause(
    code="POLICY_DENY",
    rung=Rung.PROXY,
    seen=cautious(_policy_deny),
    message="An inbound policy refuses the client.",
    expected="inbound_*_authz_deny_total stands still",
    disproof="The deny counters of the server's proxy do not move when the call is made.",
    remedy="Look at default-inbound-policy and at the Servers and AuthorizationPolicies that select the pod.",
    command="linkerd authz -n <namespace> deploy/<server>",
)


def _proxy_stale(_stage: Stage, evidence: Evidence) -> str | None:
    told = endpoints_told(evidence, why.DESTINATIONS)
    services = evidence.objects(why.SERVICE)
    if isinstance(told, NotTold) or not services or not told:
        return None
    wanted = max(len(found) for found in told.values())
    name = text(services[0], "metadata", "name")
    for pod, page in evidence.pages(why.CLIENT_AFTER).items():
        gauges = {
            sample.labels.get("backend_port"): page.total(
                sample.name, backend_name=name, backend_port=sample.labels.get("backend_port", "")
            )
            for sample in page.select("outbound_http_balancer_endpoints", backend_name=name)
        }
        for port, count in gauges.items():
            if wanted and count and count != wanted and port in {str(e.port) for found in told.values() for e in found}:
                return f"{pod} balances over {count:g} endpoints of {name}:{port}, destination tells {wanted}"
    return None


PROXY_STALE = Cause(
    code="PROXY_STALE",
    rung=Rung.PROXY,
    seen=cautious(_proxy_stale),
    message="The client's proxy goes by endpoints that the control plane does not tell any more.",
    expected="outbound_http_balancer_endpoints counts as many endpoints as destination tells",
    disproof="Both numbers are equal.",
    remedy="Restart the client; report the proxy's log, which should show why its stream ended.",
    command="linkerd diagnostics proxy-metrics po/<pod> | grep balancer_endpoints",
)


def _detect_timeout(stage: Stage, evidence: Evidence) -> str | None:
    patience = (stage.timings.detect - stage.timings.slack).total_seconds()
    every = [step for step in evidence if step in evidence and evidence.steps[step].reports is not None]
    late = [reply for reply in all_replies(evidence, every) if (reply.first_byte_seconds or 0) >= patience]
    pages = pages_of(evidence, why.CLIENT_AFTER, why.SERVER_AFTER)
    timeouts = sum(
        page.total(name, result="read_timeout")
        for page in pages.values()
        for name in ("outbound_tcp_detect_http_results_total", "inbound_tcp_detect_http_results_total")
    )
    if not late or not timeouts:
        return None
    return f"the first byte took {late[0].first_byte_seconds:.1f} s; protocol detection gave up {timeouts:g} times"


DETECT_TIMEOUT = Cause(
    code="DETECT_TIMEOUT",
    rung=Rung.PROXY,
    seen=cautious(_detect_timeout),
    message="The proxy waited for a client that does not speak first.",
    expected="no result read_timeout of protocol detection",
    disproof='*_tcp_detect_http_results_total{result="read_timeout"} stands still.',
    remedy="Mark the port opaque on the pod and on the Service, or give it the appProtocol linkerd.io/opaque.",
    command="linkerd diagnostics proxy-metrics po/<pod> | grep detect_http_results",
)
