"""`obs.accesslog`: where a pod asks for it, its proxy logs a line for every request, in the format that it asked."""

from datetime import timedelta

from services.conformance.core.access_lines import AccessFormat, AccessLine, access_line
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import front
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.known_causes.reading import objects_of, pod_name, proxy_of
from services.conformance.core.objects import echo
from services.conformance.core.orders import EACH_CALL
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import all_ok, good
from services.conformance.core.stage import Need, Stage
from services.conformance.core.steps import Applied, Calls, Logged, Looked, Ready, Step, Until
from services.conformance.core.targets import CLIENT, CLIENT_ACCOUNT, at_service, fresh, get
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import PODS
from steward.linkerd.marks import PROXY_CONTAINER

_ANNOTATION = "config.linkerd.io/access-log"
_VARIABLE = "LINKERD2_PROXY_ACCESS_LOG"
_CALLS = 10
_WITHIN = timedelta(seconds=10)
"""A kubelet reads what a container writes at once; a busy one may need a moment."""


def _name(wanted: AccessFormat) -> str:
    return f"obs-access-{wanted}"


def _word(stage: Stage) -> str:
    """In the path of every call that is counted, and in no other."""
    return f"/logged-{stage.run}"


def _objects(stage: Stage) -> tuple[JsonObject, ...]:
    """Made before anything is called, so that both pods come up together."""
    return tuple(
        thing
        for wanted in AccessFormat
        for thing in (
            front(stage, _name(wanted), {"app": _name(wanted)}),
            echo(stage, _name(wanted), {_ANNOTATION: wanted.value}),
        )
    )


def _steps(stage: Stage) -> tuple[Step, ...]:
    bound = stage.timings.settle
    found: list[Step] = [Applied("applied", _objects(stage))]
    found += [Ready(f"pod-{wanted}", _name(wanted), stage.meshed, 1, bound) for wanted in AccessFormat]
    for wanted in AccessFormat:
        target = at_service(stage, _name(wanted))
        counted = get(target, f"{_word(stage)}/{EACH_CALL}", times=_CALLS, timeout=5)
        found += [
            Until(f"reached-{wanted}", CLIENT, fresh(get(target, timeout=5)), good, "answers", bound, consecutive=1),
            Calls(f"calls-{wanted}", CLIENT, counted),
            Logged(f"log-{wanted}", _name(wanted), PROXY_CONTAINER, _word(stage), _CALLS, _WITHIN),
        ]
    return tuple(found)


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return tuple(result for wanted in AccessFormat for result in _one(stage, evidence, wanted))


def _one(stage: Stage, evidence: Evidence, wanted: AccessFormat) -> tuple[AssertionResult, ...]:
    replies, lines = evidence.replies(f"calls-{wanted}"), _about(evidence, wanted)
    asked = sorted(reply.echo.path for reply in replies if reply.echo is not None)
    told = [each for line in lines if (each := access_line(line, wanted)) is not None]
    client = stage.identity(CLIENT_ACCOUNT)
    once = sum(1 for path in asked if sum(each.uri.endswith(path) for each in told) == 1)
    true = sum(1 for each in told if _is_true(each, client))
    return (
        all_ok(f"{wanted}: calls are answered", replies),
        check(f"{wanted}: lines about them", expected=_CALLS, observed=len(lines)),
        check(f"{wanted}: lines in that format", expected=_CALLS, observed=len(told)),
        check(f"{wanted}: calls that have a line of their own", expected=_CALLS, observed=once),
        check(f"{wanted}: lines with client, method and status as they were", expected=_CALLS, observed=true),
    )


def _is_true(line: AccessLine, client: str) -> bool:
    return (line.client, line.method, line.status) == (client, "GET", 200)


def _about(evidence: Evidence, wanted: AccessFormat) -> tuple[str, ...]:
    return tuple(line for lines in evidence.logs(f"log-{wanted}").values() for line in lines)


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    pods = (Looked(_pods(wanted), PODS, stage.meshed, labels=f"app={_name(wanted)}") for wanted in AccessFormat)
    return (*pods, *Scene(service=_name(AccessFormat.APACHE), server=_name(AccessFormat.APACHE)).steps(stage))


def _pods(wanted: AccessFormat) -> str:
    return f"why-{wanted}-pods"


def _not_set(_stage: Stage, evidence: Evidence) -> str | None:
    told = []
    for wanted in AccessFormat:
        for pod in objects_of(evidence, _pods(wanted)):
            proxy = proxy_of(pod)
            values = [text(each, "value") for each in rows(proxy or {}, "env") if text(each, "name") == _VARIABLE]
            if proxy is not None and values != [wanted.value]:
                told.append(f"{pod_name(pod)} asks for {wanted}; {_VARIABLE} is {', '.join(values) or 'not set'}")
    return "; ".join(told) or None


def _nothing_logged(_stage: Stage, evidence: Evidence) -> str | None:
    told = []
    for wanted in AccessFormat:
        answered = sum(1 for reply in evidence.replies(f"calls-{wanted}") if reply.echo is not None)
        lines = len(_about(evidence, wanted))
        if lines < answered:
            told.append(f"{wanted}: {lines} lines about {answered} requests that were answered")
    return "; ".join(told) or None


def _other_format(_stage: Stage, evidence: Evidence) -> str | None:
    strange = [
        f"{wanted}: {line[:120]}"
        for wanted in AccessFormat
        for line in _about(evidence, wanted)[:1]
        if access_line(line, wanted) is None
    ]
    return "; ".join(strange) or None


_COMMAND = "kubectl logs <pod> -c linkerd-proxy"

ACCESS_LOG = Probe(
    id="obs.accesslog",
    claim="A proxy that is asked for an access log writes a line for every request, as apache or as json.",
    tier=Tier.DEPTH,
    steps=_steps,
    proof=_proof,
    diagnosis=_diagnosis,
    causes=(
        Cause(
            code="ACCESS_LOG_NOT_SET",
            rung=Rung.OBJECT,
            seen=cautious(_not_set),
            message="The pods ask for an access log, and their proxies were not told.",
            expected=f"{_VARIABLE} has the value of the annotation {_ANNOTATION}",
            disproof="The environment of the proxy's container has the variable with that value.",
            remedy="See that the injector is of the control plane's version, and restart the pods.",
            command=f"kubectl get pod <pod> -o yaml | grep -A1 {_VARIABLE}",
        ),
        Cause(
            code="ACCESS_LOG_SILENT",
            rung=Rung.PROXY,
            seen=cautious(_nothing_logged),
            message="The proxy answers requests, and does not log all of them.",
            expected="a line for each request",
            disproof="Ten calls by hand leave ten lines in the log of the proxy.",
            remedy="See that the port is not skipped or opaque, for then it logs none; see how the node rotates logs.",
            command=_COMMAND,
        ),
        Cause(
            code="ACCESS_LOG_FORMAT",
            rung=Rung.PROXY,
            seen=cautious(_other_format),
            message="The proxy logs requests in another format than it is asked to: who collects them reads nothing.",
            expected="address, identity, time, request and status, as apache or as json",
            disproof="The lines have the format that the annotation says.",
            remedy="Compare the version of the proxy with what its access log looks like there.",
            command=_COMMAND,
        ),
        *COMMON,
    ),
    needs=(Need.POD_LOGS,),
    extra_pods=2,
    depends_on=("proto.http1",),
    bound=timedelta(seconds=120),
)
