"""`obs.viz.*`: what the extension viz tells of requests is what passed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import SERVER_PODS, Scene
from services.conformance.core.evidence import Evidence, Heard, Unseen
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.known_causes.reading import objects_of, pod_name, proxy_of
from services.conformance.core.orders import EACH_CALL, Call
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import all_are, answered
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, Looked, Ready, Step, Tapped
from services.conformance.core.targets import CLIENT, CLIENT_ACCOUNT, at_service, get, paced
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import rows, text
from steward.kube.resources import API_SERVICES
from steward.viz.events import Peer, Told

TAPPED = "linkerd-steward-tapped"
"""A Deployment of the probe's own: the right to tap can be limited to a name, and nobody else's is called so."""
_API, _API_SERVICE = "why-tap-api", "v1alpha1.tap.linkerd.io"
_SERVICE_NAME = "LINKERD2_PROXY_TAP_SVC_NAME"
_WANTED, _COUNTED, _OTHER = "/tapped", "/tapped/counted", "/passed-over"
_CALLS, _FAILING, _PACE = 20, 25, 20.0
_FORBIDDEN, _SAID_BY_TAP = 403, 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that tap told of, and what it told of its response."""

    path: str
    source: Peer
    destination: Peer
    status: int | None = None
    ended: bool = False


def exchanges(heard: Heard) -> tuple[Exchange, ...]:
    """Events of one stream of one proxy belong together. What is told of no request is left out."""
    found: dict[tuple[str, int, int], Exchange] = {}
    for event in heard.events:
        key = (event.destination.ip, *event.stream)
        if event.told is Told.REQUEST:
            found[key] = Exchange(event.path, event.source, event.destination)
        elif key in found and event.told is Told.RESPONSE:
            found[key] = replace(found[key], status=event.status)
        elif key in found:
            found[key] = replace(found[key], ended=True)
    return tuple(found.values())


def _call(stage: Stage, path: str, *, times: int = 1, wishes: Wishes | None = None) -> Call:
    """Each call has a path of its own, by which it is known again."""
    return get(at_service(stage, TAPPED), (wishes or Wishes()).on(f"{path}/{EACH_CALL}"), times=times, timeout=5)


def _listening(stage: Stage, name: str, calls: Calls, *, ends: int) -> Tapped:
    """The lead is an exchange that ends, too."""
    lead = _call(stage, f"{_WANTED}/lead")
    return Tapped(name, TAPPED, _WANTED, CLIENT, lead, ends + 1, stage.timings.propagation, steps=(calls,))


def _tap(stage: Stage) -> tuple[Step, ...]:
    service = made.service(stage, TAPPED, {"app": TAPPED}, made.service_port(Port.HTTP))
    some_fail = Wishes(status=503, fail_percent=_FAILING, id=f"{stage.run}-{TAPPED}")
    call = paced(_call(stage, _COUNTED, times=_CALLS, wishes=some_fail), _PACE)
    return (
        Applied("applied", (service, made.echo(stage, TAPPED))),
        Ready("ready", TAPPED, stage.meshed, 1),
        _listening(stage, "tapped", Calls("calls", CLIENT, call), ends=_CALLS),
    )


def _tapped(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    heard = evidence.heard("tapped")
    listens = check(
        "tap tells of a call that it is asked for",
        expected="it does",
        observed=_silence(heard) if heard.after is None else f"after {heard.after:.2f} s",
        ok=heard.after is not None,
    )
    return (listens,) if heard.after is None else (listens, *_told_truly(stage, evidence))


def _silence(heard: Heard) -> str:
    refused = heard.refused
    return "nothing" if refused is None else f"{refused.status or 'no answer'}: {refused.message}"


def _told_truly(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies, heard = evidence.replies("calls"), evidence.heard("tapped")
    told = [each for each in exchanges(heard) if each.path.startswith(f"{_COUNTED}/")]
    passed = sorted(reply.echo.path.partition("?")[0] for reply in replies if reply.echo is not None)
    paths = sorted(each.path for each in told)
    return (
        all_are("the application answers", replies, "an answer of its own", lambda reply: reply.echo is not None),
        check(
            "tap tells of each call, once",
            expected=f"the {_CALLS} paths that the application saw",
            observed=_compared(passed, paths) + (f"; then {_silence(heard)}" if heard.refused is not None else ""),
            ok=len(passed) == _CALLS and paths == passed,
        ),
        check(
            "and of its response, as the client had it",
            expected=_counts(str(reply.status) for reply in replies),
            observed=_counts(str(each.status) if each.ended else "without an end" for each in told),
        ),
        _each("it came with TLS", told, ("tls=true",), lambda each: f"tls={each.source.labels.get('tls', '')}"),
        _each(
            "of the client",
            told,
            (stage.identity(CLIENT_ACCOUNT),),
            lambda each: each.source.labels.get("client_id", ""),
        ),
        _each("from the client's address", told, _addresses(stage, CLIENT), lambda each: each.source.ip),
        _each("to the server's", told, _addresses(stage, TAPPED), lambda each: each.destination.ip),
    )


def _addresses(stage: Stage, actor: str) -> tuple[str, ...]:
    return tuple(sorted(place.ip for place in stage.pods(actor)))


def _compared(passed: Collection[str], told: Collection[str]) -> str:
    missing, more = Counter(passed) - Counter(told), Counter(told) - Counter(passed)
    return f"{len(told)}; {missing.total()} missing, {more.total()} too many"


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{count} x {word}" for word, count in sorted(Counter(words).items())) or "none"


def _each(
    name: str, told: Collection[Exchange], wanted: Collection[str], read: Callable[[Exchange], str]
) -> AssertionResult:
    seen = {read(each) for each in told}
    ok = bool(seen) and seen <= set(wanted)
    return check(name, expected=" or ".join(wanted), observed=", ".join(sorted(seen)) or "none", ok=ok)


def _unwanted(stage: Stage) -> tuple[Step, ...]:
    other = Calls("others", CLIENT, _call(stage, _OTHER, times=3))
    return (_listening(stage, "tapped-control", other, ends=0),)


def _unwanted_unheard(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    heard = evidence.heard("tapped-control")
    if heard.after is None:
        raise Unseen("tapped-control", f"tap told {_silence(heard)}")
    answered(evidence, "others")
    told = [each.path for each in exchanges(heard) if not each.path.startswith(_WANTED)]
    return (check("what was not asked for is not told", expected="none", observed=", ".join(told) or "none"),)


def _forbidden(_stage: Stage, evidence: Evidence) -> str | None:
    refused = evidence.heard("tapped").refused
    return refused.message if refused is not None and refused.status == _FORBIDDEN else None


TAP_FORBIDDEN = Cause(
    code="TAP_FORBIDDEN",
    rung=Rung.OBJECT,
    seen=cautious(_forbidden),
    message="RBAC does not let conformance tap.",
    expected=f"the right to watch deployments/tap of the group tap.linkerd.io, for the name {TAPPED}",
    disproof="`kubectl auth can-i`, asked as conformance, says yes, and tap says the same.",
    remedy="Apply the ClusterRole of conformance; see that tap may review access (system:auth-delegator).",
    command=(
        f"kubectl auth can-i watch deployments.tap.linkerd.io/{TAPPED} --subresource=tap -n <namespace>"
        " --as=system:serviceaccount:linkerd-steward:conformance"
    ),
)


def _not_enabled(_stage: Stage, evidence: Evidence) -> str | None:
    without = [
        pod_name(pod)
        for pod in objects_of(evidence, SERVER_PODS)
        if (proxy := proxy_of(pod)) is not None
        and not any(text(each, "name") == _SERVICE_NAME for each in rows(proxy, "env"))
    ]
    return f"proxies without {_SERVICE_NAME}: {', '.join(sorted(without))}" if without else None


TAP_NOT_ENABLED = Cause(
    code="TAP_NOT_ENABLED",
    rung=Rung.OBJECT,
    seen=cautious(_not_enabled),
    message="Pods come up without what the injector of tap writes, so that their proxies let nobody tap them.",
    expected=f"{_SERVICE_NAME} in the environment of the proxy, and the annotation viz.linkerd.io/tap-enabled",
    disproof="The proxy's container has the variable.",
    remedy="See that tap-injector runs and that its webhook is trusted; restart pods that are older than viz.",
    command="kubectl get pods -n linkerd-viz -l component=tap-injector",
)


def _unavailable(_stage: Stage, evidence: Evidence) -> str | None:
    refused = evidence.heard("tapped").refused
    if refused is None or refused.status in (_FORBIDDEN, _SAID_BY_TAP):
        return None
    conditions = [
        f"{text(each, 'reason')}: {text(each, 'message')}"
        for service in objects_of(evidence, _API)
        for each in rows(service, "status", "conditions")
        if text(each, "type") == "Available"
    ]
    said = f"; APIService {_API_SERVICE}: {conditions[0]}" if conditions else f"; there is no APIService {_API_SERVICE}"
    return f"{_silence(evidence.heard('tapped'))}{said}"


TAP_UNAVAILABLE = Cause(
    code="TAP_UNAVAILABLE",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_unavailable),
    message="The API server does not reach tap, or does not believe its certificate.",
    expected=f"the APIService {_API_SERVICE} is Available",
    disproof="Its condition Available is True.",
    remedy="See that tap runs; where its certificate was renewed, render the caBundle of the APIService anew.",
    command=f"kubectl get apiservice {_API_SERVICE}",
)


def _said_nothing(_stage: Stage, evidence: Evidence) -> str | None:
    heard = evidence.heard("tapped")
    if heard.after is not None:
        return None
    if heard.refused is None:
        return "tap was asked and told of nothing"
    return heard.refused.message if heard.refused.status == _SAID_BY_TAP else None


TAP_SILENT = Cause(
    code="TAP_SILENT",
    rung=Rung.PROXY,
    seen=cautious(_said_nothing),
    message="Tap takes the request, and the proxies tell it of nothing.",
    expected="a call that fits the filter is told of within seconds",
    disproof="`linkerd viz tap` of the same pods shows their requests.",
    remedy="See that NetworkPolicies let tap to port 4190 of the pods, and that its identity is the one they expect.",
    command="linkerd viz tap -n <namespace> deployment/<workload>",
)


def _untrue(stage: Stage, evidence: Evidence) -> str | None:
    wrong = [each for each in _told_truly(stage, evidence) if not each.ok]
    said = "; ".join(f"{each.name}: {each.observed} instead of {each.expected}" for each in wrong)
    return said if said and evidence.heard("tapped").after is not None else None


TAP_UNTRUE = Cause(
    code="TAP_UNTRUE",
    rung=Rung.PROXY,
    seen=cautious(_untrue),
    message="Tap tells of something else than what passed.",
    expected="every request with its response, its peers, and whether it came with TLS",
    disproof="`linkerd viz tap -o json` shows as many requests as were made, each with its response.",
    remedy="Compare the versions of tap and of the proxies; see that nothing else calls the same path.",
    command="linkerd viz tap -n <namespace> deployment/<workload> -o json",
)


def _why(stage: Stage) -> tuple[Step, ...]:
    scene = Scene(service=TAPPED, server=TAPPED)
    return (Looked(_API, API_SERVICES, names=(_API_SERVICE,)), *scene.steps(stage))


PROBES: tuple[Probe, ...] = (
    Probe(
        id="obs.viz.tap",
        claim="Tap tells of each of twenty calls and of its response, who made it, and that it came with TLS.",
        tier=Tier.ENVIRONMENT,
        safety=Safety.ENVIRONMENT,
        steps=_tap,
        proof=_tapped,
        control=Control("Tap does not tell of calls that it is not asked for.", _unwanted, _unwanted_unheard),
        causes=(TAP_FORBIDDEN, TAP_NOT_ENABLED, TAP_UNAVAILABLE, TAP_SILENT, TAP_UNTRUE, *COMMON),
        diagnosis=_why,
        needs=(Need.VIZ,),
        depends_on=("proto.http1",),
        extra_pods=1,
        bound=timedelta(seconds=90),
        sources=("https://linkerd.io/2-edge/reference/cli/viz/#tap", "https://linkerd.io/tap-rbac"),
    ),
)
