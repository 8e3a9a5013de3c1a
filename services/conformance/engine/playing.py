"""One attempt: its steps, carried out one after the other, and whatever they applied taken away again."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar, assert_never
from uuid import uuid4

from services.conformance.core import steps as do
from services.conformance.core.evidence import Accepted, Effect, Evidence, Failure, Found, Heard, Scraped, Turned
from services.conformance.core.orders import Call, Doing, Fetch, Refused, Release, Replies, Reply, Report, Target
from services.conformance.core.pages import NotAPage, Page, page_of
from services.conformance.core.ports import Edges, Unable
from services.conformance.core.schedule import Share, requests_of
from services.conformance.core.stage import Place, Stage
from services.conformance.engine.evicting import evicted
from services.conformance.engine.listening import listening
from services.conformance.engine.logs import RECENT, logged
from services.conformance.engine.scraping import pods_of, scraped
from steward.clock import Clock
from steward.errors import StewardError
from steward.jsonvalue import JsonObject, text, texts
from steward.kube.resources import DEPLOYMENTS, PODS

T = TypeVar("T")

ADMIN_PORT = 4191
_SLACK = timedelta(seconds=5)
_ORDER_START = timedelta(seconds=5)
_LOOK = timedelta(milliseconds=500)
_REMEMBERED = 20
_CLEANUP = timedelta(seconds=20)
_GONE = timedelta(seconds=60)
_AGENT = timedelta(seconds=10)


@dataclass(slots=True)
class Play:
    """The stage of one attempt, and what has happened on it so far. Leaving the context cleans up, cancelled or not."""

    edges: Edges
    clock: Clock
    stage: Stage
    probe: str
    agents_of: str
    """What agents of this run are addressed by."""
    share: Share = field(default_factory=Share)
    found: dict[str, Found] = field(default_factory=dict)
    word: str = field(default_factory=lambda: uuid4().hex)
    """What the calls of this attempt have in common, and those of no other: `orders.EACH_ATTEMPT`."""
    _landed: list[tuple[JsonObject, bool]] = field(default_factory=list)
    _leaving: list[do.Looked] = field(default_factory=list)
    """Pods that end because what made them was removed."""

    async def __aenter__(self) -> "Play":
        return self

    async def __aexit__(self, *exc: object) -> None:
        # Shielded, for an object that stays behind is found in everybody's evidence: a cancellation waits for it.
        cleaning = asyncio.create_task(self._clean_up())
        try:
            await asyncio.shield(cleaning)
        except asyncio.CancelledError:
            await asyncio.wait([cleaning], timeout=_CLEANUP.total_seconds())
            raise
        finally:
            self.share.close()

    @property
    def evidence(self) -> Evidence:
        """What was found so far."""
        return Evidence(dict(self.found))

    @property
    def manager(self) -> str:
        """Who owns the fields that the probe applies."""
        return f"linkerd-steward-probe/{self.probe}"

    async def run(self, steps: Sequence[do.Step]) -> None:
        """Carry out steps. One that cannot be done leaves a failure in the evidence, and the next one goes on."""
        for step in steps:
            await self._one(step)

    async def apply(self, name: str, objects: Sequence[JsonObject]) -> None:
        """Apply objects of the probe; found under a name."""
        await self._one(do.Applied(name, tuple(objects)))

    async def emptied(self) -> None:
        """Until the pods that the probe brought are gone, for whoever comes next may bring as many. Not for ever."""
        deadline = self.clock.monotonic() + _GONE.total_seconds()
        for pods in self._leaving:
            while self.clock.monotonic() < deadline and await self._exist(pods):
                await self.clock.sleep(_LOOK)

    async def _exist(self, pods: do.Looked) -> bool:
        try:
            return bool(await self.edges.cluster.look(pods))
        except StewardError:
            return True

    async def _one(self, step: do.Step) -> None:
        try:
            self.found[step.name] = await self._do(step)
        except Unable as error:
            self.found[step.name] = Found(failure=Failure(error.reason, str(error)))
        except StewardError as error:
            self.found[step.name] = Found(failure=Failure(type(error).__name__, str(error)))

    async def _do(self, step: do.Step) -> Found:
        match step:
            case do.Calls():
                return Found(reports=await self._calls(step.actor, step.call))
            case do.Asked():
                return Found(reports=await self._all(await self._pods(step.actor), step.doing))
            case do.Released():
                return Found(reports=await self._all(await self._pods(step.actor), Release(name=step.held)))
            case do.Until():
                return Found(effect=await self._until(step))
            case do.Pages():
                return Found(pages=await self._pages(step))
            case do.Scrapes():
                return Found(scraped=await self._scrapes(step))
            case do.During() | do.Unless() | do.Wait() | do.Tapped():
                return await self._ordered(step)
            case _:
                return await self._with_cluster(step)

    async def _ordered(self, step: do.During | do.Unless | do.Wait | do.Tapped) -> Found:
        match step:
            case do.During():
                return await self._during(step)
            case do.Unless():
                if not self.evidence.effect(step.awaited.name).met:
                    await self.run(step.steps)
                return Found()
            case do.Tapped():
                return Found(heard=await self._tapped(step))
            case do.Wait():
                await self.clock.sleep(step.duration)
                return Found()
            case _:
                assert_never(step)

    async def _with_cluster(self, step: do.Step) -> Found:
        match step:
            case do.Applied() | do.Stated() | do.Removed() | do.Tried():
                return await self._with_objects(step)
            case do.Evicted():
                return Found(drained=await evicted(step, self.stage, self.edges.cluster, self.clock))
            case do.Looked() | do.LookedUntil() | do.Logged() | do.Ready():
                return await self._read(step)
            case _:
                return await self._with_control_plane(step)

    async def _read(self, step: do.Looked | do.LookedUntil | do.Logged | do.Ready) -> Found:
        match step:
            case do.Looked():
                return Found(objects=await self.edges.cluster.look(step))
            case do.LookedUntil():
                return Found(effect=await self._looked_until(step))
            case do.Logged():
                return Found(logs=await self._logged(step))
            case do.Ready():
                return Found(effect=await self._ready(step))
            case _:
                assert_never(step)

    async def _with_objects(self, step: do.Applied | do.Stated | do.Removed | do.Tried) -> Found:
        match step:
            case do.Applied():
                return Found(accepted=await self._applied(step.objects))
            case do.Stated():
                return Found(accepted=await self._stated(step.object))
            case do.Removed():
                for thing in step.objects:
                    await self._remove(thing)
                return Found()
            case do.Tried():
                return Found(trial=await self.edges.cluster.attempt(step.object))
            case _:
                assert_never(step)

    async def _with_control_plane(self, step: do.Step) -> Found:
        controllers = self.edges.control_plane
        match step:
            case do.Destinations():
                return Found(told=await controllers.destinations(step.authority))
            case do.Profile():
                return Found(told=await controllers.profile(step.address))
            case do.OutboundPolicy():
                return Found(told=await controllers.outbound_policy(step.namespace, step.authority))
            case do.InboundPolicy():
                pod = (await self._pods(step.actor))[0]
                return Found(told=await controllers.inbound_policy(pod.namespace, pod.pod, step.port))
            case _:
                raise TypeError(f"{type(step).__name__} is no step")

    async def _pods(self, actor: str) -> tuple[Place, ...]:
        """Pods by the name of an actor, or of one pod of it (`sm-0`); those that a probe brought are looked for."""
        if actor in self.stage.places:
            return self.stage.places[actor]
        name, _, number = actor.rpartition("-")
        known = self.stage.places.get(name, ())
        if number.isdigit() and int(number) < len(known):
            return (known[int(number)],)
        places = await self.edges.cluster.places((self.stage.meshed, self.stage.plain))
        self.stage = replace(self.stage, places={**self.stage.places, **places})
        if not places.get(actor):
            raise Unable("NoActor", f"there is no pod of {actor!r} in this run")
        return places[actor]

    async def _calls(self, actor: str, call: Call) -> tuple[Report, ...]:
        return await self._all(await self._pods(actor), call)

    async def _all(self, pods: Sequence[Place], doing: Doing) -> tuple[Report, ...]:
        self.share.use(requests_of(doing) * len(pods))
        return tuple(await _gathered([self._order(pod.pod, doing) for pod in pods]))

    async def _order(self, pod: str, doing: Doing, order: str = "") -> Report:
        if isinstance(doing, Call):
            doing = doing.of_attempt(self.word)
        report = await self.edges.agents.do(
            self.agents_of, pod, doing, deadline=time_for(doing) + _SLACK, order=order or uuid4().hex
        )
        if isinstance(report.seen, Refused):
            raise Unable(report.seen.reason or "Refused", f"{pod}: {report.seen.message}")
        return report

    async def _until(self, step: do.Until) -> Effect:
        """The effect is the first of the replies in a row that meet the wish; the time is counted from the step."""
        begun, streak, first = self.clock.monotonic(), 0, 0.0
        seen: list[Reply] = []
        call = step.call.model_copy(update={"times": 1})
        while True:
            asked_at = self.clock.monotonic()
            reports = await self._calls(step.actor, call)
            replies = [reply for report in reports if isinstance(report.seen, Replies) for reply in report.seen.replies]
            seen = [*seen, *replies][-_REMEMBERED:]
            if replies and all(step.meets(reply) for reply in replies):
                first, streak = first if streak else asked_at, streak + 1
                if streak >= step.consecutive:
                    return Effect(met=True, wish=step.wish, seconds=first - begun, replies=tuple(seen))
            else:
                streak = 0
            spent = self.clock.monotonic() - begun
            if spent >= step.bound.total_seconds() and not streak:
                return Effect(met=False, wish=step.wish, seconds=spent, replies=tuple(seen))
            await self.clock.sleep(step.every)

    async def _pages(self, step: do.Pages) -> Mapping[str, Page]:
        by = (await self._pods(step.by))[0]
        targets = await self._scraped(step)
        self.share.use(len(targets))
        if step.labels:
            return await self._readable(by.pod, targets)
        pages = await _gathered([self._page(by.pod, name, ip) for name, ip in targets.items()])
        return dict(zip(targets, pages, strict=True))

    async def _scrapes(self, step: do.Scrapes) -> dict[str, Scraped]:
        by = (await self._pods(step.by))[0]
        pods = await self.edges.cluster.look(pods_of(step))
        found = await scraped(step, pods, lambda fetch: self._order(by.pod, fetch))
        self.share.use(sum(1 for each in found.values() if each.found))
        return found

    async def _readable(self, by: str, targets: Mapping[str, str]) -> dict[str, Page]:
        """The pages of whoever shows one: among everybody's pods some are closed to us, and others are not."""

        async def read(name: str, ip: str) -> Page | Unable:
            try:
                return await self._page(by, name, ip)
            except Unable as refusal:
                return refusal

        found = dict(zip(targets, await _gathered([read(*target) for target in targets.items()]), strict=True))
        pages = {name: page for name, page in found.items() if isinstance(page, Page)}
        if found and not pages:
            raise next(refusal for refusal in found.values() if isinstance(refusal, Unable))
        return pages

    async def _scraped(self, step: do.Pages) -> dict[str, str]:
        if not step.labels:
            return {place.pod: place.ip for place in await self._pods(step.of)}
        found = await self.edges.cluster.look(do.Looked(step.name, PODS, step.namespace, labels=step.labels))
        return {
            f"{text(pod, 'metadata', 'namespace')}/{text(pod, 'metadata', 'name')}": ip
            for pod in found
            if (ip := text(pod, "status", "podIP")) and not text(pod, "metadata", "deletionTimestamp")
        }

    async def _page(self, by: str, pod: str, ip: str) -> Page:
        report = await self._order(by, Fetch(target=Target(host=ip, port=ADMIN_PORT)))
        seen = report.seen
        if seen.saw != "Fetched" or seen.status is None:
            raise Unable("NoPage", f"the proxy of {pod} gave no metrics: {getattr(seen, 'message', '') or 'no answer'}")
        if seen.status != 200:
            raise Unable("NoPage", f"the proxy of {pod} answered {seen.status} to a request for its metrics")
        try:
            # Of a busy proxy it is long, and a lease is to be renewed meanwhile.
            return await asyncio.to_thread(page_of, seen.body)
        except NotAPage as error:
            raise Unable("NoPage", f"the proxy of {pod}: {error}") from error

    async def _during(self, step: do.During) -> Found:
        """Calls go on while steps are carried out; agents are told to stop, and tell of the calls that were made."""
        pods = await self._pods(step.load.actor)
        self.share.use(requests_of(step.load.call) * len(pods))
        orders = {pod.pod: uuid4().hex for pod in pods}
        async with asyncio.TaskGroup() as tasks:
            load = [tasks.create_task(self._outcome(pod, step.load.call, order)) for pod, order in orders.items()]
            await self.run(step.steps)
            for pod, order in orders.items():
                await self._stop(pod, order)
        reports = [task.result() for task in load]
        told = tuple(each for each in reports if isinstance(each, Report))
        if not told:
            raise Unable("NoReport", "; ".join(str(each) for each in reports))
        made = sum(len(each.seen.replies) for each in told if isinstance(each.seen, Replies))
        self.share.use(min(0, made - requests_of(step.load.call) * len(told)))
        found = Found(reports=told)
        self.found[step.load.name] = found
        return found

    async def _tapped(self, step: do.Tapped) -> Heard:
        """Steps are carried out once tap is known to listen."""
        begun = self.clock.monotonic()
        told = self.edges.cluster.tap(self.stage.meshed, step.deployment, step.path)
        async with listening(told, self.clock) as heard:
            while not heard.anything and self.clock.monotonic() - begun < step.bound.total_seconds():
                await self._calls(step.actor, step.lead)
                await heard.something_within(step.every)
            if heard.events:
                await self.run(step.steps)
                await heard.ended(step.ends, step.patience, step.quiet)
            return heard.told(begun)

    async def _outcome(self, pod: str, call: Call, order: str) -> Report | StewardError:
        try:
            return await self._order(pod, call, order)
        except StewardError as error:
            return error

    async def _stop(self, pod: str, order: str) -> None:
        try:
            await self.edges.agents.stop(self.agents_of, pod, order)
        except StewardError:
            # The load then runs to its own end, which costs time and no evidence.
            return

    async def _applied(self, objects: Sequence[JsonObject]) -> Accepted:
        taken: list[JsonObject] = []
        for thing in objects:
            self._must_be_ours(thing)
            landed = await self.edges.cluster.apply(thing, self.manager)
            if isinstance(landed, Turned):
                raise Unable(
                    "NotAccepted", f"{text(thing, 'kind')} {text(thing, 'metadata', 'name')}: {landed.message}"
                )
            if not any(each == thing for each, _ in self._landed):
                self._landed.append((thing, landed.existed))
            taken.append(landed.object)
        return Accepted(self.clock.now(), tuple(taken))

    async def _stated(self, thing: JsonObject) -> Accepted:
        self._must_be_ours(thing)
        landed = await self.edges.cluster.state(thing, self.manager)
        if isinstance(landed, Turned):
            raise Unable(
                "NotAccepted", f"status of {text(thing, 'kind')} {text(thing, 'metadata', 'name')}: {landed.message}"
            )
        return Accepted(self.clock.now(), (landed,))

    def _must_be_ours(self, thing: JsonObject) -> None:
        name = f"{text(thing, 'kind')} {text(thing, 'metadata', 'name')!r}"
        self._must_be_within(text(thing, "metadata", "namespace"), name)

    def _must_be_within(self, namespace: str, name: str) -> None:
        if namespace not in (self.stage.meshed, self.stage.plain):
            raise Unable("OutOfBounds", f"{name} is not in a namespace of the run: nothing else is ever touched")

    async def _remove(self, thing: JsonObject) -> None:
        self._must_be_ours(thing)
        existed = any(known and _same(each, thing) for each, known in self._landed)
        await self._take_away(thing, existed=existed)
        self._landed[:] = [(each, known) for each, known in self._landed if not _same(each, thing)]

    async def _looked_until(self, step: do.LookedUntil) -> Effect:
        begun = self.clock.monotonic()
        while True:
            objects = await self.edges.cluster.look(step.look)
            spent = self.clock.monotonic() - begun
            met = step.meets(objects)
            if met or spent >= step.bound.total_seconds():
                return Effect(met=met, wish=step.wish, seconds=spent, objects=objects)
            await self.clock.sleep(_LOOK)

    async def _logged(self, step: do.Logged) -> dict[str, tuple[str, ...]]:
        async def read(pod: Place) -> str:
            self._must_be_within(pod.namespace, f"the log of pod {pod.pod!r}")
            return await self.edges.cluster.log(pod.namespace, pod.pod, step.container, RECENT)

        return await logged(step, await self._pods(step.actor), read, self.clock)

    async def _ready(self, step: do.Ready) -> Effect:
        begun = self.clock.monotonic()
        wish = f"{step.pods} ready pods of {step.actor}"
        while True:
            places = await self.edges.cluster.places((step.namespace,))
            ready = [place for place in places.get(step.actor, ()) if place.ready]
            spent = self.clock.monotonic() - begun
            if len(ready) >= step.pods and await self._take_orders(step, ready, spent):
                self.stage = replace(self.stage, places={**self.stage.places, step.actor: places[step.actor]})
                # A pod may be ready a moment before its agent takes orders.
                pods = frozenset(place.pod for place in ready)
                await self.edges.agents.until_present(self.agents_of, pods, within_time=_AGENT)
                return Effect(met=True, wish=wish, seconds=spent)
            if spent >= step.bound.total_seconds():
                return Effect(met=False, wish=wish, seconds=spent)
            await self.clock.sleep(_LOOK)

    async def _take_orders(self, step: do.Ready, pods: Sequence[Place], spent: float) -> bool:
        if not step.orders:
            return True
        left = step.bound - timedelta(seconds=spent)
        names = frozenset(place.pod for place in pods)
        return not await self.edges.agents.until_present(self.agents_of, names, within_time=max(left, _LOOK))

    async def _clean_up(self) -> None:
        """The other way round; what cannot be removed now is found by its label when the run goes on."""
        for thing, existed in reversed(self._landed):
            try:
                await self._take_away(thing, existed=existed)
            except StewardError:
                continue
        self._landed.clear()

    async def _take_away(self, thing: JsonObject, *, existed: bool) -> None:
        """Of what was there before, only the fields that the probe applied."""
        if existed:
            await self.edges.cluster.release(thing, self.manager)
            return
        await self.edges.cluster.remove(thing)
        self._leaving += _pods_of(thing)


def time_for(doing: Doing) -> timedelta:
    """How long an order may take, agents' own time-outs included."""
    if not isinstance(doing, Call):
        patience = getattr(doing, "timeout_seconds", 10.0)
        return _ORDER_START + timedelta(seconds=float(patience))
    if doing.per_second:
        return _ORDER_START + timedelta(seconds=doing.times / doing.per_second + doing.timeout_seconds)
    # Of many calls few run into their time-out, or the mesh is broken in a way that a few of them show as well.
    slow = min(doing.times / doing.concurrency, 6)
    return _ORDER_START + timedelta(seconds=doing.timeout_seconds * slow + doing.times / 50)


def _pods_of(thing: JsonObject) -> list[do.Looked]:
    """Where the pods of a workload are found, or the pod itself; nothing else brings pods."""
    namespace, name = text(thing, "metadata", "namespace"), text(thing, "metadata", "name")
    if text(thing, "kind") == PODS.kind:
        return [do.Looked(name, PODS, namespace, names=(name,))]
    labels = texts(thing, "spec", "selector", "matchLabels") if text(thing, "kind") == DEPLOYMENTS.kind else {}
    chosen = ",".join(f"{label}={value}" for label, value in labels.items())
    return [do.Looked(name, PODS, namespace, labels=chosen)] if chosen else []


def _same(one: JsonObject, other: JsonObject) -> bool:
    return all(
        text(one, *path) == text(other, *path)
        for path in (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
    )


async def _gathered(waiting: Sequence[Awaitable[T]]) -> list[T]:
    """All of them at once; the first error is raised once all have ended."""
    results = await asyncio.gather(*waiting, return_exceptions=True)
    found: list[T] = []
    for each in results:
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found
