"""Local rate limits: offered more than is allowed, one client after the other, for the limits are told apart so."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.orders import Call, Reply
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import Maker, all_ok, between, counter_grew, made_by, series, within
from services.conformance.core.stage import SPARE_PORTS, Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, Pages, Step, Until
from services.conformance.core.targets import CLIENT, OTHER, UNMESHED, at_service, get, paced
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import Json, JsonObject

ACTOR = "sp"
_PORT = SPARE_PORTS.start + 20
_OFFERED, _SECONDS = 20, 5
_LIMITED = 429
_NEARLY_ALL = 0.9
_TOLERANCE = 0.05
_ALIKE = 0.12
_ENOUGH = 1.5
"""How many times more must be offered than is allowed, if it is to be seen that the rest is refused."""


def limited(reply: Reply) -> bool:
    """Whether a reply was refused for its rate."""
    return reply.status == _LIMITED


def _open_server(stage: Stage, name: str, port: int, **limits: Json) -> tuple[JsonObject, ...]:

    guard = made.server(stage, name, {"app": ACTOR}, port, proxyProtocol="HTTP/1", accessPolicy="all-unauthenticated")
    limit = made.rate_limit(stage, name, made.reference(guard), **limits)
    return (made.service(stage, name, {"app": ACTOR}, made.service_port(port)), guard, limit)


def _offer(stage: Stage, name: str, port: int) -> Call:
    once = get(at_service(stage, name, port), times=_OFFERED * _SECONDS, timeout=5)
    # Several at a time, for an answer that is slow to come must not slow down what is offered.
    return paced(once, _OFFERED).model_copy(update={"concurrency": 4})


def _burst(stage: Stage, name: str, port: int) -> Call:
    return get(at_service(stage, name, port), times=1, timeout=5)


def _held_to(name: str, evidence: Evidence, step: str, limit: int) -> AssertionResult:
    """As many were refused as the limit leaves of what was really offered; a bucket that was full at first lets one
    second's worth through besides."""
    replies = evidence.replies(step)
    spent = _seconds(replies)
    if len(replies) < limit * spent * _ENOUGH:
        raise Unseen(step, f"{len(replies)} calls in {spent:.1f} s are too few to exceed {limit} a second")
    most, least = (1 - limit * seconds / len(replies) for seconds in (spent, spent + 1))
    refused = sum(map(limited, replies)) / len(replies)
    return check(
        name,
        expected=f"{least:.0%} to {most:.0%} ± {_TOLERANCE:.0%}",
        observed=f"{refused:.1%} of {len(replies)} in {spent:.1f} s",
        ok=least - _TOLERANCE <= refused <= most + _TOLERANCE,
    )


def _seconds(replies: Sequence[Reply]) -> float:
    """From the first call to when the one after the last would have come."""
    begun = [reply.at for reply in replies]
    if len(begun) < 2:
        return float(_SECONDS)
    return (max(begun) - min(begun)).total_seconds() * len(begun) / (len(begun) - 1)


def _control(name: str) -> Control:
    return Control(
        claim="The same server answers every call on a port without a limit.",
        steps=lambda stage: (Calls("unlimited", CLIENT, get(at_service(stage, ACTOR, Port.HTTP), times=30)),),
        proof=lambda _stage, evidence: (all_ok(f"{name}: unlimited port", evidence.replies("unlimited")),),
    )


def _not_limited(name: str, *steps: str) -> Cause:
    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        silent = [step for step in steps if step in evidence and not any(map(limited, evidence.replies(step)))]
        return f"not one call was limited: {', '.join(silent)}" if silent else None

    return Cause(
        code="LIMIT_IGNORED",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The proxy of the server does not limit what its policy limits.",
        expected="calls beyond the limit are answered with 429",
        disproof="inbound_http_local_ratelimit_total of the pod grows while calls come faster than the limit.",
        remedy="See that one HTTPLocalRateLimitPolicy, and only one, is accepted for the Server; restart its pods.",
        command=f"kubectl get httplocalratelimitpolicies {name} -o yaml",
    )


def _too_strict(*steps: str) -> Cause:
    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        strict = [step for step in steps if step in evidence and _share(evidence, step) > _NEARLY_ALL]
        return f"nearly every call was limited: {', '.join(strict)}" if strict else None

    return Cause(
        code="LIMIT_TOO_STRICT",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The proxy of the server limits more than its policy asks for.",
        expected="as many calls a second pass as the policy allows",
        disproof="The share of calls that pass is the limit divided by the rate that is offered.",
        remedy="Look for a second policy of the Server, and for clients without identity, which share a bucket.",
        command="kubectl get httplocalratelimitpolicies -A",
    )


def _share(evidence: Evidence, step: str) -> float:
    replies = evidence.replies(step)
    return sum(map(limited, replies)) / len(replies) if replies else 0.0


def _cause(code: str, seen: Callable[[Stage, Evidence], str | None], message: str, expected: str) -> Cause:
    return Cause(
        code=code,
        rung=Rung.PROXY,
        seen=cautious(seen),
        message=message,
        expected=expected,
        disproof="Offered by hand, each client gets the share that the policy gives it.",
        remedy="See that the policy names the clients by identities that they show, and restart the server's pods.",
        command="kubectl get httplocalratelimitpolicies -n <namespace> -o yaml",
    )


def _others_limited(_stage: Stage, evidence: Evidence) -> str | None:
    hit = [step for step in ("other", "unmeshed") if step in evidence and any(map(limited, evidence.replies(step)))]
    return f"the first call of {' and of '.join(hit)} was limited already" if hit else None


def _no_favour(_stage: Stage, evidence: Evidence) -> str | None:
    common, favoured = _share(evidence, "common"), _share(evidence, "favoured")
    return f"{common:.0%} and {favoured:.0%} were limited" if abs(common - favoured) < _ALIKE else None


LIMIT_SHARED = _cause(
    "LIMIT_SHARED", _others_limited, "Clients of several identities share one limit.", "a bucket for each identity"
)
OVERRIDE_IGNORED = _cause(
    "OVERRIDE_IGNORED", _no_favour, "Clients with a limit of their own get the common one.", "two different shares"
)


def _probe(id: str, claim: str, name: str, port: int, steps: tuple[str, ...]) -> Probe:
    return Probe(
        id=id,
        claim=claim,
        tier=Tier.TRAFFIC,
        steps=lambda _stage: (),
        proof=lambda _stage, _evidence: (),
        control=_control(name),
        causes=(_not_limited(name, *steps), _too_strict(*steps), *COMMON),
        diagnosis=Scene(service=name, server=ACTOR, port=port).steps,
        needs=(Need.SERVER_POLICY, Need.RATE_LIMIT),
        since="2.17",
        depends_on=("mtls.identity",),
        bound=timedelta(seconds=90),
    )


def _in_force(stage: Stage, name: str, port: int, actor: str) -> Until:
    """The effect is a first refusal: calls come as fast as they can until one is limited."""
    return Until(
        "in-force",
        actor,
        _burst(stage, name, port),
        limited,
        "is limited",
        stage.timings.propagation,
        consecutive=1,
        every=timedelta(milliseconds=10),
    )


def _total() -> Probe:
    name, port, limit = "ratelimit-total", _PORT, 5

    def steps(stage: Stage) -> tuple[Step, ...]:
        return (
            Applied("applied", _open_server(stage, name, port, total=limit)),
            _in_force(stage, name, port, CLIENT),
            Pages("before", ACTOR),
            Calls("offered", CLIENT, _offer(stage, name, port)),
            Pages("after", ACTOR),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        replies = evidence.replies("offered")
        refused = tuple(filter(limited, replies))
        counter = series("inbound_http_local_ratelimit_total", srv_name=name, ratelimit_scope="total")
        return (
            within("limit in force", evidence.effect("in-force"), stage.timings.propagation),
            _held_to("share limited", evidence, "offered", limit),
            made_by("limited by", refused, Maker.SERVER_PROXY),
            counter_grew("limits counted", between(evidence, "before", "after"), counter, len(refused)),
        )

    claim = "A server takes so many requests a second and pod, and answers the others with 429."
    return replace(_probe("ratelimit.total", claim, name, port, ("offered",)), steps=steps, proof=proof)


def _identity() -> Probe:
    name, port, limit = "ratelimit-identity", _PORT + 1, 4

    def steps(stage: Stage) -> tuple[Step, ...]:
        return (
            Applied("applied", _open_server(stage, name, port, identity=limit)),
            _in_force(stage, name, port, CLIENT),
            Pages("before", ACTOR),
            Calls("one", CLIENT, _offer(stage, name, port)),
            Calls("other", OTHER, _burst(stage, name, port)),
            Calls("unmeshed", UNMESHED, _burst(stage, name, port)),
            Pages("after", ACTOR),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        replies = evidence.replies("one")
        counter = series("inbound_http_local_ratelimit_total", srv_name=name, ratelimit_scope="identity")
        pages = between(evidence, "before", "after")
        return (
            within("limit in force", evidence.effect("in-force"), stage.timings.propagation),
            _held_to("share limited", evidence, "one", limit),
            all_ok("another identity has a bucket of its own", evidence.replies("other")),
            all_ok("clients without one have theirs", evidence.replies("unmeshed")),
            counter_grew("limits counted", pages, counter, sum(map(limited, replies))),
        )

    claim = "Each identity has a limit of its own; clients without one share a bucket."
    probe = _probe("ratelimit.identity", claim, name, port, ("one",))
    return replace(probe, steps=steps, proof=proof, causes=(*probe.causes[:2], LIMIT_SHARED, *probe.causes[2:]))


def _override() -> Probe:
    name, port, limit, more = "ratelimit-override", _PORT + 2, 4, 10

    def steps(stage: Stage) -> tuple[Step, ...]:
        account: JsonObject = {"kind": "ServiceAccount", "name": "probe-other", "namespace": stage.meshed}
        overrides: list[Json] = [{"requestsPerSecond": more, "clientRefs": [account]}]
        return (
            Applied("applied", _open_server(stage, name, port, identity=limit, overrides=overrides)),
            _in_force(stage, name, port, CLIENT),
            Calls("common", CLIENT, _offer(stage, name, port)),
            Calls("favoured", OTHER, _offer(stage, name, port)),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        return (
            within("limit in force", evidence.effect("in-force"), stage.timings.propagation),
            _held_to("common share limited", evidence, "common", limit),
            _held_to("favoured share limited", evidence, "favoured", more),
        )

    claim = "An override gives named clients a limit of their own."
    probe = _probe("ratelimit.override", claim, name, port, ("common", "favoured"))
    return replace(probe, steps=steps, proof=proof, causes=(*probe.causes[:2], OVERRIDE_IGNORED, *probe.causes[2:]))


PROBES: tuple[Probe, ...] = (_total(), _identity(), _override())
