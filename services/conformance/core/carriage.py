"""How orders and reports travel: subjects, and a report in parts that NATS takes.

    steward.orders.v1.<cluster>.<run>.<pod>                core; asked, and answered `TAKEN` or with a refusal
    steward.orders.v1.<cluster>.<run>.<pod>.stop           core; the id of an order that shall end early
    steward.orders.v1.<cluster>.<run>                      core; every agent of the run, say that you are there
    steward.agents.v1.<cluster>.<run>.<pod>                core; here is an agent: a `Presence`
    steward.results.v1.<cluster>.agents.<run>.<order>[.n]  JetStream; a report, or its part n

Orders are in no stream, so that none is ever done late. Reports are, so that none is ever lost.
"""

import zlib
from dataclasses import dataclass

from pydantic import AwareDatetime, ValidationError

from services.conformance.core.orders import Order, Report
from steward.errors import StewardError
from steward.events.base import Part
from steward.events.subjects import token

ORDERS_ROOT = "steward.orders.v1"
AGENTS_ROOT = "steward.agents.v1"
RESULTS_ROOT = "steward.results.v1"
PART_HEADER = "Steward-Part"
TAKEN = b"TAKEN"
LARGEST_REPORT = 64 * 1024 * 1024
LARGEST_ORDER = 256 * 1024
PART_BYTES = 512 * 1024
"""Half of what NATS takes by default, so that headers and a smaller limit do no harm."""
_MOST_PARTS = 64


class Unreadable(StewardError):
    """Bytes that are not what they should be."""


class TooLarge(StewardError):
    """A report that cannot be told."""


class Presence(Part):
    """An agent says that it is there. `waiting` reports are not told yet, `dropped` ones never will be."""

    run: str
    actor: str
    pod: str
    at: AwareDatetime
    node: str = ""
    zone: str = ""
    waiting: int = 0
    dropped: int = 0
    held: tuple[str, ...] = ()


def orders_subject(cluster: str, run: str, pod: str) -> str:
    """Where an agent takes orders."""
    return f"{ORDERS_ROOT}.{cluster}.{token(run)}.{token(pod)}"


def stop_subject(cluster: str, run: str, pod: str) -> str:
    """Where an agent is told to end an order early."""
    return f"{orders_subject(cluster, run, pod)}.stop"


def roll_call_subject(cluster: str, run: str) -> str:
    """Where all agents of a run are asked whether they are there."""
    return f"{ORDERS_ROOT}.{cluster}.{token(run)}"


def presence_subject(cluster: str, run: str, pod: str) -> str:
    """Where an agent says that it is there."""
    return f"{AGENTS_ROOT}.{cluster}.{token(run)}.{token(pod)}"


def presences_filter(cluster: str) -> str:
    """Every agent of a cluster."""
    return f"{AGENTS_ROOT}.{cluster}.>"


def report_subject(cluster: str, run: str, order: str) -> str:
    """Where the report of an order goes; its further parts have one token more."""
    return f"{RESULTS_ROOT}.{cluster}.agents.{token(run)}.{token(order)}"


def reports_filter(cluster: str) -> str:
    """Every report of a cluster."""
    return f"{RESULTS_ROOT}.{cluster}.agents.>"


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of a report. `message_id` keeps it single however often it is sent."""

    subject: str
    message_id: str
    headers: dict[str, str]
    data: bytes


def packed(report: Report) -> bytes:
    """A report as it is kept and sent; raises TooLarge."""
    plain = report.model_dump_json(by_alias=True).encode()
    if len(plain) > LARGEST_REPORT:
        raise TooLarge(
            f"the report of order {report.order!r} has {len(plain) >> 20} MiB, {LARGEST_REPORT >> 20} MiB can be told: "
            "ask for fewer calls in one order"
        )
    return zlib.compress(plain)


def unpacked(data: bytes) -> Report:
    """A report again; raises Unreadable, and never takes more memory than the largest report has."""
    inflating = zlib.decompressobj()
    try:
        plain = inflating.decompress(data, LARGEST_REPORT)
        if not inflating.eof:
            raise Unreadable("a report breaks off, or is larger than any may be")
        return Report.model_validate_json(plain)
    except (zlib.error, ValidationError) as error:
        raise Unreadable(f"not a report: {str(error).splitlines()[0]}") from None


def pieces(subject: str, order: str, data: bytes) -> tuple[Piece, ...]:
    """A packed report as messages."""
    cuts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
    if len(cuts) > _MOST_PARTS:
        raise TooLarge(f"the report of order {order!r} has {len(data) >> 20} MiB when packed: ask for fewer calls")
    return tuple(
        Piece(
            subject=subject if number == 0 else f"{subject}.{number}",
            message_id=order if number == 0 else f"{order}.{number}",
            headers={PART_HEADER: f"{number}/{len(cuts)}"},
            data=cut,
        )
        for number, cut in enumerate(cuts)
    )


class Gathered:
    """The parts of one report, in whatever order and however often they come."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}

    def add(self, headers: dict[str, str], data: bytes) -> Report | None:
        """Take a part; the report, once it is whole. Raises Unreadable."""
        number, _, count = headers.get(PART_HEADER, "0/1").partition("/")
        if not (number.isdigit() and count.isdigit() and int(number) < int(count) <= _MOST_PARTS):
            raise Unreadable(f"{PART_HEADER} says {number}/{count}, which is no part of a report")
        self._parts[int(number)] = data
        if len(self._parts) < int(count):
            return None
        return unpacked(b"".join(self._parts[each] for each in sorted(self._parts)))


def order_of(data: bytes) -> Order:
    """An order as it came; raises Unreadable."""
    if len(data) > LARGEST_ORDER:
        raise Unreadable(f"an order has at most {LARGEST_ORDER} bytes, this has {len(data)}")
    try:
        return Order.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in problem['loc']) or 'order'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)[:4]
        )
        raise Unreadable(f"the order makes no sense: {problems}") from None
