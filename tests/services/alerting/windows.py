"""A time as Prometheus remembers it, judged only where every scrape of it succeeded.

A machine that is busy with something else lets a scrape fail now and then. That is an alarm, and a true one, but not
what a test of a healthy mesh is about: it then looks at a later time.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from steward.alerting.rules import seconds
from steward.clock import SystemClock
from steward.testing.monitoring.prometheus import Prometheus
from tests.services.alerting.running import PATIENCE

_SECOND = timedelta(seconds=1)
_WRITTEN = _SECOND
"""Prometheus shows an evaluation once it is over: younger ones are not judged."""
_FORGOTTEN = 5 * _SECOND
"""What follows from a start, or from a scrape that failed, is over by then: the service looks, and is scraped, every
second."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time."""

    failed: frozenset[str]
    """Job and instance of what could not be scraped then, or shortly before."""
    evaluations: int
    """Of the Watchdog, which always fires, and of everything else."""
    alerts: frozenset[str]
    """Names of what pended or fired at any moment."""


async def whole_window(prometheus: Prometheus, evaluations: int) -> Window:
    """The first time soon after now with so many evaluations, one a second, all of them on scrapes that succeeded."""
    clock = SystemClock()
    since, window = clock.now() + _FORGOTTEN, Window(frozenset(), 0, frozenset())
    try:
        async with asyncio.timeout(PATIENCE):
            while window.evaluations < evaluations or window.failed:
                await clock.sleep(0.3 * _SECOND)
                end = clock.now() - _WRITTEN
                # Evaluations do not begin with the window: a second more than is asked for.
                length = min(end - since, (evaluations + 1) * _SECOND)
                if length >= _SECOND:
                    window = await _window(prometheus, end, length)
    except TimeoutError:
        raise AssertionError(f"there never were {evaluations} evaluations on good scrapes: {window}") from None
    return window


async def _window(prometheus: Prometheus, end: datetime, length: timedelta) -> Window:
    span, before = seconds(length), seconds(length + _FORGOTTEN)
    failed = await prometheus.query(f"min_over_time(up[{before}]) == 0 or absent(up)", end)
    told = await prometheus.query(f'count_over_time(ALERTS{{alertname="Watchdog"}}[{span}])', end)
    alerts = await prometheus.query(f"count by (alertname) (count_over_time(ALERTS[{span}]))", end)
    return Window(
        failed=frozenset(f"{each.labels.get('job')} {each.labels.get('instance')}" for each in failed),
        evaluations=round(sum(each.value for each in told)),
        alerts=frozenset(each.labels["alertname"] for each in alerts),
    )
