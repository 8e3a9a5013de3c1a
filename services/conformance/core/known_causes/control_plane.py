"""Causes in the control plane: it does not answer, or it tells what is not so."""

from collections.abc import Iterable

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes.reading import cautious, growth_of, pages_of
from services.conformance.core.probe import Cause
from services.conformance.core.stage import Stage
from services.conformance.core.told import endpoints_told
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, flag, rows, strings

_CALLS = "control_response_total"


def _cp_unreachable(stage: Stage, evidence: Evidence) -> str | None:
    told = evidence.told(why.DESTINATIONS) if why.DESTINATIONS in evidence else None
    if isinstance(told, NotTold) and told.code in ("Unavailable", "DeadlineExceeded"):
        return f"destination answers {told.code}: {told.message}"
    failures = {
        name: _failures(stage, evidence, before, after)
        for name, before, after in (
            ("client", why.CLIENT_BEFORE, why.CLIENT_AFTER),
            ("server", why.SERVER_BEFORE, why.SERVER_AFTER),
        )
    }
    if any(failures.values()):
        return ", ".join(f"{count:g} failed calls of the {who}'s proxy" for who, count in failures.items() if count)
    return _without_controllers(evidence)


def _failures(stage: Stage, evidence: Evidence, before: str, after: str) -> float:
    """Failed calls to destination and policy. A proxy whose certificate has expired asks identity in vain for ever.

    Proxies count their calls to a collector of traces here too, which is no part of the control plane.
    """
    failed = {"classification": "failure"}
    asked = {addr for page in pages_of(evidence, after).values() for addr in page.values(_CALLS, "addr", **failed)}
    home = f".{stage.linkerd_namespace}.svc."
    others = sorted(addr for addr in asked if home in addr and not addr.startswith("linkerd-identity"))
    return sum(growth_of(evidence, before, after, _CALLS, addr=addr, **failed) for addr in others)


def _without_controllers(evidence: Evidence) -> str | None:
    for pod, page in pages_of(evidence, why.CLIENT_AFTER, why.SERVER_AFTER).items():
        for name in ("control_destination_balancer_endpoints", "control_policy_balancer_endpoints"):
            if page.total(name, endpoint_state="pending") and not page.total(name, endpoint_state="ready"):
                return f"{pod} has no ready endpoint in {name}"
    return None


CP_UNREACHABLE = Cause(
    code="CP_UNREACHABLE",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_cp_unreachable),
    message="Proxies, or Steward, do not reach the control plane; targets that are new hang without an error.",
    expected="destination answers, and control_response_total counts no failures",
    disproof="Each replica of destination answers at once, and proxies have ready control-plane endpoints.",
    remedy="See that linkerd-destination is available, and that DNS and NetworkPolicies let proxies to 8086 and 8090.",
    command="linkerd diagnostics endpoints <service>.<namespace>.svc.cluster.local:<port>",
)


def ready_addresses(slices: Iterable[JsonObject]) -> frozenset[str]:
    """Addresses of the ready endpoints of EndpointSlices."""
    return frozenset(
        address
        for each in slices
        for endpoint in rows(each, "endpoints")
        if flag(endpoint, "conditions", "ready", default=True)
        for address in strings(endpoint, "addresses")
    )


def _cp_stale(_stage: Stage, evidence: Evidence) -> str | None:
    told = endpoints_told(evidence, why.DESTINATIONS)
    if isinstance(told, NotTold):
        return None
    wanted = ready_addresses(evidence.objects(why.SLICES))
    wrong = {replica: {each.ip for each in found} for replica, found in told.items() if {e.ip for e in found} != wanted}
    if not wrong:
        return None
    return f"{'; '.join(f'{r} tells {sorted(ips)}' for r, ips in sorted(wrong.items()))}; slices have {sorted(wanted)}"


CP_STALE = Cause(
    code="CP_STALE",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_cp_stale),
    message="The control plane tells other endpoints than Kubernetes has.",
    expected="each replica of destination tells the ready addresses of the EndpointSlices",
    disproof="All replicas tell exactly the addresses of the EndpointSlices.",
    remedy="Restart linkerd-destination, and look at its API throttling and queue overflows.",
    command="linkerd diagnostics endpoints <service>.<namespace>.svc.cluster.local:<port>",
)
