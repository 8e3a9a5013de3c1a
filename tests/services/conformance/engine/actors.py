"""Agents as a test has them: what a call comes to is said by a small mesh of thirty lines, which can be broken."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from services.conformance.core.orders import (
    Call,
    Doing,
    Echo,
    Fetch,
    Fetched,
    Held,
    Hold,
    Release,
    Replies,
    Reply,
    Report,
    Seen,
)
from services.conformance.core.ports import Unable
from steward.clock import Clock, SystemClock
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import PODS
from steward.testing.kubernetes.server import FakeKubernetes


@dataclass
class TinyMesh:
    """Meshed pods show an identity, unmeshed ones do not; whoever is told so gets a 503."""

    kubernetes: FakeKubernetes
    clock: Clock = field(default_factory=SystemClock)
    broken: set[str] = field(default_factory=set)
    """Paths that fail."""
    fails: Callable[[str], bool] = lambda _: False
    """Paths that fail just now."""
    silent: bool = False
    """No agent takes orders."""
    calls: Counter[str] = field(default_factory=Counter)
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def do(self, run: str, pod: str, doing: Doing, *, deadline: timedelta, order: str = "") -> Report:
        """As the agent of a pod would."""
        del run, deadline
        if self.silent:
            raise Unable("NoAgent", f"no agent in pod {pod!r}")
        begun = self.clock.now()
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.gate.wait()
            await self.clock.sleep(timedelta())
            seen = self._seen(pod, doing)
        finally:
            self.at_once -= 1
        return Report(order=order, agent=pod, pod=pod, started_at=begun, ended_at=self.clock.now(), seen=seen)

    async def stop(self, run: str, pod: str, order: str) -> None:
        """Everything ends by itself at once."""
        del run, pod, order

    async def until_present(self, run: str, pods: frozenset[str], *, within_time: timedelta) -> frozenset[str]:
        """All are there, or none."""
        del run, within_time
        return pods if self.silent else frozenset()

    def _seen(self, pod: str, doing: Doing) -> Seen:
        match doing:
            case Call():
                return Replies(replies=tuple(self._reply(pod, doing) for _ in range(doing.times)))
            case Fetch():
                return Fetched(status=200, body="# TYPE up gauge\nup 1\n")
            case Hold():
                self.held[pod, doing.name] = self.held.get((pod, doing.name), 0) + 1
                return Held(name=doing.name, open=True, opened_at=self.clock.now(), pod=pod)
            case Release():
                was_open = bool(self.held.pop((pod, doing.name), 0))
                return Held(name=doing.name, open=was_open, uses=3 if was_open else 0, pod=pod)
            case _:
                raise Unable("NotHere", f"nobody here can {doing.do}")

    def _reply(self, pod: str, call: Call) -> Reply:
        path = call.path.partition("?")[0]
        self.calls[path] += 1
        if path in self.broken or self.fails(path):
            return Reply(at=self.clock.now(), status=503)
        meshed = any("linkerd-proxy" in str(each.get("spec")) for each in self._pods(pod))
        headers = (("l5d-client-id", f"{pod.split('-')[0]}.identity"),) if meshed else ()
        servers = [each for each in self._pods("") if text(each, "metadata", "labels", "app") == "sm"]
        server = servers[self.calls[path] % len(servers)] if servers else {}
        echo = Echo(pod=text(server, "metadata", "name"), node=text(server, "spec", "nodeName"), headers=headers)
        return Reply(at=self.clock.now(), status=200, echo=echo, received_bytes=1)

    def _pods(self, name: str) -> list[JsonObject]:
        found = self.kubernetes.cluster.list(PODS)
        return [each for each in found if not name or text(each, "metadata", "name") == name]
