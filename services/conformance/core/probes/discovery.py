"""Discovery: names, headless and external Services, addresses that change, and targets that nobody has used before."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import EVERY, calling, front, named, until
from services.conformance.core.known_causes import COMMON, DATAPATH, DNS, cautious
from services.conformance.core.objects import manifest
from services.conformance.core.orders import Call, Lookup, Reply, Target, Trouble
from services.conformance.core.outbound import around, routed
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import (
    all_ok,
    answered_by,
    counter_grew_by,
    counter_stood_still,
    good,
    pods_that_answered,
    server_saw,
    tally,
    together,
    within,
)
from services.conformance.core.stage import Port, Stage
from services.conformance.core.steps import Applied, Asked, Calls, Looked, Pages, Removed, Step
from services.conformance.core.targets import CLIENT, UNMESHED, number
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import SERVICES

FRESH, ALIAS, MOVED = "p-fresh", "p-alias", "p-moved"
NOWHERE = "nobody.invalid"
LOOKUPS = 100
SLOWEST = timedelta(seconds=2)


def _fresh(stage: Stage) -> tuple[Step, ...]:
    patience = max(stage.timings.failfast * 2, timedelta(seconds=2)).total_seconds()
    return (
        Calls("warm", CLIENT, calling(stage, "sm", times=3, timeout=5)),
        Applied("new", (front(stage, FRESH, EVERY),)),
        until(stage, "first", calling(stage, FRESH, timeout=patience), good, "an answer", consecutive=1),
        Calls("warm-again", CLIENT, calling(stage, "sm", times=3, timeout=5)),
    )


def _fresh_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return (
        within("a Service that is new is answered", evidence.effect("first"), stage.timings.propagation),
        all_ok("and one that is known", evidence.replies("warm-again")),
    )


def _hanging(replies: Collection[Reply]) -> bool:
    """The first may be refused: nobody listens at an address before the nodes know of it."""
    return any(reply.trouble is Trouble.TIMED_OUT for reply in replies) and all(reply.trouble for reply in replies)


def _hangs(_stage: Stage, evidence: Evidence) -> str | None:
    first, warm = evidence.effect("first"), evidence.replies("warm-again")
    if first.met or not _hanging(first.replies):
        return None
    return f"a new target: {tally(first.replies)}; one that is known: {tally(warm)}"


_NEW_TARGETS_HANG = Cause(
    code="NEW_TARGETS_HANG",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_hangs),
    message="Targets that a proxy has not used before hang without an error; those that it knows go on working.",
    expected="an answer, or an error within the time to fail fast",
    disproof="A call to a Service made just now is answered.",
    remedy="Bring linkerd-destination back. Targets tried during the outage may need a minute and more to recover.",
    command="kubectl -n linkerd get pods -l linkerd.io/control-plane-component=destination",
)


def _dns(stage: Stage) -> tuple[Step, ...]:
    lookup = Lookup(name=stage.service("sm"), times=LOOKUPS)
    return (
        Asked("meshed", CLIENT, lookup),
        Asked("unmeshed", UNMESHED, lookup),
        Asked("headless", CLIENT, Lookup(name=stage.service("ss"), times=5)),
    )


def _dns_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    meshed, unmeshed, headless = (evidence.answers(each) for each in ("meshed", "unmeshed", "headless"))
    slowest = max(meshed.slowest_seconds, unmeshed.slowest_seconds)
    bound = SLOWEST.total_seconds()
    return (
        check("no lookup fails", expected=0, observed=meshed.failures + unmeshed.failures + headless.failures),
        check(
            "meshed and unmeshed pods are told the same",
            expected=sorted(address for address, _ in unmeshed.addresses),
            observed=sorted(address for address, _ in meshed.addresses),
        ),
        check(
            "a headless Service has the addresses of its pods",
            expected=sorted(place.ip for place in stage.pods("ss")),
            observed=sorted(address for address, _ in headless.addresses),
        ),
        check("in time", expected=f"below {bound:g} s", observed=f"{slowest:.3f} s", ok=slowest < bound),
    )


def _dns_cause(_stage: Stage, evidence: Evidence) -> str | None:
    answers = [evidence.answers(each) for each in ("meshed", "unmeshed", "headless")]
    failures, slowest = sum(each.failures for each in answers), max(each.slowest_seconds for each in answers)
    return f"{failures} lookups failed, the slowest took {slowest:.3f} s"


_DNS = replace(DNS, seen=cautious(_dns_cause))


def _no_name(_stage: Stage) -> tuple[Step, ...]:
    return (Asked("control", CLIENT, Lookup(name=NOWHERE, times=2)),)


def _no_name_seen(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    answers = evidence.answers("control")
    return (
        check("a name that nobody has is not resolved", expected=0, observed=len(answers.addresses)),
        check("and that is counted as a failure", expected=2, observed=answers.failures),
    )


def _headless_pod(stage: Stage) -> str:
    pods = sorted(place.pod for place in stage.pods("ss"))
    return pods[0] if pods else "ss-0"


def _headless(stage: Stage) -> tuple[Step, ...]:
    host = f"{_headless_pod(stage)}.{stage.service('ss')}"
    call = Call(target=Target(host=host, port=number(Port.HTTP)), times=20)
    return (Pages("before", CLIENT), Calls("one", CLIENT, call), Pages("after", CLIENT))


def _headless_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("one")
    return together(
        lambda: (
            all_ok("a pod of a StatefulSet is called by its own name", replies),
            answered_by("and answers alone", replies, (_headless_pod(stage),)),
            server_saw("over mutual TLS", replies, "l5d-client-id", stage.identity("probe-client")),
        ),
        lambda: (
            counter_stood_still(
                "without routes, which a headless Service has none of",
                around(evidence),
                routed(stage, "ss"),
            ),
        ),
    )


def _unnamed(_stage: Stage, evidence: Evidence) -> str | None:
    replies = evidence.replies("one")
    unknown = [reply for reply in replies if reply.trouble is Trouble.UNKNOWN_NAME]
    return tally(unknown) if unknown else None


def _others(stage: Stage, evidence: Evidence) -> str | None:
    strangers = pods_that_answered(evidence.replies("one")) - {_headless_pod(stage)}
    return f"answered, too: {', '.join(sorted(strangers))}" if strangers else None


_NO_POD_NAME = replace(_DNS, seen=cautious(_unnamed))
_WRONG_POD = Cause(
    code="WRONG_POD",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_others),
    message="The name of one pod of a headless Service leads to others, too.",
    expected="only the pod that is named answers",
    disproof="destination, asked for the pod's name, tells one address.",
    remedy="See that the pods' hostname and subdomain stand in the EndpointSlices; restart linkerd-destination.",
    command="linkerd diagnostics endpoints <pod>.<service>.<namespace>.svc.cluster.local:<port>",
)


def _alias_objects(stage: Stage) -> tuple[JsonObject, ...]:
    return (manifest(stage, SERVICES, ALIAS, {"type": "ExternalName", "externalName": stage.service("sm")}),)


def _alias(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, ALIAS, timeout=5), good, "an answer", consecutive=1),
        Calls("sample", CLIENT, calling(stage, ALIAS, times=20)),
    )


def _alias_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("sample")
    strangers = pods_that_answered(replies) - set(named(stage))
    return (
        within("the name leads to the Service", evidence.effect("effect"), stage.timings.propagation),
        all_ok("every request is answered", replies),
        check("by its pods only", expected=set(), observed=set(strangers)),
        server_saw("over mutual TLS", replies, "l5d-client-id", stage.identity("probe-client")),
    )


def _moved(stage: Stage) -> tuple[Step, ...]:
    service = (front(stage, MOVED, EVERY),)
    look = Looked("address", SERVICES, stage.meshed, names=(MOVED,))
    return (
        until(stage, "effect", calling(stage, MOVED, timeout=5), good, "an answer", consecutive=1),
        Looked("old", look.resource, look.namespace, look.names),
        Removed("removed", service),
        Applied("again", service),
        Looked("new", look.resource, look.namespace, look.names),
        until(stage, "recovered", calling(stage, MOVED, timeout=5), good, "an answer"),
        Pages("before", CLIENT),
        Calls("sample", CLIENT, calling(stage, MOVED, times=20)),
        Pages("after", CLIENT),
    )


def _addresses(evidence: Evidence, step: str) -> set[str]:
    return {text(each, "spec", "clusterIP") for each in evidence.objects(step)}


def _moved_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("sample")
    old, new = _addresses(evidence, "old"), _addresses(evidence, "new")
    return together(
        lambda: (
            within("the Service is found", evidence.effect("effect"), stage.timings.propagation),
            check("it is made again", expected="an address", observed=f"{old} then {new}", ok=bool(new)),
            within("and found again", evidence.effect("recovered"), stage.timings.propagation),
            all_ok("every request is answered", replies),
        ),
        lambda: (
            counter_grew_by(
                "through the mesh",
                around(evidence),
                routed(stage, MOVED, http_status="200"),
                len(replies),
            ),
        ),
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        id="disc.new-target",
        claim="A Service that no proxy has used before is found and answered.",
        tier=Tier.FOUNDATION,
        steps=_fresh,
        proof=_fresh_holds,
        diagnosis=Scene(service=FRESH).steps,
        causes=(_NEW_TARGETS_HANG, *COMMON, DATAPATH),
        bound=timedelta(seconds=90),
    ),
    Probe(
        id="disc.dns",
        claim="Names of Services are resolved, alike in meshed and unmeshed pods.",
        tier=Tier.TRAFFIC,
        steps=_dns,
        proof=_dns_holds,
        control=Control("A name that nobody has is not resolved.", _no_name, _no_name_seen),
        causes=(_DNS,),
    ),
    Probe(
        id="disc.headless",
        claim="A pod of a headless Service is called by its own name, over mutual TLS.",
        tier=Tier.TRAFFIC,
        steps=_headless,
        proof=_headless_holds,
        diagnosis=Scene(service="ss", server="ss").steps,
        causes=(_NO_POD_NAME, _WRONG_POD, *COMMON, DATAPATH),
    ),
    Probe(
        id="disc.external-name",
        claim="A Service that is another name for one of the cluster leads into the mesh.",
        tier=Tier.DEPTH,
        objects=_alias_objects,
        steps=_alias,
        proof=_alias_holds,
        diagnosis=Scene().steps,
        causes=(*COMMON, DATAPATH),
    ),
    Probe(
        id="disc.clusterip-change",
        claim="A Service that is deleted and made again, with another address, is found again.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, MOVED, EVERY),),
        steps=_moved,
        proof=_moved_holds,
        diagnosis=Scene(service=MOVED).steps,
        causes=(*COMMON, DATAPATH),
        bound=timedelta(seconds=120),
    ),
)
