"""Whether an agent notices that it was itself what kept an answer waiting."""

import asyncio
import time
from datetime import timedelta

from services.conformance.core.orders import Call, Reply
from services.conformance.exerciser.calling.pacing import RateCap, Round
from services.conformance.exerciser.calling.pulse import Pulse
from steward.clock import SystemClock
from tests.services.conformance.exerciser.test_pacing import SECOND, TARGET

_BUSY = 0.2


def _busy() -> None:
    """Something that does not let go of the event loop."""
    until = time.perf_counter() + _BUSY
    while time.perf_counter() < until:
        pass


class _Choking:
    """A caller whose second call comes while the process is busy with something else."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._calls = 0

    async def call(self) -> Reply:
        self._calls += 1
        if self._calls == 2:
            asyncio.get_running_loop().call_soon(_busy)
            await self._clock.sleep(timedelta())
        return Reply(at=self._clock.now(), status=200)

    async def close(self) -> None:
        pass


async def test_a_process_that_was_kept_waiting_knows_for_how_long() -> None:
    with Pulse() as pulse:
        before = pulse.missed
        _busy()
        assert before == 0
        assert pulse.missed >= _BUSY / 2


async def test_the_reply_tells_how_late_its_own_agent_was() -> None:
    clock = SystemClock()
    going = Round(Call(target=TARGET, times=2), RateCap(1000, clock), clock)
    at_ease, choked = await going.run([_Choking(clock)], clock.now() + 60 * SECOND)
    assert choked.late_seconds >= _BUSY / 2
    assert at_ease.late_seconds < choked.late_seconds
