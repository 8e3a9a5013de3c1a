"""One leader at a time, whatever the network and the API server do."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.cancellation import ended
from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, text, whole
from steward.kube.client import Kube, KubeOptions
from steward.kube.lease import FENCING_TOKEN, Leadership, LeadershipLost, Lease, LeaseName
from steward.kube.resources import LEASES
from steward.kube.retries import RetryPolicy
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import BROKEN, Fault, Faults, Hang, Refuse, Reset
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import until

_TERM = timedelta(seconds=1)
_ONE_TRY = RetryPolicy(attempts=1)


def named(identity: str) -> LeaseName:
    return LeaseName("default", "upgrader", identity)


@asynccontextmanager
async def client(
    fake: FakeKubernetes, clock: ManualClock | None = None, agent: str = "linkerd-steward"
) -> AsyncIterator[Kube]:
    options = KubeOptions(retry=_ONE_TRY, user_agent=agent)
    async with await Kube.connect(kubeconfig=fake.kubeconfig(), clock=clock, options=options) as kube:
        yield kube


def stored(fake: FakeKubernetes) -> JsonObject:
    return fake.cluster.get(LEASES, "upgrader", "default")


@dataclass(slots=True)
class Floor:
    """Where leaders stand: it notices two at once, and tokens that do not grow."""

    standing: set[str] = field(default_factory=set)
    tokens: list[int] = field(default_factory=list)
    most: int = 0
    terms: int = 0

    async def stand(self, who: str, leadership: Leadership, until_told: asyncio.Event) -> None:
        self.standing.add(who)
        self.most = max(self.most, len(self.standing))
        self.tokens.append(leadership.token)
        self.terms += 1
        try:
            await until_told.wait()
        finally:
            self.standing.discard(who)


async def test_the_lease_is_written_as_kubernetes_writes_it(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    async with Lease(kube, named("a"), timedelta(seconds=15)).held() as leadership:
        lease = stored(fake_kubernetes)
        assert text(lease, "spec", "holderIdentity") == "a"
        assert whole(lease, "spec", "leaseDurationSeconds") == 15
        renewed = text(lease, "spec", "renewTime")
        assert renewed.endswith("Z")
        assert len(renewed) == len("2026-06-18T12:00:00.000000Z")
        assert text(lease, "metadata", "annotations", FENCING_TOKEN) == str(leadership.token)
    released = stored(fake_kubernetes)
    assert text(released, "spec", "holderIdentity") == ""


async def test_the_time_is_utc_wherever_the_machine_stands(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    async with client(fake_kubernetes, manual_clock) as kube, Lease(kube, named("a")).held():
        assert text(stored(fake_kubernetes), "spec", "renewTime") == "2026-06-18T12:00:00.000000Z"


async def test_a_released_lease_is_free_at_once_and_its_token_grows(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    tokens = []
    for identity in ("a", "b", "a"):
        async with Lease(kube, named(identity)).held() as leadership:
            tokens.append(leadership.token)
    assert tokens == sorted(set(tokens))
    assert whole(stored(fake_kubernetes), "spec", "leaseTransitions") == 2


async def test_a_token_grows_even_when_the_lease_was_deleted_in_between(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    async with client(fake_kubernetes, manual_clock) as kube:
        async with Lease(kube, named("a")).held() as first:
            pass
        fake_kubernetes.endpoints.undertaker.delete(LEASES, "upgrader", "default")
        await manual_clock.advance(timedelta(seconds=1))
        async with Lease(kube, named("b")).held() as second:
            pass
    assert second.token > first.token


async def test_a_candidate_waits_for_its_own_clock_not_for_the_times_in_the_lease(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    body: JsonObject = {
        "metadata": {"name": "upgrader", "namespace": "default"},
        "spec": {
            "holderIdentity": "crashed",
            "leaseDurationSeconds": 15,
            "renewTime": "2001-01-01T00:00:00.000000Z",
            "leaseTransitions": 4,
        },
    }
    fake_kubernetes.cluster.create(LEASES, body, "default")
    entered = asyncio.Event()

    async def wait(kube: Kube) -> None:
        async with Lease(kube, named("b"), timedelta(seconds=15)).held():
            entered.set()

    async with client(fake_kubernetes, manual_clock) as kube, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(wait(kube))
        await manual_clock.until_somebody_sleeps()
        for _ in range(4):
            await manual_clock.advance(timedelta(seconds=3.6))
            await manual_clock.until_somebody_sleeps()
        assert not entered.is_set(), "an old renewTime proves nothing: clocks differ"
        for _ in range(3):
            await manual_clock.advance(timedelta(seconds=3.6))
            if entered.is_set() or waiting.done():
                break
            await until(lambda: bool(manual_clock.sleepers) or entered.is_set())
        async with asyncio.timeout(10):
            await entered.wait()
    assert whole(stored(fake_kubernetes), "spec", "leaseTransitions") == 5


@pytest.mark.parametrize("fault", [Hang(), Reset(), BROKEN, Refuse(403, "Forbidden", "no more")])
async def test_a_leader_that_cannot_renew_stops_before_another_can_begin(
    fake_kubernetes: FakeKubernetes, fault: Fault
) -> None:
    await one_after_another(
        fake_kubernetes, lambda faults: faults.add(fault, method="PUT,POST", path="leases", agent="cut off", times=None)
    )


async def test_a_leader_that_hears_no_answers_any_more_stops_before_another_can_begin(
    fake_kubernetes: FakeKubernetes,
) -> None:
    def deafen(faults: Faults) -> None:
        # The renewal after the next read is carried out, and nobody tells.
        faults.add(Hang(), method="GET", path="leases", agent="cut off", times=None, skip=1)
        faults.add(Hang(after=True), method="PUT,POST", path="leases", agent="cut off", times=None)

    await one_after_another(fake_kubernetes, deafen)


async def one_after_another(fake_kubernetes: FakeKubernetes, strike: Callable[[Faults], object]) -> None:
    """A leader that is struck is over when the next one begins."""
    floor = Floor()
    clock = SystemClock()
    ended: list[float] = []
    begun: list[float] = []

    async def first(kube: Kube) -> None:
        lease = Lease(kube, named("a"), _TERM)
        with pytest.raises(LeadershipLost):
            await lease.lead(lambda leadership: floor.stand("a", leadership, asyncio.Event()))
        ended.append(clock.monotonic())

    async def second(kube: Kube) -> None:
        async with Lease(kube, named("b"), _TERM).held() as leadership:
            begun.append(clock.monotonic())
            floor.tokens.append(leadership.token)

    async with (
        asyncio.timeout(20),
        client(fake_kubernetes, agent="cut off") as ours,
        client(fake_kubernetes) as theirs,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(first(ours))
        await until(lambda: floor.standing == {"a"})
        strike(fake_kubernetes.faults)
        tasks.create_task(second(theirs))
    assert ended[0] <= begun[0]
    assert floor.tokens == sorted(set(floor.tokens))


async def test_work_that_is_slow_to_stop_is_waited_for(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    wound_up: list[str] = []

    async def work(_: Leadership) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await SystemClock().sleep(timedelta(milliseconds=50))
            wound_up.append("done")

    fake_kubernetes.faults.add(Hang(), method="PUT", path="leases", times=None)
    with pytest.raises(LeadershipLost, match="could not be renewed"):
        await Lease(kube, named("a"), _TERM).lead(work)
    assert wound_up == ["done"]


async def test_a_leader_whose_lease_somebody_took_stops(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    floor = Floor()

    async def work(leadership: Leadership) -> None:
        patch: JsonObject = {"spec": {"holderIdentity": "usurper"}}
        fake_kubernetes.cluster.patch(LEASES, "upgrader", Patch("merge", patch), "default")
        await floor.stand("a", leadership, asyncio.Event())

    with pytest.raises(LeadershipLost, match="belongs to 'usurper'"):
        await Lease(kube, named("a"), _TERM).lead(work)
    assert text(stored(fake_kubernetes), "spec", "holderIdentity") == "usurper", "not released by who does not hold it"


async def test_a_deleted_lease_ends_the_term(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    async def work(_: Leadership) -> None:
        fake_kubernetes.endpoints.undertaker.delete(LEASES, "upgrader", "default")
        await asyncio.Event().wait()

    with pytest.raises(LeadershipLost, match="was deleted"):
        await Lease(kube, named("a"), _TERM).lead(work)


async def test_the_works_own_error_comes_out_as_it_is_and_releases_the_lease(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    async def work(_: Leadership) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        await Lease(kube, named("a"), _TERM).lead(work)
    assert text(stored(fake_kubernetes), "spec", "holderIdentity") == ""


async def test_cancelling_the_leader_releases_the_lease(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    floor = Floor()
    lease = Lease(kube, named("a"), _TERM)
    leading = asyncio.create_task(lease.lead(lambda term: floor.stand("a", term, asyncio.Event())))
    await until(lambda: bool(floor.standing))
    assert lease.token == floor.tokens[0]
    leading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leading
    assert text(stored(fake_kubernetes), "spec", "holderIdentity") == ""
    assert lease.token == 0


async def test_a_restarted_process_takes_its_own_lease_back_at_once(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    async with client(fake_kubernetes, manual_clock) as kube:
        killed = Lease(kube, named("a"), timedelta(hours=1))
        async with killed.held() as before, Lease(kube, named("a"), timedelta(hours=1)).held() as after:
            assert after.token > before.token


async def test_a_renewal_whose_answer_was_lost_keeps_the_lease(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    told = asyncio.Event()
    floor = Floor()
    lost = fake_kubernetes.faults.add(Reset(after=True), method="PUT", path="leases", times=2)
    leading = asyncio.create_task(Lease(kube, named("a"), 2 * _TERM).lead(lambda term: floor.stand("a", term, told)))
    await until(lambda: lost.hits == 2)
    version = text(stored(fake_kubernetes), "metadata", "resourceVersion")
    await until(lambda: text(stored(fake_kubernetes), "metadata", "resourceVersion") != version)
    assert floor.standing == {"a"}
    told.set()
    await leading


async def test_renewals_that_can_be_read_keep_the_lease_though_none_is_ever_answered(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    told = asyncio.Event()
    floor = Floor()
    unanswered = fake_kubernetes.faults.add(Reset(after=True), method="PUT", path="leases", times=None)
    leading = asyncio.create_task(Lease(kube, named("a"), _TERM).lead(lambda term: floor.stand("a", term, told)))
    # A twentieth of the duration lies between two attempts: these are more than the whole of it.
    await until(lambda: unanswered.hits > 20)
    assert floor.standing == {"a"}
    fake_kubernetes.faults.clear()
    told.set()
    await leading
    assert floor.terms == 1


async def test_a_loss_that_a_group_of_tasks_told_is_no_reason_to_end(kube: Kube) -> None:
    terms: list[int] = []

    async def find_out() -> None:
        raise LeadershipLost("somebody wrote with a larger token")

    async def work(leadership: Leadership) -> None:
        terms.append(leadership.token)
        if len(terms) == 1:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await ended([tasks.create_task(find_out()), tasks.create_task(asyncio.Event().wait())])
            except* LeadershipLost as group:
                raise group.exceptions[0] from None

    async with asyncio.timeout(20):
        await Lease(kube, named("a"), _TERM).always_lead(work)
    assert len(terms) == 2


async def test_who_is_told_to_end_does_not_lead_again_when_the_lease_is_lost_meanwhile(
    fake_kubernetes: FakeKubernetes, manual_clock: ManualClock
) -> None:
    begun, wound_up = asyncio.Event(), asyncio.Event()

    async def work(_: Leadership) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await wound_up.wait()

    async with asyncio.timeout(10), client(fake_kubernetes, manual_clock) as kube:
        leading = asyncio.create_task(Lease(kube, named("a")).always_lead(work))
        await begun.wait()
        fake_kubernetes.faults.add(Refuse(403, "Forbidden", "no more"), method="PUT", path="leases", times=None)
        leading.cancel()
        await manual_clock.advance(timedelta(seconds=11))
        wound_up.set()
        await asyncio.wait([leading])
    assert leading.cancelled()


async def test_who_always_leads_comes_back_after_a_loss(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    terms: list[int] = []

    async def work(leadership: Leadership) -> None:
        terms.append(leadership.token)
        if len(terms) == 1:
            fake_kubernetes.faults.add(Hang(), method="PUT", path="leases", times=2)
            await asyncio.Event().wait()

    async with asyncio.timeout(20):
        await Lease(kube, named("a"), _TERM).always_lead(work)
    assert terms == sorted(set(terms))
    assert len(terms) == 2


_STRIKES = st.lists(
    st.tuples(
        st.sampled_from(["hang", "reset", "lost answer", "broken", "conflict", "none"]),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=3, deadline=None)
@given(_STRIKES, st.integers(0, 1_000_000))
async def test_contenders_never_lead_together(strikes: list[tuple[str, int]], seed: int) -> None:
    chance = random.Random(seed)
    floor = Floor()
    stop = asyncio.Event()

    async def stand(leadership: Leadership, identity: str) -> None:
        enough = asyncio.Event()
        asyncio.get_running_loop().call_later(chance.uniform(0.05, 0.6), enough.set)
        await floor.stand(identity, leadership, enough)

    async def contend(kube: Kube, identity: str) -> None:
        while not stop.is_set():
            with suppress(LeadershipLost):
                await Lease(kube, named(identity), _TERM).lead(lambda term: stand(term, identity))

    async with asyncio.timeout(60), FakeKubernetes() as fake, AsyncExitStack() as clients:
        kubes = [await clients.enter_async_context(client(fake)) for _ in range(3)]
        async with asyncio.TaskGroup() as tasks:
            for number, kube in enumerate(kubes):
                tasks.create_task(contend(kube, f"contender-{number}"))
            for kind, times in strikes:
                floor.terms = 0
                _strike(fake, kind, times)
                await until(lambda: floor.terms > 0)
            fake.faults.clear()
            stop.set()
    assert floor.most == 1
    assert floor.tokens == sorted(set(floor.tokens))


def _strike(fake: FakeKubernetes, kind: str, times: int) -> None:
    faults: dict[str, Fault] = {
        "hang": Hang(),
        "reset": Reset(),
        "lost answer": Reset(after=True),
        "broken": BROKEN,
        "conflict": Refuse(409, "Conflict", "the object has been modified"),
    }
    if kind in faults:
        fake.faults.add(faults[kind], path="leases", times=times)
