"""Causes on the way: proxies that are kept apart, packets that pass by them, and what has no better name."""

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes.objects import not_injected
from services.conformance.core.known_causes.reading import cautious, objects_of, replies_of
from services.conformance.core.orders import Reply, Trouble
from services.conformance.core.probe import Cause
from services.conformance.core.proofs import Maker, good, maker, tally
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import text

_NO_WAY = (Trouble.TIMED_OUT, Trouble.REFUSED, Trouble.UNREACHABLE, Trouble.RESET, Trouble.CLOSED)


def _dns(_stage: Stage, evidence: Evidence) -> str | None:
    replies = replies_of(evidence, why.BY_SERVICE)
    there = objects_of(evidence, why.SERVICE)
    if not there or not any(reply.trouble is Trouble.UNKNOWN_NAME for reply in replies):
        return None
    return f"the Service is there, and by its name: {tally(replies)}"


DNS = Cause(
    code="DNS",
    rung=Rung.TRAFFIC,
    seen=cautious(_dns),
    message="Names are not resolved as they should be; the mesh has no part in that.",
    expected="every lookup is answered, and alike",
    disproof="A hundred lookups from both pods give the same addresses.",
    remedy="Look at the cluster's DNS: its pods, its load, NetworkPolicies for port 53.",
    command="kubectl -n kube-system logs -l k8s-app=kube-dns",
)


def _unconnected(reply: Reply) -> bool:
    """The client's proxy could not connect; whatever else it says, it says for another reason."""
    return maker(reply) is Maker.CLIENT_PROXY and (reply.status in (502, 503, 504) or reply.grpc_status in (4, 14))


def _netpol(_stage: Stage, evidence: Evidence) -> str | None:
    meshed = replies_of(evidence, why.BY_POD, why.BY_SERVICE)
    unmeshed = replies_of(evidence, why.FROM_UNMESHED)
    if not meshed or not unmeshed or any(map(good, meshed)) or not all(map(good, unmeshed)):
        return None
    if not all(reply.trouble in _NO_WAY or _unconnected(reply) for reply in meshed):
        return None
    policies = sorted(text(each, "metadata", "name") for each in objects_of(evidence, why.NETWORKS))
    there = f"NetworkPolicies {', '.join(policies)}" if policies else "no NetworkPolicy in this namespace"
    return f"meshed {tally(meshed)}; unmeshed to the same pod {tally(unmeshed)}; {there}"


NETPOL_4143 = Cause(
    code="NETPOL_4143",
    rung=Rung.TRAFFIC,
    seen=cautious(_netpol),
    message="The proxies do not reach each other, though the pod is reached without them.",
    expected="meshed and unmeshed clients reach the pod alike",
    disproof="A connection from the client's pod to port 4143 of the server's pod is accepted.",
    remedy="Allow port 4143 between meshed pods (and 4191 for scraping) in NetworkPolicies.",
    command="kubectl get networkpolicies -A",
)


def _cni_rules(stage: Stage, evidence: Evidence) -> str | None:
    replies = replies_of(evidence, why.BY_SERVICE)
    if not any(map(good, replies)) or not_injected(stage, evidence):
        return None
    client = _moved(evidence, why.CLIENT_BEFORE, why.CLIENT_AFTER, "outbound")
    server = _moved(evidence, why.SERVER_BEFORE, why.SERVER_AFTER, "inbound")
    passed = [who for who, moved in (("the client's", client), ("the server's", server)) if moved is False]
    return f"calls are answered, and {' and '.join(passed)} proxy saw none of them" if passed else None


def _moved(evidence: Evidence, before: str, after: str, direction: str) -> bool | None:
    if before not in evidence or after not in evidence or not evidence.pages(after):
        return None
    counters = ("request_total", "tcp_open_total")
    own = ("4191", "4190")
    for counter in counters:
        for pod, page in evidence.pages(after).items():
            ports = page.values(counter, "target_port", direction=direction) - set(own)
            earlier = evidence.pages(before).get(pod)
            for port in ports:
                now = page.total(counter, direction=direction, target_port=port)
                if now > (earlier.total(counter, direction=direction, target_port=port) if earlier else 0):
                    return True
    return False


CNI_RULES = Cause(
    code="CNI_RULES",
    rung=Rung.TRAFFIC,
    seen=cautious(_cni_rules),
    message="Traffic passes by a proxy that is there: the pod's packets are not redirected.",
    expected="the proxies of client and server both count the calls",
    disproof="request_total or tcp_open_total moves on both pages when a call is made.",
    remedy="See that linkerd-init or the CNI plugin ran on that node, in the iptables mode of its kernel.",
    command="kubectl logs <pod> -c linkerd-init",
)


def _datapath(_stage: Stage, evidence: Evidence) -> str | None:
    by_service, by_pod = replies_of(evidence, why.BY_SERVICE), replies_of(evidence, why.BY_POD)
    if not by_service or (all(map(good, by_service)) and all(map(good, by_pod))):
        return None
    unmeshed = replies_of(evidence, why.FROM_UNMESHED)
    return f"by Service {tally(by_service)}; by pod address {tally(by_pod)}; from unmeshed {tally(unmeshed)}"


DATAPATH = Cause(
    code="DATAPATH",
    rung=Rung.TRAFFIC,
    seen=cautious(_datapath),
    message="Objects, control plane and proxies agree, and calls fail all the same.",
    expected="calls of the diagnosis are answered, by Service and by pod address",
    disproof="The same calls, made by hand, are answered.",
    remedy="Look at the application's log, at nodes and at the network between them.",
    command="kubectl logs <pod> -c linkerd-proxy",
)
