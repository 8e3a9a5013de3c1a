"""`ingress.*`: what a meshed ingress sends is encrypted, and goes to the Service that it names.

No ingress controller is needed: a pod of the probe's own is one, whose proxy is in ingress mode.
"""

from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.controls import WHO_ANSWERS
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import V2, by, front
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious
from services.conformance.core.known_causes.reading import proxy_of
from services.conformance.core.orders import Call, Headers, Reply
from services.conformance.core.outbound import routed
from services.conformance.core.probe import Cause, Probe
from services.conformance.core.proofs import (
    CLIENT_ID,
    all_are,
    all_ok,
    between,
    counter_grew,
    good,
    seen_by_server,
    server_saw,
    server_saw_none,
    tally,
    together,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Calls, Looked, Pages, Ready, Step
from services.conformance.core.targets import CLIENT, OTHER_ACCOUNT, UNMESHED, at_pod, get, headers
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, table, text
from steward.kube.resources import PODS

INGRESS, NAMED = "p-ingress", "p-ingress-named"
TIMES = 3
OVERRIDE = "l5d-dst-override"
_MODE = "LINKERD2_PROXY_INGRESS_MODE"


def _objects(stage: Stage) -> tuple[JsonObject, ...]:
    """The ingress runs as somebody whom no server is, so that its identity cannot be taken for another's."""
    pods = made.echo(stage, INGRESS, {made.INJECT: "ingress"})
    template = table(pods, "spec", "template")
    inner = table(template, "spec") | {"serviceAccountName": OTHER_ACCOUNT}
    spec = table(pods, "spec") | {"template": template | {"spec": inner}}
    return front(stage, NAMED, V2), pods | {"spec": spec}


def _override(stage: Stage) -> Headers:
    return headers(l5d_dst_override=f"{stage.service(NAMED)}:{PORTS[Port.HTTP]}")


def _dialling_v1(stage: Stage, named: Headers = ()) -> Call:
    """As ingress controllers do that balance themselves: by the address of a pod, whatever Service it is of."""
    return get(at_pod(stage, "v1"), times=TIMES, headers=named, timeout=5)


def _steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Ready("pod", INGRESS, stage.meshed, 1, stage.timings.settle, orders=True),
        Looked("ingress", PODS, stage.meshed, labels=f"app={INGRESS}"),
        Pages("before", INGRESS, UNMESHED),
        Calls("named", INGRESS, _dialling_v1(stage, _override(stage))),
        Calls("unnamed", INGRESS, _dialling_v1(stage)),
        Pages("after", INGRESS, UNMESHED),
        Calls("ordinary", CLIENT, _dialling_v1(stage, _override(stage))),
    )


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return together(
        lambda: _goes_where_it_says(stage, evidence),
        lambda: _goes_where_it_dials(stage, evidence),
        lambda: (
            counter_grew(
                "its proxy routes them as requests to that Service",
                between(evidence, "before", "after"),
                routed(stage, NAMED),
                TIMES,
            ),
        ),
    )


def _goes_where_it_says(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("named")
    return (
        all_ok("requests of an ingress that name a Service are answered", replies),
        all_are("by that Service, whatever was dialled", replies, "pods of v2", by(stage, "v2")),
        server_saw("who sees the identity of the ingress", replies, CLIENT_ID, stage.identity(OTHER_ACCOUNT)),
        server_saw_none("and not the header", replies, OVERRIDE),
    )


def _goes_where_it_dials(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    unnamed, ordinary = evidence.replies("unnamed"), evidence.replies("ordinary")
    return (
        all_are("those that name none go where they were dialled", unnamed, "pods of v1", by(stage, "v1")),
        server_saw("as the ingress, too", unnamed, CLIENT_ID, stage.identity(OTHER_ACCOUNT)),
        all_are("without ingress mode the header decides nothing", ordinary, "pods of v1", by(stage, "v1")),
    )


def _mode(pod: JsonObject) -> str:
    environment = rows(proxy_of(pod) or {}, "env")
    return next((text(each, "value") for each in environment if text(each, "name") == _MODE), "")


def _no_mode(_stage: Stage, evidence: Evidence) -> str | None:
    proxied = [pod for pod in evidence.objects("ingress") if proxy_of(pod) is not None]
    told = [text(pod, "metadata", "name") for pod in proxied if _mode(pod) != "true"]
    return (
        f"no {_MODE} in the proxy of {', '.join(sorted(told))}, which asks for {made.INJECT}: ingress" if told else None
    )


NOT_IN_INGRESS_MODE = Cause(
    code="NOT_IN_INGRESS_MODE",
    rung=Rung.OBJECT,
    seen=cautious(_no_mode),
    message="The proxy of the ingress is not in ingress mode, so that the header goes on and decides nothing.",
    expected=f"{_MODE} is true in the proxy of a pod with {made.INJECT}: ingress",
    disproof="The environment of the container linkerd-proxy has it.",
    remedy="Annotate the pod template of the ingress, not its Deployment, and see that the injector answers; then "
    "restart it.",
    command=f"kubectl get pods -n <namespace> -l app={INGRESS} -o yaml | grep -A1 INGRESS_MODE",
)


def _ignored(stage: Stage, evidence: Evidence) -> str | None:
    dialled = by(stage, "v1")
    wrong = [reply for reply in evidence.replies("named") if dialled(reply)]
    return f"{len(wrong)} requests went to the pod that was dialled" if wrong else None


OVERRIDE_IGNORED = Cause(
    code="OVERRIDE_IGNORED",
    rung=Rung.PROXY,
    seen=cautious(_ignored),
    message="The proxy of the ingress does not go by l5d-dst-override.",
    expected="a request goes to the Service that its header names",
    disproof="outbound_http_route_request_statuses_total of that Service moves on the page of the ingress' proxy.",
    remedy="See that its pod is in ingress mode and its proxy of the control plane's version; restart it.",
    command=f"linkerd diagnostics proxy-metrics -n <namespace> deploy/{INGRESS} | grep {NAMED}",
)


def _heeded(stage: Stage, evidence: Evidence) -> str | None:
    named = by(stage, "v2")
    wrong = [reply for reply in evidence.replies("ordinary") if named(reply)]
    return f"{len(wrong)} requests of an ordinary client went where their header says" if wrong else None


OVERRIDE_HEEDED = Cause(
    code="OVERRIDE_HEEDED",
    rung=Rung.PROXY,
    seen=cautious(_heeded),
    message="Proxies that are not in ingress mode go by l5d-dst-override: whoever can set a header chooses the target.",
    expected="without ingress mode the header is passed on and decides nothing",
    disproof="A client injected as usual reaches the pod that it dials, whatever the header says.",
    remedy="See that only ingresses are injected with linkerd.io/inject: ingress, and no whole namespace.",
    command="kubectl get pods -A -o yaml | grep -B1 -A1 INGRESS_MODE",
)


def _plain(reply: Reply) -> bool:
    return good(reply) and reply.echo is not None and seen_by_server(reply, CLIENT_ID) is None


def _in_plain_text(_stage: Stage, evidence: Evidence) -> str | None:
    replies = (*evidence.replies("named"), *evidence.replies("unnamed"))
    plain = [reply for reply in replies if _plain(reply)]
    return f"servers saw no identity in {len(plain)} of {len(replies)} requests: {tally(plain)}" if plain else None


INGRESS_PLAINTEXT = Cause(
    code="INGRESS_PLAINTEXT",
    rung=Rung.TRAFFIC,
    seen=cautious(_in_plain_text),
    message="What the ingress sends reaches meshed servers in plain text.",
    expected=f"{CLIENT_ID} is the identity of the ingress",
    disproof='request_total{direction="outbound",tls="true"} moves on the page of the ingress\' proxy.',
    remedy="See that the ports of the servers are not skipped and that the ingress' own proxy has a certificate; an "
    "ingress that is not meshed at all sends everything so.",
    command=f"linkerd diagnostics proxy-metrics -n <namespace> deploy/{INGRESS} | grep 'tls=\"no_identity\"'",
)


PROBES: tuple[Probe, ...] = (
    Probe(
        id="ingress.header",
        claim="A meshed ingress sends each request to the Service that its header l5d-dst-override names, encrypted.",
        tier=Tier.ENVIRONMENT,
        objects=_objects,
        steps=_steps,
        proof=_proof,
        control=WHO_ANSWERS,
        causes=(
            NOT_IN_INGRESS_MODE,
            OVERRIDE_IGNORED,
            OVERRIDE_HEEDED,
            INGRESS_PLAINTEXT,
            *COMMON,
            DATAPATH,
        ),
        diagnosis=Scene(service=NAMED, server="v2", client=INGRESS).steps,
        extra_pods=1,
        bound=timedelta(seconds=120),
    ),
)
