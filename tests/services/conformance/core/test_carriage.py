"""Orders and reports on the wire."""

import itertools
import zlib
from random import Random

import pytest

from services.conformance.core import carriage
from services.conformance.core.carriage import (
    Gathered,
    TooLarge,
    Unreadable,
    order_of,
    orders_subject,
    packed,
    pieces,
    presence_subject,
    report_subject,
    stop_subject,
    unpacked,
)
from services.conformance.core.orders import Refused, Report
from steward.bus.streams import RESULTS, RESULTS_ROOT
from steward.testing.clock import DAWN


def report(message: str) -> Report:
    """A report whose size is that of its message."""
    seen = Refused(reason="Late", message=message)
    return Report(order="o.1", agent="cm", pod="cm-0", started_at=DAWN, ended_at=DAWN, seen=seen)


def noise(size: int) -> str:
    """What does not compress."""
    return Random(1).randbytes(size // 2).hex()


def test_subjects_are_one_token_each_whatever_the_names() -> None:
    assert orders_subject("c1", "run.a", "cm-0.x") == "steward.orders.v1.c1.run_2ea.cm-0_2ex"
    assert stop_subject("c1", "r", "p") == "steward.orders.v1.c1.r.p.stop"
    assert presence_subject("c1", "r", "p") == "steward.agents.v1.c1.r.p"
    assert report_subject("c1", "r", "o") == "steward.results.v1.c1.agents.r.o"


def test_reports_go_to_the_stream_of_results_and_orders_to_none() -> None:
    assert f"{RESULTS_ROOT}.>" in RESULTS.subjects
    assert report_subject("c", "r", "o").startswith(f"{RESULTS_ROOT}.")
    assert not orders_subject("c", "r", "p").startswith(("steward.v1.", RESULTS_ROOT))


def test_a_small_report_is_one_message() -> None:
    small = report("x")
    (piece,) = pieces("s", "o.1", packed(small))
    assert (piece.subject, piece.message_id) == ("s", "o.1")
    assert Gathered().add(piece.headers, piece.data) == small


def test_a_large_report_is_whole_again_in_whatever_order_its_parts_come() -> None:
    large = report(noise(2_400_000))
    parts = pieces("s", "o.1", packed(large))
    assert len(parts) == 3
    assert len({each.subject for each in parts}) == len({each.message_id for each in parts}) == 3
    assert max(len(each.data) for each in parts) <= carriage.PART_BYTES
    for order in itertools.permutations((*parts, parts[0])):
        gathered = Gathered()
        assert large in [gathered.add(each.headers, each.data) for each in order]


def test_a_report_that_nobody_could_carry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriage, "LARGEST_REPORT", 1_000_000)
    with pytest.raises(TooLarge, match="fewer calls"):
        packed(report("x" * 1_000_000))
    with pytest.raises(TooLarge, match="fewer calls"):
        pieces("s", "o", bytes(65 * carriage.PART_BYTES))


@pytest.mark.parametrize(
    "data", [b"", b"no zlib", zlib.compress(b"{}"), packed(report("x"))[:-5]], ids=["empty", "plain", "other", "cut"]
)
def test_what_is_no_report_is_told_apart(data: bytes) -> None:
    with pytest.raises(Unreadable):
        unpacked(data)


def test_a_report_may_not_blow_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(report("x" * 1_000_000))
    monkeypatch.setattr(carriage, "LARGEST_REPORT", 1_000)
    with pytest.raises(Unreadable, match="larger than any may be"):
        unpacked(bomb)


@pytest.mark.parametrize("header", ["", "x/1", "1/1", "-1/2", "0/0", "0/65", "0"])
def test_a_part_that_cannot_be_is_refused(header: str) -> None:
    with pytest.raises(Unreadable, match="no part of a report"):
        Gathered().add({"Steward-Part": header}, b"x")


def test_an_order_says_what_is_wrong_with_it() -> None:
    with pytest.raises(Unreadable, match="deadline: Field required"):
        order_of(b'{"id": "1", "agent": "a", "doing": {"do": "Lookup", "name": "x"}}')
    with pytest.raises(Unreadable, match="at most"):
        order_of(bytes(carriage.LARGEST_ORDER + 1))
