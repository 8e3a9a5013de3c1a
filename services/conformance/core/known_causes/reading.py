"""How causes read evidence: what a diagnosis did not find is nothing, never an error."""

from collections.abc import Callable, Iterable
from itertools import chain

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.orders import Reply
from services.conformance.core.pages import Page, grown
from services.conformance.core.stage import Stage
from steward.jsonvalue import JsonObject, dig, rows, text
from steward.linkerd.marks import PROXY_CONTAINER

Seen = Callable[[Stage, Evidence], str | None]


def cautious(seen: Seen) -> Seen:
    """A cause that finds nothing to judge by is not seen."""

    def looked(stage: Stage, evidence: Evidence) -> str | None:
        try:
            return seen(stage, evidence)
        except Unseen:
            return None

    return looked


def proxy_of(pod: JsonObject) -> JsonObject | None:
    """The proxy's container: a native sidecar stands among the init containers."""
    containers = chain(rows(pod, "spec", "initContainers"), rows(pod, "spec", "containers"))
    return next((each for each in containers if text(each, "name") == PROXY_CONTAINER), None)


def without_proxy(pods: Iterable[JsonObject]) -> list[str]:
    """Names of the running pods that should have a proxy and have none."""
    return sorted(
        pod_name(pod) for pod in pods if proxy_of(pod) is None and not dig(pod, "metadata", "deletionTimestamp")
    )


def pod_name(pod: JsonObject) -> str:
    """Its name."""
    return text(pod, "metadata", "name")


def objects_of(evidence: Evidence, *names: str) -> list[JsonObject]:
    """What several steps read; those that read nothing are left out."""
    return [thing for name in names if name in evidence for thing in evidence.objects(name)]


def pages_of(evidence: Evidence, *names: str) -> dict[str, Page]:
    """The latest page of each pod that any of these steps read."""
    return {pod: page for name in names if name in evidence for pod, page in evidence.pages(name).items()}


def replies_of(evidence: Evidence, *names: str) -> list[Reply]:
    """The replies of those steps that were made."""
    return [reply for name in names if name in evidence for reply in evidence.replies(name)]


def growth_of(evidence: Evidence, before: str, after: str, name: str, **labels: str) -> float:
    if before not in evidence or after not in evidence:
        return 0
    return grown(evidence.pages(before), evidence.pages(after), name, **labels)


def meshed_pods(stage: Stage, evidence: Evidence) -> list[JsonObject]:
    pods = objects_of(evidence, why.CLIENT_PODS, why.SERVER_PODS)
    return [pod for pod in pods if text(pod, "metadata", "namespace") == stage.meshed]


def all_replies(evidence: Evidence, steps: Iterable[str]) -> list[Reply]:
    found: list[Reply] = []
    for step in steps:
        try:
            found += evidence.replies(step)
        except Unseen:
            continue
    return found


def read_at(evidence: Evidence) -> float | None:
    """The latest moment that any agent noted, in seconds since 1970: pages of metrics have no date of their own."""
    ends = [
        report.ended_at.timestamp()
        for step in evidence
        if step in evidence and evidence.steps[step].reports is not None
        for report in evidence.reports(step)
    ]
    return max(ends, default=None)


def clock_of(evidence: Evidence) -> float:
    """The same; raises Unseen where no agent noted any moment."""
    now = read_at(evidence)
    if now is None:
        raise Unseen("clock", "no agent told the time")
    return now
