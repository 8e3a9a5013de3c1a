"""What an attempt waits for: the requests for all of it, before it begins, and never between its steps."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import cast

from services.conformance.core.judge import Which
from services.conformance.core.orders import Doing, Report
from services.conformance.core.ports import Cluster, ControlPlane, Edges, EvidenceStore, Results
from services.conformance.core.probe import Control, Probe
from services.conformance.core.schedule import Allowance
from services.conformance.core.stage import Place, Stage
from services.conformance.core.steps import Calls, Step, Until
from services.conformance.core.targets import at_service, get
from services.conformance.engine.runner import Outcome, Runner
from steward.conformance.results import Verdict
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.server import FakeKubernetes
from tests.services.conformance.engine.actors import TinyMesh
from tests.services.conformance.engine.pieces import answered, probe, well

PER_SECOND = 2
BURST = 60 * PER_SECOND
STAGE = Stage("mine", "meshed", "plain", {}, places={"cm": (Place("cm-0", "meshed", "10.0.0.1", "n", "z"),)})


class Timed(TinyMesh):
    """Remembers when each order came."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.orders: list[float] = []

    async def do(self, run: str, pod: str, doing: Doing, *, deadline: timedelta, order: str = "") -> Report:
        """At once."""
        self.orders.append(self.clock.monotonic())
        return await super().do(run, pod, doing, deadline=deadline, order=order)


def in_steps(*times: int) -> Probe:
    """A probe that calls so often in each of its steps."""

    def steps(stage: Stage) -> tuple[Step, ...]:
        calls = [get(at_service(stage, "sm"), "/called", times=each) for each in times]
        return tuple(Calls("call" if not at else f"more-{at}", "cm", call) for at, call in enumerate(calls))

    return replace(probe("lb.steps"), steps=steps)


class Playing:
    """A runner with an allowance, and agents that answer at once."""

    def __init__(self, kubernetes: FakeKubernetes, clock: ManualClock) -> None:
        self.clock = clock
        self.agents = Timed(kubernetes, clock)
        self.allowance = Allowance(PER_SECOND)
        self._which = Which("mine", "uid", 0, clock.now())
        # Probes of these tests only call.
        nobody = None
        self._runner = Runner(
            edges=Edges(
                self.agents,
                cast("Cluster", nobody),
                cast("ControlPlane", nobody),
                cast("Results", nobody),
                cast("EvidenceStore", nobody),
                lambda _report, _form: b"",
            ),
            clock=clock,
            staging=self._staging,
            agents_of="uid",
            retries=0,
            allowance=self.allowance,
        )

    async def _staging(self) -> Stage:
        return STAGE

    async def after(self, wait: float, probe: Probe) -> Outcome:
        """Run a probe that has to wait so many seconds; it waits once."""
        running = asyncio.create_task(self._runner.run(probe, self._which))
        await self.clock.until_somebody_sleeps()
        await self.clock.advance(timedelta(seconds=wait))
        return await running

    async def at_once(self, probe: Probe) -> Outcome:
        """Run a probe that has to wait for nothing."""
        return await self._runner.run(probe, self._which)


async def test_an_attempt_waits_before_it_begins_and_not_between_its_steps(manual_clock: ManualClock) -> None:
    async with FakeKubernetes() as kubernetes:
        playing = Playing(kubernetes, manual_clock)
        await playing.at_once(in_steps(BURST))
        outcome = await playing.after(15.0, in_steps(10, 10, 10))
        assert outcome.result.verdict is Verdict.PASSED
        assert playing.agents.orders == [0.0, 15.0, 15.0, 15.0]


async def test_a_control_is_part_of_what_an_attempt_waits_for(manual_clock: ManualClock) -> None:
    async with FakeKubernetes() as kubernetes:
        playing = Playing(kubernetes, manual_clock)
        await playing.at_once(in_steps(BURST))
        control = Control("the prober itself works", answered("/control", times=10), well)
        await playing.after(10.0, replace(in_steps(10), control=control))
        assert playing.agents.orders == [0.0, 10.0, 10.0]


async def test_what_an_attempt_makes_beyond_its_share_is_waited_for_by_the_next(manual_clock: ManualClock) -> None:
    async with FakeKubernetes() as kubernetes:
        playing = Playing(kubernetes, manual_clock)
        await playing.at_once(in_steps(BURST))
        await playing.after(0.5, patient(calls=11))
        await playing.after(6.0, in_steps(2))
        assert manual_clock.monotonic() == 6.5


def patient(calls: int) -> Probe:
    """A probe that counts on one call, and is answered as it wishes by the last of so many."""
    seen = 0

    def meets(_reply: object) -> bool:
        nonlocal seen
        seen += 1
        return seen >= calls

    def steps(stage: Stage) -> tuple[Step, ...]:
        call, bound = get(at_service(stage, "sm"), "/called"), timedelta(minutes=1)
        return (Until("until", "cm", call, meets, "enough", bound, consecutive=1, every=timedelta()),)

    return replace(probe("lb.patient"), steps=steps, proof=lambda _stage, _evidence: ())
