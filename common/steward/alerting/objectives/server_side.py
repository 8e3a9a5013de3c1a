"""Requests of a Service as its own pods count them: whatever reaches a pod, whoever calls.

Pods are known by the labels that the Service selects, which every scrape configuration of Linkerd copies onto the
series of their proxies (observability.md §1.6). Requests that a policy turns away are not among them
(linkerd2-proxy `linkerd/app/inbound/src/http/router.rs`: the counters lie behind the policy).
"""

import re

from steward.alerting.objectives.counters import PODS, PROFILE
from steward.alerting.objectives.counting import INBOUND, Counted, CountedBy, Counting, Note, Source, by_address
from steward.alerting.objectives.facts import MeshFacts, ServiceFacts
from steward.alerting.objectives.refusals import Refused
from steward.alerting.promql import LABEL, Matcher
from steward.resources.alert_policy import Granularity

ADMIN_PORT = "4191"
"""Where proxies are scraped and probed: requests like any other, which nobody sets an objective for."""
_NOT_PROBES = (Matcher.differs("target_port", ADMIN_PORT), Matcher.differs("route_name", "probe"))
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_OF_SERIES = frozenset(
    {
        *("namespace", "pod", "job", "instance", "direction", "target_port", "route_name", "dst", "rt_route"),
        *("classification", "status_code", "le"),
    }
)


def counted_by_pods(service: ServiceFacts, granularity: Granularity, facts: MeshFacts) -> Counting:
    """Where the pods of a Service count what reaches them."""
    pods = _pods(service)
    if isinstance(pods, Refused):
        return pods
    if granularity is Granularity.TARGET:
        numbers = [port.target for port in service.ports]
        known = [str(number) for number in numbers if number is not None]
        ports = (Matcher.any_of("target_port", known),) if known and len(known) == len(numbers) else ()
        return Counted(
            CountedBy.PODS,
            service.place,
            (Source(PODS, (INBOUND, *pods, *ports, *_NOT_PROBES)),),
            notes=(
                Note(
                    "PodsByLabels",
                    f"pods are known by the labels that Service {service.place.name!r} selects: another Service that "
                    "selects the same pods and ports counts the same requests",
                ),
            ),
        )
    for profile in facts.profiles_of.get(service.place, ()):
        if profile.for_everybody and profile.routes:
            return Counted(
                CountedBy.PODS,
                service.place,
                (Source(PROFILE, (INBOUND, *pods, by_address(profile.place.name, service))),),
                notes=(Note("OnlyRoutes", "pods do not count requests by routes that fit no route of the profile"),),
            )
    return Refused(
        "NoRoutesAtServer",
        f"the pods of Service {service.place.name!r} tell routes apart only by a ServiceProfile with routes, and it "
        "has none: look at it from the side of the client, or as a whole",
    )


def _pods(service: ServiceFacts) -> tuple[Matcher, ...] | Refused:
    name = service.place.name
    if not service.selector:
        return Refused(
            "NoSelector",
            f"Service {name!r} selects no pods whose proxies could be asked: look at it from the side of the client",
        )
    labels = [(_as_scraped(label), value) for label, value in service.selector]
    unfit = sorted(label for label, _ in labels if label in _OF_SERIES or LABEL.fullmatch(label) is None)
    if unfit:
        return Refused(
            "SelectorUnfit",
            f"Service {name!r} selects pods by {', '.join(unfit)}, which is no label of series, or displaces one that "
            "is needed: select them by another label, or look at it from the side of the client",
        )
    return (
        Matcher.equal("namespace", service.place.namespace),
        *(Matcher.equal(label, value) for label, value in labels),
    )


def _as_scraped(label: str) -> str:
    written = _NO_LABEL.sub("_", label)
    return written.removeprefix("linkerd_io_").removeprefix("proxy_") if written.startswith("linkerd_io_") else written
