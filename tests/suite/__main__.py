"""`make suite`: the default suite once on the simulated mesh; what it took, and whatever did not simply pass.

python -m tests.suite                         all of it
python -m tests.suite --only retry --only cb  some of it
Ends with 0 where it passed within five minutes.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from services.conformance.core.ledger import status_of
from steward.events.conformance import ConformanceOutcome
from tests.bench.conformance_suite import BAR_SECONDS
from tests.suite.simulated import Measured, measured


def main() -> int:
    """Run it and say how it went."""
    options = _options()
    found = asyncio.run(measured(tuple(options.only)))
    sys.stdout.write(told(found))
    if options.report:
        options.report.write_text(found.exercised.report)
    passed = status_of(found.exercised.run).outcome is ConformanceOutcome.PASSED
    return 0 if passed and found.seconds <= BAR_SECONDS and not found.exercised.left_behind else 1


def told(found: Measured) -> str:
    """The figures, and a line for each feature that did not simply pass."""
    lines = [
        f"{len(found.features)} features in {found.seconds:.0f} s (the bar: {BAR_SECONDS:.0f} s), with "
        f"{found.processor_seconds:.0f} s of processor",
        f"{found.pods} pods at once, {found.requests:,} requests, {found.requests / found.seconds:.0f} a second",
        found.verdicts,
        *(f"  {each.verdict}  {each.feature}  {each.reason}: {each.message}" for each in found.unclean),
        *(f"  left behind: {each}" for each in found.exercised.left_behind),
    ]
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make suite", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="FEATURE", action="append", default=[], help="a feature or group of them")
    parser.add_argument("--report", metavar="FILE", type=Path, help="where to write the run's report, in Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
