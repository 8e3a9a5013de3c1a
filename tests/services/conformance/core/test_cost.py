"""What the default suite costs: minutes for one turn, pods at the same time, requests a second without an end."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from services.conformance.core.dependencies import in_layers
from services.conformance.core.manifests import CAST_PODS, Access, Production, actors
from services.conformance.core.probe import Probe
from services.conformance.core.probes import PROBES, chosen
from services.conformance.core.schedule import Allowance, Timetable, cost, fitting
from services.conformance.core.stage import Need, Place, Stage
from services.conformance.core.steps import Calls, During, LookedUntil, Ready, Step, Until, Wait
from services.conformance.engine.floor import Floor
from services.conformance.settings import ConformanceGroup
from steward.conformance.results import Tier
from steward.resources.conformance_suite import ConformanceSuiteSpec

Record = Callable[[str, object], None]
SUITE = ConformanceSuiteSpec()
DEFAULT = chosen(SUITE.include, SUITE.exclude, SUITE.tiers, SUITE.allow)
AT_ONCE = ConformanceGroup(image="steward:test").at_once
MADE = Production("cost", "cost-uid", "steward-probes", 7_200, "steward:test", Access((), (), "c"), SUITE.footprint)
_MEASURED_SECONDS = 4.0
"""An attempt that waits for nothing: orders, pages, objects; what a busy node takes for it."""
_EFFECT_SECONDS = 1.0
"""From an object's acceptance to its effect on traffic: 0.3 s were measured."""
_ROLLOUT_SECONDS = 15.0
"""Until two pods are replaced one after the other."""
_POD_SECONDS = 6.0
"""From its creation until an application pod is ready: 4 to 5 s were measured."""


def _stage() -> Stage:
    """The cast as it always is, with the time-outs that proxies really have."""
    places = {
        actor: tuple(
            Place(f"{actor}-{number}", "plain" if actor in ("cu", "su") else "meshed", f"10.0.0.{number}", "n", "z")
            for number in range(pods)
        )
        for actor, pods in actors().items()
    }
    return Stage("cost", "meshed", "plain", {}, places=places, has=frozenset(Need), image="steward:test")


STAGE = _stage()


def _seconds(step: Step) -> float:
    """How long a step takes on a mesh that is well."""
    match step:
        case Wait():
            return step.duration.total_seconds()
        case Calls() if step.call.per_second:
            return step.call.times / step.call.per_second
        case During():
            # The load ends with the steps that it goes on beside.
            return min(_seconds(step.load) or _POD_SECONDS, sum(map(_seconds, step.steps)))
        case LookedUntil():
            return _ROLLOUT_SECONDS
        case Until():
            return _EFFECT_SECONDS
        case Ready():
            return _POD_SECONDS
        case _:
            return 0.0


def takes(probe: Probe) -> float:
    """Seconds of one attempt and its control; a bound that says more than its steps do is not believed."""
    steps = [*probe.steps(STAGE), *(probe.control.steps(STAGE) if probe.control else ())]
    return _MEASURED_SECONDS + sum(map(_seconds, steps))


class _Turns:
    """The lanes of the engine: as many probes at once as it lets, some alone, none before what it rests on."""

    def __init__(self, spare_pods: int) -> None:
        self.spare_pods = spare_pods
        self.most_pods = 0
        self.seconds = 0.0

    def play(self, probes: Sequence[Probe]) -> None:
        """Layer by layer, each probe as soon as there is room for it."""
        for layer in in_layers(probes):
            waiting = sorted(layer, key=lambda each: (each.alone, each.id))
            running: list[tuple[float, Probe]] = []
            while waiting or running:
                waiting = self._let_in(waiting, running)
                running.sort(key=lambda each: each[0])
                self.seconds = running.pop(0)[0]

    def _let_in(self, waiting: list[Probe], running: list[tuple[float, Probe]]) -> list[Probe]:
        left: list[Probe] = []
        for probe in waiting:
            pods = sum(each.extra_pods for _, each in running)
            shut = any(each.alone for _, each in running) or (probe.alone and bool(running))
            if shut or len(running) >= AT_ONCE or pods + probe.extra_pods > self.spare_pods:
                left.append(probe)
                continue
            running.append((self.seconds + takes(probe), probe))
            self.most_pods = max(self.most_pods, pods + probe.extra_pods)
        return left


def test_one_turn_of_the_default_suite_is_over_within_five_minutes(
    record_property: Record,
) -> None:
    turns = _Turns(MADE.spare_pods)
    turns.play(DEFAULT)
    record_property("seconds", round(turns.seconds))
    record_property("probes", len(DEFAULT))
    slowest = sorted(((round(takes(probe)), probe.id) for probe in DEFAULT), reverse=True)[:8]
    assert turns.seconds < 300, f"{turns.seconds:.0f} s; the slowest are {slowest}"


def test_every_probe_of_the_default_suite_has_room_within_its_pods() -> None:
    _, too_large = fitting(DEFAULT, MADE.spare_pods)
    assert [probe.id for probe in too_large] == []
    assert CAST_PODS + MADE.spare_pods <= 12


async def test_never_more_than_twelve_pods_are_asked_for_at_the_same_time() -> None:
    floor, now, most = Floor(AT_ONCE, MADE.spare_pods), 0, 0

    async def turn(probe: Probe) -> None:
        nonlocal now, most
        async with floor.taken_by(probe):
            now += probe.extra_pods
            most = max(most, now)
            for _ in range(1 + len(probe.id) % 5):
                await asyncio.sleep(0)  # noqa: TID251 # a turn of the loop, no time
            now -= probe.extra_pods

    async with asyncio.TaskGroup() as tasks:
        for probe in DEFAULT:
            tasks.create_task(turn(probe))
    assert most == MADE.spare_pods
    assert CAST_PODS + most <= 12


def _a_second(probes: Sequence[Probe]) -> float:
    """Requests a second that a continuous run wants, by its timetable."""
    table = Timetable.of(datetime(2026, 11, 21, tzinfo=UTC), SUITE.schedule, SUITE.jitter_percent)
    return sum(_requests(probe) / table.interval(probe.tier).total_seconds() for probe in probes)


def _requests(probe: Probe) -> int:
    """What an attempt and its control make, and not more of a load than there is time for: the rest is given back."""
    return cost(probe, STAGE) - sum(_unmade(step) for step in probe.steps(STAGE) if isinstance(step, During))


def _unmade(step: During) -> int:
    call = step.load.call
    return max(0, call.times - round(_seconds(step) * call.per_second)) if call.per_second else 0


def test_a_continuous_run_wants_no_more_requests_a_second_than_it_may_make(
    record_property: Record,
) -> None:
    wanted = _a_second(DEFAULT)
    record_property("requests_per_second", round(wanted, 2))
    by_tier = {tier.value: round(_a_second([p for p in DEFAULT if p.tier is tier]), 2) for tier in Tier}
    dearest = sorted(((_requests(probe), probe.id) for probe in DEFAULT), reverse=True)[:8]
    assert wanted <= SUITE.footprint.max_requests_per_second, f"{wanted:.1f}/s {by_tier}; the dearest are {dearest}"


def test_requests_of_many_cycles_never_come_faster_than_the_suite_allows() -> None:
    """Whatever probes ask for: over any time longer than a burst the allowance holds them back."""
    per_second = SUITE.footprint.max_requests_per_second
    allowance, now, made = Allowance(per_second), 0.0, 0
    for _ in range(20):
        for probe in DEFAULT:
            now += allowance.wait(_requests(probe), now).total_seconds()
            made += _requests(probe)
    burst = timedelta(minutes=1).total_seconds() * per_second
    assert made <= now * per_second + burst + 1
    assert {probe.id for probe in DEFAULT} <= {probe.id for probe in PROBES}


def test_requests_of_a_load_that_ended_early_are_given_back() -> None:
    allowance = Allowance(10)
    assert allowance.wait(1_000, 0) == timedelta(seconds=40)
    allowance.give_back(900)
    assert allowance.wait(500, 0) == timedelta()
    allowance.give_back(10_000)
    assert allowance.wait(610, 0) == timedelta(seconds=1), "never more than a burst"
