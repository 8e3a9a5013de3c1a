"""What `make bench` leaves behind: a table for people and JSON for programs, with one measurement that is cheap."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import __main__ as bench
from tests.bench import reconcile
from tests.bench.row import Row

ROWS = ("no-change reconcile at 10 workloads, warm", "no-change reconcile at 10 workloads, cold")


async def _cheap() -> list[Row]:
    return await reconcile.measure(sizes=(10,))


def test_a_measurement_comes_out_as_a_table_and_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "bench.json"
    monkeypatch.setenv("BENCH_JSON", str(target))
    monkeypatch.setattr("sys.argv", ["bench", "cheap"])
    monkeypatch.setattr(bench, "measurements", lambda: {"cheap": _cheap})

    assert bench.main() == 0

    written = json.loads(target.read_text())
    assert [row["name"] for row in written] == list(ROWS)
    assert all(row["ours"] > 0 and row["unit"] == "ms" for row in written)
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("measurement", "ratio", *ROWS))


def test_every_figure_has_its_place_in_the_table() -> None:
    console = Console(width=150)
    with console.capture() as captured:
        console.print(bench.table([Row("the work", "1/s", 5000.0, "a peer", 1250.0, 4.0), Row("alone", "ms", 0.5)]))

    _, compared, alone = captured.get().splitlines()

    assert compared.split() == ["the", "work", "5,000", "1/s", "a", "peer", "1,250", "4.00x"]
    assert alone.split() == ["alone", "0.5", "ms"]


def test_everything_that_measures_is_found() -> None:
    assert set(bench.measurements()) == {
        "alerting_idle",
        "alerting_policies",
        "alerting_start",
        "bus_latency",
        "bus_throughput",
        "conformance_suite",
        "exported_gauges",
        "kube_reflector",
        "reconcile",
        "rule_evaluation",
        "slo_rules",
        "start_up",
    }


def test_a_measurement_that_does_not_exist_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "speed"])

    with pytest.raises(SystemExit):
        bench.main()

    assert "'speed' is no measurement: there are alerting_idle, alerting_policies" in capsys.readouterr().err
