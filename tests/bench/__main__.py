"""`python -m tests.bench [NAME…]`: every measurement, side by side with its peer, as a table and as JSON.

Ratios are what counts: absolute times depend on the machine and on what else it does. JSON goes to the file that the
variable BENCH_JSON names.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.row import Row

HERE = Path(__file__).parent


def measurements() -> dict[str, Callable[[], Awaitable[list[Row]]]]:
    """Every module beside this one that has a `measure`."""
    found: dict[str, Callable[[], Awaitable[list[Row]]]] = {}
    for path in sorted(HERE.glob("*.py")):
        if path.stem.startswith(("_", "test_")):
            continue
        measure = getattr(import_module(f"tests.bench.{path.stem}"), "measure", None)
        if measure is not None:
            found[path.stem] = measure
    return found


def table(rows: list[Row]) -> Table:
    """The rows for people."""
    drawn = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("measurement", "ours", "unit", "peer", "its figure", "ratio"):
        drawn.add_column(column, justify="left" if column in ("measurement", "unit", "peer") else "right")
    for row in rows:
        drawn.add_row(
            row.name,
            f"{row.ours:,.4g}" if row.ours < 1000 else f"{row.ours:,.0f}",
            row.unit,
            row.peer_name,
            "" if row.peer is None else f"{row.peer:,.4g}" if row.peer < 1000 else f"{row.peer:,.0f}",
            "" if row.ratio is None else f"{row.ratio:.2f}x",
        )
    return drawn


def main() -> int:
    """Measure what the command line names, or everything."""
    available = measurements()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Linkerd Steward against peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(available))
    chosen = parser.parse_args().names or list(available)
    if unknown := [name for name in chosen if name not in available]:
        parser.error(f"{unknown[0]!r} is no measurement: there are {', '.join(available)}")
    rows: list[Row] = []
    for name in chosen:
        sys.stderr.write(f"measuring {name} ...\n")
        rows += asyncio.run(_measure(available[name]))
    Console(width=150).print(table(rows))
    # The one setting of this program; it is asked for by name in the documentation.
    target = os.environ.get("BENCH_JSON")  # noqa: TID251
    if target:
        Path(target).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


async def _measure(measure: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    return await measure()


if __name__ == "__main__":
    sys.exit(main())
