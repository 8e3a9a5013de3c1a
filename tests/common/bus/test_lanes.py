"""Order within a key, freedom between keys: the scheduler alone, in every interleaving that hypothesis finds."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.bus.lanes import Lanes, Outcome

KEYS = ("a", "b", "c")


@dataclass(slots=True)
class Thing:
    """Something to do: how often it goes away before it is done, and how long it takes."""

    key: str
    number: int
    absences: int
    turns: int
    trace: list[str] = field(default_factory=list)


async def turn() -> None:
    await asyncio.sleep(0)  # noqa: TID251 - lets others run, waits for no time


class World:
    """Does things and remembers in which order they were done, and how many at once."""

    def __init__(self, concurrency: int) -> None:
        self.done: dict[str, list[int]] = defaultdict(list)
        self.away: list[Thing] = []
        self.running: Counter[str] = Counter()
        self.most = 0
        self.lanes = Lanes(self.work, concurrency=concurrency)

    async def work(self, thing: Thing) -> Outcome:
        self.running[thing.key] += 1
        assert self.running[thing.key] == 1, "two things of one key at once"
        self.most = max(self.most, self.running.total())
        for _ in range(thing.turns):
            await turn()
        self.running[thing.key] -= 1
        if thing.absences:
            thing.absences -= 1
            self.away.append(thing)
            return Outcome.AWAY
        self.done[thing.key].append(thing.number)
        return Outcome.DONE


PLANS = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40)


@given(plan=PLANS, concurrency=st.integers(1, 4), returns=st.randoms(use_true_random=False))
async def test_whatever_comes_back_when_each_key_is_done_in_order_and_nothing_is_forgotten(
    plan: list[tuple[str, int, int]], concurrency: int, returns: Random
) -> None:
    world = World(concurrency)
    wanted: dict[str, list[int]] = defaultdict(list)
    for number, (key, absences, turns) in enumerate(plan):
        wanted[key].append(number)
        world.lanes.put(key, Thing(key, number, absences, turns))
        if number % 3 == 0:
            await turn()
    for _ in range(len(plan) * 20 + 100):
        if world.done == wanted:
            break
        if world.away:
            back = world.away.pop(returns.randrange(len(world.away)))
            while not came_back(world, back):
                await turn()
        await turn()
    await world.lanes.wait()
    assert world.done == wanted
    assert world.most <= concurrency
    assert world.lanes.load == 0
    assert world.lanes.crash is None


def came_back(world: World, thing: Thing) -> bool:
    """Bring `thing` back, once its lane has noticed that it is away."""
    before = world.lanes.load
    world.lanes.came_back(thing.key)
    return world.lanes.load > before


async def test_a_thing_that_is_given_up_lets_those_behind_it_go_on() -> None:
    world = World(1)
    world.lanes.put("a", Thing("a", 1, 1, 0))
    world.lanes.put("a", Thing("a", 2, 0, 0))
    await world.lanes.wait()
    assert (world.done, world.lanes.load) == ({}, 0)
    world.lanes.give_up("a")
    await world.lanes.wait()
    assert world.done == {"a": [2]}


async def test_giving_up_or_bringing_back_what_is_not_away_changes_nothing() -> None:
    world = World(1)
    world.lanes.give_up("a")
    world.lanes.came_back("a")
    world.lanes.put("a", Thing("a", 1, 0, 0))
    await world.lanes.wait()
    world.lanes.give_up("a")
    assert world.done == {"a": [1]}


async def test_after_closing_what_runs_is_finished_and_the_rest_is_handed_back() -> None:
    world = World(1)
    for number in range(3):
        world.lanes.put("a", Thing("a", number, 0, 3))
    world.lanes.put("b", Thing("b", 9, 0, 0))
    await turn()
    left = world.lanes.close()
    await world.lanes.wait()
    assert world.done == {"a": [0]}
    assert sorted(thing.number for thing in left) == [1, 2, 9]


async def test_a_crash_of_the_work_itself_is_kept_for_whoever_looks() -> None:
    async def work(_: str) -> Outcome:
        raise ZeroDivisionError

    lanes = Lanes(work, concurrency=2)
    lanes.put("a", "x")
    await lanes.wait()
    await turn()
    assert isinstance(lanes.crash, ZeroDivisionError)


async def test_a_lane_at_work_lets_the_loop_breathe() -> None:
    """A thousand things that wait for nothing must not keep everybody else out."""
    world, turns = World(1), 0
    for number in range(1000):
        world.lanes.put("a", Thing("a", number, 0, 0))
    while world.lanes.load:
        turns += 1
        await turn()
    assert turns > 10


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_workers_end_when_there_is_nothing_to_do_and_begin_again(concurrency: int) -> None:
    world = World(concurrency)
    for number in range(5):
        world.lanes.put("a", Thing("a", number, 0, 1))
        await world.lanes.wait()
        assert not world.lanes.working
    assert world.done == {"a": [0, 1, 2, 3, 4]}
