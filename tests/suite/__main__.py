"""`make suite`: the default suite on the simulated mesh; what it took, and whatever did not simply pass.

python -m tests.suite                         all of it, once
python -m tests.suite --only retry --only cb  some of it
python -m tests.suite --minutes 20            all of it, again and again for so long
Ends with 0 where every feature worked in every turn with no more pods than it may: once within five minutes, or for so
long with no more requests a second than it may.
"""

import argparse
import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from services.conformance.core.ledger import status_of
from steward.conformance.results import Verdict
from steward.events.conformance import ConformanceOutcome
from steward.resources.conformance_suite import Footprint
from tests.bench.conformance_suite import BAR_SECONDS
from tests.suite.simulated import Measured, measured


def main() -> int:
    """Run it and say how it went."""
    options = _options()
    lasting = timedelta(minutes=options.minutes) if options.minutes else None
    found = asyncio.run(measured(tuple(options.only), lasting))
    sys.stdout.write(told(found))
    if options.report:
        options.report.write_text(found.exercised.report)
    return 0 if _well(found) and (_modest(found) if lasting else found.seconds <= BAR_SECONDS) else 1


def _well(found: Measured) -> bool:
    """Whether every feature worked, in every turn, and nothing is left."""
    passed = status_of(found.exercised.run).outcome is ConformanceOutcome.PASSED
    failed = any(each.verdict is Verdict.FAILED for each in found.results)
    return passed and not (failed or found.unjudged or found.exercised.left_behind or found.pods > Footprint().max_pods)


def _modest(found: Measured) -> bool:
    return found.requests <= Footprint().max_requests_per_second * found.seconds


def told(found: Measured) -> str:
    """The figures, and a line for each feature that did not simply pass."""
    lines = [
        f"{len(found.features)} features in {found.seconds:.0f} s (the bar of one turn: {BAR_SECONDS:.0f} s), with "
        f"{found.processor_seconds:.0f} s of processor",
        f"{found.pods} pods at once, {found.requests:,} requests, {found.requests / found.seconds:.0f} a second",
        f"{len(found.results):,} results: {found.verdicts}",
        *(f"  {each.verdict}  {each.feature}/{each.cycle}  {each.reason}: {each.message}" for each in found.unclean),
        *(f"  nothing was said of {feature}" for feature in found.unjudged),
        *(f"  left behind: {each}" for each in found.exercised.left_behind),
    ]
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make suite", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="FEATURE", action="append", default=[], help="a feature or group of them")
    parser.add_argument("--report", metavar="FILE", type=Path, help="where to write the run's report, in Markdown")
    parser.add_argument("--minutes", metavar="N", type=int, default=0, help="go on for so long instead of once")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
