"""The service as a whole: one run from the object to its events."""

from services.conformance.core.ledger import status_of
from steward.events.conformance import ConformanceOutcome, ConformanceRunFinished
from steward.resources.conformance_run import RunPhase
from tests.services.conformance.engine.pieces import probe
from tests.services.conformance.engine.running import over, verdicts, world


async def test_a_run_goes_through_its_probes_once_and_leaves_nothing_behind() -> None:
    async with world(probe("mtls.identity"), probe("proto.http1")) as around:
        around.create_run()
        async with around.running():
            run = await around.until(over)
            events = await around.told(ConformanceRunFinished.name)
        assert status_of(run).phase is RunPhase.COMPLETED
        assert status_of(run).outcome is ConformanceOutcome.PASSED
        assert verdicts(run) == {"mtls.identity": "Passed", "proto.http1": "Passed"}
        assert around.namespaces() == []
        assert [each.id for each in await around.results()] == [
            f"{run.metadata.uid}/mtls.identity/0",
            f"{run.metadata.uid}/proto.http1/0",
        ]
        (finished,) = events
        assert isinstance(finished.data, ConformanceRunFinished)
        assert finished.data.summary.passed == 2
