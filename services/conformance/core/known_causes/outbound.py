"""Why the client's proxy does not do what an object asks of it: the object, what is told, what is done."""

from collections.abc import Callable, Iterator

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes import COMMON, SP_SHADOWS
from services.conformance.core.known_causes.reading import cautious, objects_of
from services.conformance.core.pages import grown
from services.conformance.core.probe import Cause
from services.conformance.core.proofs import Series
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, text, walk

Doing = Callable[[Stage], tuple[Series, ...]]
"""Counters of which at least one moves where the proxy does what is asked."""
BEFORE = "before"
AFTER = "after"


def ladder(what: str, mark: str, doing: Doing, *more: Cause, route: str = "") -> tuple[Cause, ...]:
    """All that can be behind a feature of a Service's outbound traffic, from the objects to the traffic.

    `mark` is the word by which an outbound policy has the feature (the name of a route, `retry`), `doing` are the
    counters by which a proxy shows that it does it.
    """
    objects = (SP_SHADOWS, *(_of_route(route) if route else ()))
    return (*more, *objects, *COMMON, policy_stale(what, mark), not_done(what, mark, doing), done_in_vain(what, doing))


def conditions(route: JsonObject, kind: str) -> Iterator[JsonObject]:
    """What the parents of a route say of it under that kind."""
    for parent in rows(route, "status", "parents"):
        yield from (each for each in rows(parent, "conditions") if text(each, "type") == kind)


def _named(evidence: Evidence, name: str) -> JsonObject | None:
    found = objects_of(evidence, why.ROUTES, "routes")
    return next((route for route in found if text(route, "metadata", "name") == name), None)


def _of_route(name: str) -> tuple[Cause, Cause]:
    def refused(_stage: Stage, evidence: Evidence) -> str | None:
        route = _named(evidence, name)
        if route is None:
            return None
        accepted = tuple(conditions(route, "Accepted"))
        if not accepted:
            return f"no controller says anything of {name}"
        bad = [each for each in accepted if text(each, "status") != "True"]
        return f"{name}: Accepted is {text(bad[0], 'status')}, {text(bad[0], 'reason')}" if bad else None

    def unresolved(_stage: Stage, evidence: Evidence) -> str | None:
        route = _named(evidence, name)
        bad = [each for each in conditions(route or {}, "ResolvedRefs") if text(each, "status") != "True"]
        return (
            f"{name}: ResolvedRefs is False, {text(bad[0], 'reason')} {text(bad[0], 'message')}".strip()
            if bad
            else None
        )

    return (
        Cause(
            code="ROUTE_NOT_ACCEPTED",
            rung=Rung.OBJECT,
            seen=cautious(refused),
            message="The policy controller has not accepted the route.",
            expected="the condition Accepted of each parent is True",
            disproof="kubectl shows Accepted=True with controllerName linkerd.io/policy-controller.",
            remedy="Look at the reason; see that the policy controller has a leader and serves this API version.",
            command=f"kubectl get httproute {name} -n <namespace> -o yaml",
        ),
        Cause(
            code="BACKEND_MISSING",
            rung=Rung.OBJECT,
            seen=cautious(unresolved),
            message="A backend of the route does not exist: its share of the requests is answered 500.",
            expected="the condition ResolvedRefs of each parent is True",
            disproof="The condition ResolvedRefs is True.",
            remedy="Make the Service, or take it out of backendRefs.",
            command=f"kubectl get httproute {name} -n <namespace> -o yaml",
        ),
    )


def mentions(value: JsonObject, mark: str) -> bool:
    """Whether a message of the control plane has a member, or a text, of that name."""
    wanted = _bare(mark)
    for each in walk(value):
        if isinstance(each, dict) and any(_bare(key) == wanted for key in each):
            return True
        if isinstance(each, str) and _bare(each) == wanted:
            return True
    return False


def _bare(word: str) -> str:
    return word.replace("_", "").lower()


def told(evidence: Evidence, mark: str) -> bool | None:
    """Whether the control plane tells it; None where nobody could be asked."""
    if why.OUTBOUND not in evidence:
        return None
    answer = evidence.told(why.OUTBOUND)
    if isinstance(answer, NotTold) or not answer.answers:
        return None
    return all(mentions(each, mark) for each in answer.answers.values())


def policy_stale(what: str, mark: str) -> Cause:
    """The policy controller does not tell the proxies what the object says."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        return f"the outbound policy has no {mark}" if told(evidence, mark) is False else None

    return Cause(
        code="CP_STALE",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message=f"The control plane does not tell the proxies of {what}, though the object asks for it.",
        expected=f"the outbound policy of the Service has {mark}",
        disproof=f"`linkerd diagnostics policy` of the Service shows {mark}.",
        remedy="Restart linkerd-destination, and look at the policy container's log and its API throttling.",
        command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
    )


def _moved(stage: Stage, evidence: Evidence, doing: Doing) -> dict[str, float]:
    before, after = evidence.pages(BEFORE), evidence.pages(AFTER)
    return {str(each): grown(before, after, each.name, **each.labels) for each in doing(stage)}


def not_done(what: str, mark: str, doing: Doing) -> Cause:
    """The client's proxy is told, and does not do it."""

    def seen(stage: Stage, evidence: Evidence) -> str | None:
        if mark and told(evidence, mark) is False:
            return None
        moved = _moved(stage, evidence, doing)
        return None if any(moved.values()) else f"stood still: {', '.join(moved)}"

    return Cause(
        code="PROXY_STALE",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message=f"The control plane tells of {what}, and the client's proxy does not act by it.",
        expected="the counters named here move with the calls",
        disproof="They move.",
        remedy="Restart the client's pod; if that does not help, compare the proxy's version with the control plane's.",
        command="linkerd diagnostics proxy-metrics -n <namespace> po/<client> | grep outbound_http_route",
    )


def done_in_vain(what: str, doing: Doing) -> Cause:
    """The client's proxy does it, and the traffic is not as it should be."""

    def seen(stage: Stage, evidence: Evidence) -> str | None:
        moved = {name: count for name, count in _moved(stage, evidence, doing).items() if count}
        return ", ".join(f"{name} + {count:g}" for name, count in moved.items()) or None

    return Cause(
        code="DATAPATH",
        rung=Rung.TRAFFIC,
        seen=cautious(seen),
        message=f"Objects, control plane and the client's proxy agree on {what}, and the traffic differs.",
        expected="answers as the counters of the proxy say",
        disproof="The same calls, made by hand from the client's pod, are answered as they should be.",
        remedy="Look at the application's log and at the proxies' logs of both sides.",
        command="kubectl logs <pod> -c linkerd-proxy",
    )
