"""Traces on a simulated mesh, where a collector remembers more than one attempt."""

from pathlib import Path

from steward.conformance.results import Verdict
from steward.testing.dataplane.proxy.trace_faults import SPANS_DROPPED
from steward.testing.nats import NatsServer
from tests.services.conformance.simulated.theatre import opened, told


async def test_spans_of_an_earlier_attempt_prove_nothing(nats_server: NatsServer, tmp_path: Path) -> None:
    async with opened(nats_server.url, tmp_path) as theatre:
        before = await theatre.play("obs.trace")
        assert before.result.verdict is Verdict.PASSED, told(before)
        theatre.plane.faults.switch_on(SPANS_DROPPED)
        after = await theatre.play("obs.trace")
        assert after.result.verdict is Verdict.FAILED, told(after)
        assert after.result.causes[0].code == "SPANS_DROPPED"
