"""One turn of the default suite by the real service, on the simulated data plane with the time-outs of real proxies.

The peer's figure is the bar: five minutes for all, once.
"""

from tests.bench.row import Row
from tests.suite.simulated import measured

BAR_SECONDS = 300.0


async def measure() -> list[Row]:
    """From the run's creation until nothing of it is left; more of it tells `make suite`."""
    found = await measured()
    name = f"default suite: {found.verdicts}"
    return [
        Row(name, "s", found.seconds, "the bar", BAR_SECONDS, BAR_SECONDS / found.seconds),
        Row("default suite: processor time", "s", found.processor_seconds),
        Row("default suite: pods at once", "", found.pods),
        Row("default suite: requests", "1/s", found.requests / found.seconds),
    ]
