"""Reports that wait: they are kept in order, within bounds, and found again by the next process."""

from pathlib import Path

import pytest

from services.conformance.exerciser.spool import Spool


def spool(folder: Path, most: int = 100, most_bytes: int = 1_000_000) -> Spool:
    """As a process finds it when it begins."""
    return Spool(folder / "spool", run="run.1", most=most, most_bytes=most_bytes)


def waiting(kept: Spool) -> list[tuple[str, str, bytes]]:
    """All that waits."""
    return [(each.run, each.order, each.data()) for each in kept.waiting()]


def test_what_is_kept_is_found_by_the_next_process_in_its_order(tmp_path: Path) -> None:
    first = spool(tmp_path)
    for order in ("b", "a", "c.x"):
        first.keep(order, order.encode())
    expected = [("run.1", "b", b"b"), ("run.1", "a", b"a"), ("run.1", "c.x", b"c.x")]
    assert waiting(first) == expected
    again = spool(tmp_path)
    assert waiting(again) == expected
    again.keep("d", b"d")
    assert [order for _, order, _ in waiting(again)] == ["b", "a", "c.x", "d"]


def test_what_is_told_waits_no_more(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    kept.keep("a", b"a")
    kept.keep("b", b"b")
    kept.told(next(kept.waiting()))
    assert [order for _, order, _ in waiting(kept)] == ["b"]
    assert [order for _, order, _ in waiting(spool(tmp_path))] == ["b"]


@pytest.mark.parametrize(("most", "most_bytes"), [(3, 1_000_000), (100, 30)], ids=["reports", "bytes"])
def test_the_oldest_is_dropped_and_counted_where_there_is_too_much(tmp_path: Path, most: int, most_bytes: int) -> None:
    kept = spool(tmp_path, most, most_bytes)
    for number in range(5):
        kept.keep(str(number), bytes(10))
    assert [order for _, order, _ in waiting(kept)] == ["2", "3", "4"]
    assert kept.dropped == 2
    assert spool(tmp_path).dropped == 2


def test_a_report_that_was_dropped_while_it_was_being_told_is_empty(tmp_path: Path) -> None:
    kept = spool(tmp_path, most=1)
    kept.keep("a", b"a")
    telling = next(kept.waiting())
    kept.keep("b", b"b")
    assert telling.data() == b""
    kept.told(telling)
    assert len(kept) == 1


def test_an_order_that_was_taken_and_not_finished_is_known_to_the_next_process(tmp_path: Path) -> None:
    first = spool(tmp_path)
    first.take("done")
    first.take("not.done")
    first.keep("done", b"x")
    again = spool(tmp_path)
    assert again.interrupted() == ("not.done",)
    again.keep("not.done", b"interrupted")
    assert again.interrupted() == ()


def test_what_was_half_written_is_no_report(tmp_path: Path) -> None:
    first = spool(tmp_path)
    first.keep("a", b"a")
    half = tmp_path / "spool" / "000000000002.run.b.report.new"
    half.write_bytes(b"half")
    assert [order for _, order, _ in waiting(spool(tmp_path))] == ["a"]
    assert not half.exists()
