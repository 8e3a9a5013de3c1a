"""A probe's steps in words: what a dry run prints, and what a person does who repeats it by hand."""

from typing import assert_never

from services.conformance.core.orders import Call, Fetch, Hold, Lookup, Target
from services.conformance.core.steps import (
    Applied,
    Asked,
    Calls,
    Destinations,
    During,
    Evicted,
    InboundPolicy,
    Logged,
    Looked,
    LookedUntil,
    OutboundPolicy,
    Pages,
    Profile,
    Ready,
    Released,
    Removed,
    Scrapes,
    Stated,
    Step,
    Tapped,
    Tried,
    Unless,
    Until,
    Wait,
)
from steward.jsonvalue import JsonObject, rows, text

_Talking = Calls | Until | During | Unless | Pages | Asked | Released
_Writing = Applied | Stated | Removed | Evicted | Tried
_Asking = Scrapes | Destinations | Profile | OutboundPolicy | InboundPolicy


def lines(steps: tuple[Step, ...], indent: str = "") -> tuple[str, ...]:
    """One line a step; what happens during another one is indented."""
    found: list[str] = []
    for step in steps:
        found.append(f"{indent}{line(step)}")
        if isinstance(step, During | Unless | Tapped):
            found += lines(step.steps, f"{indent}  ")
    return tuple(found)


def line(step: Step) -> str:
    """One step in words."""
    match step:
        case Calls() | Until() | During() | Unless() | Pages() | Asked() | Released():
            return _talking(step)
        case Tapped():
            return f"tap {step.deployment} for {step.path}; {step.actor}: {said(step.lead)} until it is told, then:"
        case Scrapes() | Destinations() | Profile() | OutboundPolicy() | InboundPolicy():
            return _asking(step)
        case Applied() | Stated() | Removed() | Evicted() | Tried():
            return _writing(step)
        case _:
            return _waiting(step)


def _writing(step: _Writing) -> str:
    match step:
        case Applied(_, objects):
            return f"apply {_objects(objects)}"
        case Stated(_, thing):
            return f"write the status of {_objects((thing,))}: {_conditions(thing)}"
        case Removed(_, objects):
            return f"delete {_objects(objects)}"
        case Evicted(_, actor, namespace, bound):
            which = f"evict the pods of {actor} in {namespace} that are on one node, never all of them"
            return f"{which}; ask again for {bound.total_seconds():g} s where a budget does not let them go"
        case Tried(_, thing):
            return f"create as a dry run {_objects((thing,))}"
        case _:
            assert_never(step)


def _talking(step: _Talking) -> str:
    match step:
        case Calls(_, actor, call):
            return f"{actor}: {said(call)}"
        case Until(_, actor, call, _, wish, bound, consecutive):
            return f"{actor}: {said(call)}, until {consecutive} in a row: {wish}, at most {bound.total_seconds():g} s"
        case During(_, load):
            return f"{load.actor}: {said(load.call)}, and meanwhile:"
        case Unless(_, awaited):
            return f"if it was in vain to wait for {awaited.wish}:"
        case Pages(_, of, by):
            return f"{by}: read the metrics of the proxies of {of}"
        case Asked(_, actor, doing):
            return f"{actor}: {_order(doing)}"
        case Released(_, actor, held):
            return f"{actor}: close the connection {held!r} and tell how it fared"
        case _:
            assert_never(step)


def _asking(step: _Asking) -> str:
    match step:
        case Scrapes(_, by, namespace, ports):
            names = ", ".join(f"{container} ({' or '.join(of)})" for container, of in ports.items())
            return f"{by}: read the metrics of the controllers in {namespace}, by the names of their ports: {names}"
        case Destinations(_, authority):
            return f"ask each replica of destination for the endpoints of {authority}"
        case Profile(_, address):
            return f"ask destination for the profile of {address}"
        case OutboundPolicy(_, namespace, authority):
            return f"ask the policy controller what proxies of {namespace} are told about {authority}"
        case InboundPolicy(_, actor, port):
            return f"ask the policy controller what the proxy of {actor} is told about port {port}"
        case _:
            assert_never(step)


def _waiting(step: Looked | LookedUntil | Logged | Ready | Wait) -> str:
    match step:
        case Looked():
            return _looked(step)
        case Logged(_, actor, container, word, lines, bound):
            read = f"read what {container} of {actor} wrote about {word}"
            return f"{read}, until there are {lines} lines, at most {bound.total_seconds():g} s"
        case LookedUntil(_, look, _, wish, bound):
            return f"{_looked(look)}, until: {wish}, at most {bound.total_seconds():g} s"
        case Ready(_, actor, namespace, pods, bound, orders):
            wanted = f"{pods} ready pods{' that take orders' if orders else ''} in {namespace}"
            return f"wait until {actor} has {wanted}, at most {bound.total_seconds():g} s"
        case Wait(_, duration, reason):
            return f"wait {duration.total_seconds():g} s: {reason}"
        case _:
            assert_never(step)


def _looked(look: Looked) -> str:
    what = " ".join((look.resource.plural, *look.names))
    where = f" in {look.namespace}" if look.namespace else ""
    return f"read {what}{where}{f' with {look.labels}' if look.labels else ''}"


def _order(doing: Fetch | Hold | Lookup) -> str:
    match doing:
        case Fetch():
            return f"fetch {_address(doing.target)}{doing.path}"
        case Hold():
            kept = f"hold a connection {doing.name!r} ({doing.protocol.value}) to {_address(doing.target)}"
            return f"{kept}, used every {doing.every_seconds:g} s"
        case Lookup():
            return f"look up {doing.name}, {doing.times} times"
        case _:
            assert_never(doing)


def said(call: Call) -> str:
    """A call in words: `300 x http/1 GET sm.probes:8080/path at 20/s`."""
    times = f"{call.times} x " if call.times > 1 else ""
    path = call.path if call.path != "/" else ""
    pace = f" at {call.per_second:g}/s" if call.per_second else ""
    anew = "" if call.keep or call.times == 1 else ", each on a new connection"
    named = f" as {call.target.authority}" if call.target.authority else ""
    return f"{times}{call.protocol.value} {call.method} {_address(call.target)}{path}{named}{pace}{anew}"


def _address(target: Target) -> str:
    return f"{target.host}:{target.port}"


def _conditions(thing: JsonObject) -> str:
    conditions = rows(thing, "status", "conditions")
    return ", ".join(f"{text(each, 'type')} is {text(each, 'status')}" for each in conditions) or "nothing"


def _objects(objects: tuple[JsonObject, ...]) -> str:
    return ", ".join(f"{text(each, 'kind')} {text(each, 'metadata', 'name')}" for each in objects) or "nothing"
