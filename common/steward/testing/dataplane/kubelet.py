"""The simulated kubelet: gives pods addresses, starts their proxies and containers, says when they are ready."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import PODS
from steward.testing.dataplane import network_faults as broken
from steward.testing.dataplane.addresses import Addresses
from steward.testing.dataplane.containers import Images
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.settings import settings_of
from steward.testing.dataplane.control.world import labels_of, name_of, namespace_of, proxy_of
from steward.testing.dataplane.network import Member
from steward.testing.dataplane.pod_proxy import PodProxy, Surroundings
from steward.testing.dataplane.readiness import is_alive, wanted_of
from steward.testing.kubernetes.store import Change, copied
from steward.testing.linkerd.objects import COMPONENT
from steward.testing.linkerd.proxy import INIT, VALIDATOR
from steward.testing.linkerd.simulation.pods import Pods

_ATTENTION = timedelta(milliseconds=20)
_GLANCE = timedelta(milliseconds=2)
_HOPELESS = 10
_FAREWELL = 5
_REDIRECTING = ((INIT, 1, broken.INIT_FAILING), (VALIDATOR, 95, broken.CNI_PLUGIN_MISSING))
"""The init containers that redirect a pod, or see whether it is; with which code they end when it is not."""


@dataclass(slots=True)
class Running:
    """A pod that has been started and not ended yet."""

    pod: JsonObject
    address: str
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    proxy: PodProxy | None = None
    task: asyncio.Task[None] | None = None
    rests: bool = False
    """Whether nothing is expected to happen to it: it is ready, or cannot be at present."""

    @property
    def is_waited_for(self) -> bool:
        """Whether it may still become ready by itself."""
        refused = self.proxy is not None and self.proxy.leaf.refused
        return not (self.rests or refused or self.ending.is_set())


class Kubelet:
    """Runs every pod of the mesh as a task; `failures` are pods whose containers did not start."""

    def __init__(self, pods: Pods, images: Images, addresses: Addresses, around: Surroundings) -> None:
        self.running: dict[str, Running] = {}
        """By uid."""
        self._pods = pods
        self._images = images
        self._addresses = addresses
        self._around = around

    def start(self) -> None:
        """Take over what the mesh's own simulation of pods does; pods that run already are started now."""
        self._pods.kubelet = self
        table = self._pods.cluster.store.table(("", "pods"))
        table.listeners.append(self._changed)
        for pod in self._pods.cluster.list(PODS):
            if text(pod, "status", "phase") == "Running":
                self.run(pod)

    async def stop(self) -> None:
        """End every pod."""
        self._pods.kubelet = None
        self._pods.cluster.store.table(("", "pods")).listeners.remove(self._changed)
        tasks = [one.task for one in self.running.values() if one.task is not None]
        for one in self.running.values():
            one.ending.set()
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for problem in found:
            if isinstance(problem, Exception):
                raise problem

    async def settled(self) -> None:
        """Return when every pod is ready, or cannot be at present; raises what broke a pod."""
        while any(one.is_waited_for for one in self.running.values()):
            await self._around.clock.sleep(_GLANCE)
            for one in self.running.values():
                if one.task is not None and one.task.done():
                    one.task.result()

    def run(self, pod: JsonObject) -> None:
        """Start the pod."""
        running = Running(pod, self._addresses.pod())
        self.running[text(pod, "metadata", "uid")] = running
        running.task = asyncio.create_task(self._life(running), name=f"pod {name_of(pod)}")

    def _changed(self, change: Change) -> None:
        now = change.after if change.after is not None else change.before
        running = self.running.get(text(now or {}, "metadata", "uid"))
        if running is not None and (change.after is None or text(now or {}, "metadata", "deletionTimestamp")):
            running.ending.set()

    async def _life(self, running: Running) -> None:
        pod = copied(running.pod)
        self._pods.show(pod, running.address, pending=True)
        pod = self._current(pod)
        member = Member(pod, settings_of(self._around.control.world, pod))
        try:
            async with AsyncExitStack() as stack:
                if not await self._redirected(running, pod):
                    return
                if proxy_of(pod) is not None and not await self._with_proxy(running, pod, stack):
                    return
                if running.proxy is not None:
                    member = running.proxy.member
                await self._around.network.join(member)
                stack.push_async_callback(self._around.network.leave, running.address)
                await self._contained(running, pod)
        finally:
            if running.ending.is_set():
                self.running.pop(text(running.pod, "metadata", "uid"), None)

    async def _redirected(self, running: Running, pod: JsonObject) -> bool:
        """Whether the pod's traffic was redirected before the pod ended: it goes no further without that."""
        faults, place = self._around.faults, _place(pod)
        for container, code, fault in _REDIRECTING:
            if not any(text(one, "name") == container for one in rows(pod, "spec", "initContainers")):
                continue
            if faults.on(fault, place):
                self._pods.stuck(self._current(pod), running.address, container, code=code)
                running.rests = True
            while faults.on(fault, place):
                if not await self._unless_ended(running, self._around.control.next_refresh()):
                    return False
        running.rests = False
        return True

    async def _with_proxy(self, running: Running, pod: JsonObject, stack: AsyncExitStack) -> bool:
        """Whether the proxy got ready before the pod ended: it needs identity and the controllers for that."""
        running.proxy = proxy = PodProxy(pod, self._around)
        stack.push_async_callback(proxy.stop)
        return await self._unless_ended(running, self._proxy_ready(running, proxy, own=COMPONENT in labels_of(pod)))

    async def _proxy_ready(self, running: Running, proxy: PodProxy, *, own: bool) -> None:
        await proxy.start()
        while not own and not self._around.control.destination_is_up(proxy.settings):
            running.rests = True
            await self._around.control.next_refresh()
        running.rests = False

    async def _contained(self, running: Running, pod: JsonObject) -> None:
        run = self._images.of(pod)
        done: object = None
        async with AsyncExitStack() as inner:
            if run is not None:
                self._pods.show(pod, running.address, unready="*")
                inside = Addresses.inside(running.address)
                done = await inner.enter_async_context(run(pod, inside, running.address))
            slow = self._around.faults.delay(broken.SLOW_START, _place(pod))
            await self._unless_ended(running, self._around.clock.sleep(slow))
            await self._watched(running, pod, done)
            # As with a preStop hook: whoever still has the endpoint has a moment to hear that it is gone.
            await self._around.control.settled()
            await self._around.clock.sleep(self._around.timings.propagation * _FAREWELL)
            if running.proxy is not None:
                await running.proxy.drain()

    async def _watched(self, running: Running, pod: JsonObject, done: object) -> None:
        """Say whether it is ready until it ends."""
        wanted, ready, failures = wanted_of(pod), False, 0
        finishing = asyncio.ensure_future(done) if isinstance(done, Awaitable) else None
        while not running.ending.is_set():
            alive = wanted is None or await is_alive(running.address, wanted)
            if running.ending.is_set():
                return
            if alive is not ready:
                ready = alive
                self._pods.show(self._current(pod), running.address, unready="" if alive else "*")
            failures = 0 if alive else failures + 1
            running.rests = alive or failures >= _HOPELESS
            pause = None if wanted is None else wanted.period if ready else _ATTENTION
            if await self._pause(running, pause, finishing):
                self._pods.finished(self._current(pod), well=_went_well(finishing))
                running.rests = True
                await running.ending.wait()

    async def _pause(
        self, running: Running, length: timedelta | None, finishing: "asyncio.Future[object] | None"
    ) -> bool:
        """Wait until the pod ends, or for a while; whether its container has ended by itself."""
        waits: set[asyncio.Future[object]] = {asyncio.ensure_future(_as_object(running.ending.wait()))}
        if finishing is not None:
            waits.add(finishing)
        if length is not None:
            waits.add(asyncio.ensure_future(_as_object(self._around.clock.sleep(length))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits - {finishing}:
                one.cancel()
        return finishing is not None and finishing.done()

    async def _unless_ended(self, running: Running, doing: Awaitable[None]) -> bool:
        """Do it, unless the pod ends before."""
        work = asyncio.ensure_future(doing)
        ended = asyncio.ensure_future(running.ending.wait())
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        if work.cancelled():
            return False
        work.result()
        return True

    def _current(self, pod: JsonObject) -> JsonObject:
        return self._pods.cluster.find(PODS, name_of(pod), namespace_of(pod)) or pod


def _place(pod: JsonObject) -> Client:
    return Client(name_of(pod), namespace_of(pod), text(pod, "spec", "nodeName"))


def _went_well(finished: "asyncio.Future[object] | None") -> bool:
    return finished is not None and not finished.cancelled() and finished.exception() is None


async def _as_object(doing: Awaitable[object]) -> object:
    return await doing
