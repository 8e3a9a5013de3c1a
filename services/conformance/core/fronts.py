"""Services of a probe's own, before pods of the cast: what is done to them disturbs no other probe."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from services.conformance.core.evidence import Unseen
from services.conformance.core.objects import annotated, service, service_port
from services.conformance.core.orders import EACH_CALL, Call, Reply
from services.conformance.core.proofs import from_pods, good
from services.conformance.core.stage import Place, Port, Stage
from services.conformance.core.steps import Until
from services.conformance.core.targets import CLIENT, at_service, get
from services.conformance.core.wishes import Wishes
from steward.jsonvalue import JsonObject

EVERY = {"app": "sm"}
V1 = EVERY | {"version": "v1"}
V2 = EVERY | {"version": "v2"}
"""One pod alone: where a server counts attempts, all of them must come to the same server."""
NOBODY = {"app": "nobody"}

PACE = timedelta(milliseconds=50)
"""How long servers take where all pods must be seen to answer: longer than the 30 ms that a proxy presumes of one that
it has not tried, for it would leave slower pods alone for half a minute."""

Selector = Mapping[str, str]


def front(
    stage: Stage, name: str, selects: Selector = EVERY, *ports: JsonObject, annotations: Mapping[str, str] | None = None
) -> JsonObject:
    """A Service with one HTTP port, or with these."""
    made = service(stage, name, selects, *(ports or (service_port(Port.HTTP),)))
    return annotated(made, **annotations) if annotations else made


def servers(stage: Stage, version: str = "") -> tuple[Place, ...]:
    """The echo servers, or those of one version; none before they are there."""
    if not version:
        return stage.pods("sm")
    return stage.pods(version) or tuple(place for place in stage.pods("sm") if place.pod.startswith(f"{version}-"))


def named(stage: Stage, version: str = "") -> tuple[str, ...]:
    """Names of the echo servers, for a proof; raises Unseen where none is known."""
    found = tuple(place.pod for place in servers(stage, version))
    if not found:
        raise Unseen("stage", f"no pod of {version or 'sm'} is known")
    return found


def by(stage: Stage, version: str) -> Callable[[Reply], bool]:
    """Whether a pod of that version answered, and well."""
    answered_there = from_pods(*(place.pod for place in servers(stage, version)))
    return lambda reply: good(reply) and answered_there(reply)


def failing_until(attempts: int, path: str = "/", *, status: int | None = None) -> str:
    """A path that fails for its first attempts and then succeeds, each call for itself."""
    return Wishes(fail_until=attempts, id=EACH_CALL, status=status).on(path)


def calling(stage: Stage, name: str, path: str = "/", *, times: int = 1, timeout: float = 10) -> Call:
    """GET by the name of a Service."""
    return get(at_service(stage, name), path, times=times, timeout=timeout)


def until(
    stage: Stage, step: str, call: Call, meets: Callable[[Reply], bool], wish: str, *, consecutive: int = 3
) -> Until:
    """Call until the effect is seen, for as long as a change may take to reach a proxy."""
    return Until(step, CLIENT, call, meets, wish, stage.timings.propagation, consecutive=consecutive)


def evenly(call: Call, wishes: Wishes | None = None) -> Call:
    """The same call, several at a time and of servers that take their time, so that all of them are asked."""
    asked = wishes or Wishes()
    paced = replace(asked, delay=asked.delay or PACE, others=PACE if asked.only else asked.others)
    return call.model_copy(update={"path": paced.on(call.path), "concurrency": 6})


def known(stage: Stage, name: str, *, path: str = "/") -> Until:
    """Wait until a Service of the probe's own is known to the client, and answers."""
    return until(stage, "known", calling(stage, name, path, timeout=5), good, "an answer", consecutive=1)


def reachable(stage: Stage, call: Call) -> Until:
    """Wait until a call to a Service of the probe's own is answered at all."""
    return until(stage, "known", call.model_copy(update={"times": 1}), good, "an answer", consecutive=1)
