"""The words in which proofs are written: each makes one assertion, with what was expected and what was seen."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.conformance.core.evidence import Effect, Evidence, Unseen
from services.conformance.core.orders import Reply
from services.conformance.core.pages import Page, grown
from services.conformance.core.probe import check
from services.conformance.core.targets import header_map
from steward.conformance.results import AssertionResult

CLIENT_ID = "l5d-client-id"
PROXY_ERROR = "l5d-proxy-error"
_ECHO_POD = "x-echo-pod"

Between = tuple[Mapping[str, Page], Mapping[str, Page]]
"""Pages of the same pods before and after something."""


class Maker(StrEnum):
    """Who made an answer."""

    APPLICATION = "application"
    CLIENT_PROXY = "proxy of the client"
    SERVER_PROXY = "proxy of the server"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Series:
    """Samples by name and by some of their labels."""

    name: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        inner = ",".join(f'{label.rstrip("_")}="{value}"' for label, value in self.labels.items())
        return f"{self.name}{{{inner}}}" if inner else self.name


def series(name: str, **labels: str) -> Series:
    """`series("request_total", direction="inbound", tls="true")`."""
    return Series(name, labels)


def between(evidence: Evidence, before: str, after: str) -> Between:
    """The pages of two `Pages` steps."""
    return evidence.pages(before), evidence.pages(after)


def growth(pages: Between, counter: Series) -> float:
    """By how much a counter grew, all pods together."""
    return grown(pages[0], pages[1], counter.name, **counter.labels)


def good(reply: Reply) -> bool:
    """Whether a call was answered well: HTTP 2xx or an upgrade, gRPC OK, or a raw answer without trouble."""
    if reply.trouble is not None:
        return False
    if reply.grpc_status is not None:
        return reply.grpc_status == 0
    return reply.status in (None, 101) or 200 <= (reply.status or 0) < 300


def maker(reply: Reply) -> Maker:
    """Who made an answer. No single sign tells; headers, body and gRPC message do together.

    Only errors of the client's own proxy keep the header `l5d-proxy-error`; those of the server's proxy come without
    it and without a body, and in a gRPC message their text is preceded by `server:`.
    """
    if reply.echo is not None:
        return Maker.APPLICATION
    said = header_map(reply.headers) | header_map(reply.trailers)
    if _ECHO_POD in said:
        return Maker.APPLICATION
    if PROXY_ERROR in said:
        return Maker.CLIENT_PROXY
    if "server:" in reply.grpc_message:
        return Maker.SERVER_PROXY
    if reply.grpc_message.startswith(("logical service", "endpoint ")):
        return Maker.CLIENT_PROXY
    if reply.status is None and reply.grpc_status is None:
        return Maker.NOBODY
    return Maker.SERVER_PROXY if reply.received_bytes == 0 else Maker.APPLICATION


def told(reply: Reply) -> str:
    """One reply in a few words: `502 by proxy of the client: required id …`."""
    if reply.trouble is not None:
        return f"{reply.trouble}: {reply.message}" if reply.message else str(reply.trouble)
    if reply.grpc_status is not None:
        status = f"grpc-status {reply.grpc_status}"
    else:
        status = "an answer" if reply.status is None else str(reply.status)
    if good(reply):
        return status
    reason = header_map(reply.headers).get(PROXY_ERROR) or reply.grpc_message
    return f"{status} by the {maker(reply)}{f': {reason}' if reason else ''}"


def answered(evidence: Evidence, *steps: str) -> tuple[Reply, ...]:
    """The replies of applications; raises Unseen where there is none: a control must not fail with the mesh."""
    replies = tuple(reply for step in steps for reply in evidence.replies(step) if reply.echo is not None)
    if not replies:
        raise Unseen(steps[0], f"no application answered: {tally(evidence.replies(steps[0]))}")
    return replies


def together(*parts: Callable[[], tuple[AssertionResult, ...]]) -> tuple[AssertionResult, ...]:
    """All that can be judged. What cannot be is no excuse for what is broken already: then that is the verdict."""
    found: list[AssertionResult] = []
    missing: Unseen | None = None
    for part in parts:
        try:
            found += part()
        except Unseen as error:
            missing = missing or error
    if missing is not None and all(each.ok for each in found):
        raise missing
    return tuple(found)


def tally(replies: Collection[Reply]) -> str:
    """What replies said, the most frequent first: `497 x 200, 3 x TimedOut`."""
    counted = Counter(told(reply) for reply in replies)
    return ", ".join(f"{count} x {what}" for what, count in counted.most_common(5)) or "no reply at all"


def all_ok(name: str, replies: Collection[Reply]) -> AssertionResult:
    """Every call was answered, and well."""
    return check(
        name, expected="all answered well", observed=tally(replies), ok=bool(replies) and all(map(good, replies))
    )


def all_ok_within(name: str, replies: Collection[Reply], limit: timedelta) -> AssertionResult:
    """Every call was answered, and well, where the mesh gives up what takes longer than the limit.

    Where the client itself was kept waiting for half of that, its node had no time for a quick answer either.
    """
    wrong = [reply for reply in replies if not good(reply)]
    starved = bool(wrong) and all(reply.late_seconds >= limit.total_seconds() / 2 for reply in wrong)
    doubt = _kept_waiting(reply.late_seconds for reply in wrong) if starved else ""
    return all_ok(name, replies).model_copy(update={"doubt": doubt})


def all_are(name: str, replies: Collection[Reply], wanted: str, holds: Callable[[Reply], bool]) -> AssertionResult:
    """Every reply is as it should be."""
    return check(name, expected=wanted, observed=tally(replies), ok=bool(replies) and all(map(holds, replies)))


def none_are(name: str, replies: Collection[Reply], unwanted: str, holds: Callable[[Reply], bool]) -> AssertionResult:
    """No reply is so; there must have been some."""
    ok = bool(replies) and not any(map(holds, replies))
    return check(name, expected=f"never {unwanted}", observed=tally(replies), ok=ok)


def status_is(name: str, replies: Collection[Reply], *statuses: int) -> AssertionResult:
    """Every reply has one of these HTTP statuses."""
    wanted = " or ".join(str(status) for status in statuses)
    return all_are(name, replies, wanted, lambda reply: reply.status in statuses)


def grpc_is(name: str, replies: Collection[Reply], *codes: int) -> AssertionResult:
    """Every reply has one of these gRPC codes."""
    wanted = " or ".join(f"grpc-status {code}" for code in codes)
    return all_are(name, replies, wanted, lambda reply: reply.grpc_status in codes)


def made_by(name: str, replies: Collection[Reply], *makers: Maker) -> AssertionResult:
    """Every reply was made by one of these."""
    seen = Counter(maker(reply) for reply in replies)
    ok = bool(seen) and set(seen) <= set(makers)
    return check(
        name, expected=" or ".join(makers), observed=", ".join(f"{n} x {who}" for who, n in seen.items()), ok=ok
    )


def share(
    name: str, replies: Collection[Reply], expected: float, tolerance: float, of: Callable[[Reply], bool]
) -> AssertionResult:
    """The share of the replies for which `of` holds is as expected, within the tolerance."""
    seen = sum(1 for reply in replies if of(reply)) / len(replies) if replies else 0.0
    return check(
        name,
        expected=f"{expected:.0%} ± {tolerance:.0%}",
        observed=f"{seen:.1%} of {len(replies)}",
        ok=bool(replies) and abs(seen - expected) <= tolerance,
    )


def from_pods(*pods: str) -> Callable[[Reply], bool]:
    """Whether one of these pods answered."""
    return lambda reply: reply.echo is not None and reply.echo.pod in pods


def pods_that_answered(replies: Collection[Reply]) -> frozenset[str]:
    """Which pods answered."""
    return frozenset(reply.echo.pod for reply in replies if reply.echo is not None)


def answered_by(name: str, replies: Collection[Reply], pods: Collection[str]) -> AssertionResult:
    """Exactly these pods answered, each at least once."""
    return check(name, expected=sorted(pods), observed=sorted(pods_that_answered(replies)))


def seen_by_server(reply: Reply, header: str) -> str | None:
    """A request header as the server saw it; None where it saw none, or where no server tells."""
    return None if reply.echo is None else header_map(reply.echo.headers).get(header.lower())


def server_saw(name: str, replies: Collection[Reply], header: str, value: str) -> AssertionResult:
    """In every call the server saw the header with that value."""
    seen = {seen_by_server(reply, header) for reply in replies}
    return check(name, expected=f"{header}: {value}", observed=_values(header, seen), ok=seen == {value})


def server_saw_none(name: str, replies: Collection[Reply], header: str) -> AssertionResult:
    """Servers answered, and none of them saw the header."""
    seen = {seen_by_server(reply, header) for reply in replies}
    told_by_servers = bool(replies) and all(reply.echo is not None for reply in replies)
    observed = _values(header, seen) if told_by_servers else tally(replies)
    return check(name, expected=f"no {header}", observed=observed, ok=told_by_servers and seen == {None})


def header_present(name: str, replies: Collection[Reply], header: str, *, containing: str = "") -> AssertionResult:
    """Every answer has the header, with that text in its value."""
    seen = {header_map(reply.headers).get(header.lower()) for reply in replies}
    ok = bool(seen) and all(value is not None and containing in value for value in seen)
    wanted = f"{header} with {containing!r}" if containing else header
    return check(name, expected=wanted, observed=_values(header, seen), ok=ok)


def _values(header: str, seen: Collection[str | None]) -> str:
    written = sorted("none" if value is None else value for value in seen)
    return f"{header}: {', '.join(written)}" if written else "no reply at all"


def counter_grew(name: str, pages: Between, counter: Series, at_least: float = 1) -> AssertionResult:
    """A counter of the proxies grew by that much or more."""
    seen = growth(pages, counter)
    return check(name, expected=f"{counter} + {at_least:g} or more", observed=f"+ {seen:g}", ok=seen >= at_least)


def counter_grew_by(
    name: str, pages: Between, counter: Series, exactly: float, *, tolerance: float = 0
) -> AssertionResult:
    """A counter grew by just that much."""
    seen = growth(pages, counter)
    wanted = f"{exactly:g} ± {tolerance:g}" if tolerance else f"{exactly:g}"
    ok = abs(seen - exactly) <= tolerance
    return check(name, expected=f"{counter} + {wanted}", observed=f"+ {seen:g}", ok=ok)


def counter_stood_still(name: str, pages: Between, counter: Series) -> AssertionResult:
    """A counter did not move."""
    return counter_grew_by(name, pages, counter, 0)


def gauge_is(name: str, pages: Mapping[str, Page], gauge: Series, wanted: float) -> AssertionResult:
    """The sum of a gauge, on every page alike."""
    seen = {pod: page.total(gauge.name, **gauge.labels) for pod, page in pages.items()}
    ok = bool(seen) and all(value == wanted for value in seen.values())
    observed = ", ".join(f"{pod} {value:g}" for pod, value in sorted(seen.items())) or "no page"
    return check(name, expected=f"{gauge} = {wanted:g}", observed=observed, ok=ok)


def within(name: str, effect: Effect, bound: timedelta) -> AssertionResult:
    """A change showed, and in time."""
    observed = (
        f"{effect.seconds:.1f} s" if effect.met else f"not within {effect.seconds:.1f} s: {tally(effect.replies)}"
    )
    expected = f"{effect.wish} within {bound.total_seconds():g} s"
    return check(name, expected=expected, observed=observed, ok=effect.met and effect.seconds <= bound.total_seconds())


def took(name: str, replies: Collection[Reply], shortest: timedelta, longest: timedelta) -> AssertionResult:
    """Every call took a time between these."""
    low, high = shortest.total_seconds(), longest.total_seconds()
    return _spent(name, [(reply.seconds, reply.late_seconds) for reply in replies], low, high)


def first_byte_took(name: str, replies: Collection[Reply], shortest: timedelta, longest: timedelta) -> AssertionResult:
    """The first byte of every answer came after a time between these. Whoever got none took for ever."""
    low, high = shortest.total_seconds(), longest.total_seconds()
    spent = [
        (float("inf") if reply.first_byte_seconds is None else reply.first_byte_seconds, reply.late_seconds)
        for reply in replies
    ]
    return _spent(name, spent, low, high)


def _spent(name: str, timed: Collection[tuple[float, float]], low: float, high: float) -> AssertionResult:
    """Of seconds, and how many of them the agent itself was late."""
    spent = [seconds for seconds, _ in timed]
    observed = f"{min(spent):.2f} s to {max(spent):.2f} s" if spent else "no reply at all"
    wrong = [(seconds, late) for seconds, late in timed if not low <= seconds <= high]
    doubt = ""
    if wrong and all(low <= seconds and seconds - late <= high for seconds, late in wrong):
        doubt = _kept_waiting(late for _, late in wrong)
    ok = bool(spent) and not wrong
    return check(name, expected=f"{low:g} s to {high:g} s", observed=observed, ok=ok, doubt=doubt)


def _kept_waiting(late: Iterable[float]) -> str:
    return f"the client's own process was kept waiting for up to {max(late):.2f} s meanwhile"


def bytes_equal(name: str, replies: Collection[Reply]) -> AssertionResult:
    """What came back is, byte for byte, what was sent."""
    return all_are(name, replies, "what was sent comes back", lambda reply: reply.digest_ok is True)
