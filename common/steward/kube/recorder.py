"""Kubernetes Events about objects, so that `kubectl describe` tells the story; never in the way of the work itself.

    recorder.record(reference_to(run), "Normal", "StepDone", "control plane runs edge-26.8.3")

`record` only remembers; `run` writes. What repeats is counted in one Event (`series`), an object that chatters is cut
short, and an API server that refuses costs an Event, not the step.
"""

import asyncio
import hashlib
import random
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import KubeError, NotFound
from steward.kube.micro_time import micro_time
from steward.kube.resources import EVENTS

_LOG = structlog.get_logger("steward.kube.recorder")
_WAITING = 1000
_REMEMBERED = 4096
_LONGEST_NOTE = 1000
_SAME_FOR = timedelta(minutes=10)
_BURST = 25.0
_REFILL = 1 / 30


@dataclass(frozen=True, slots=True)
class Reference:
    """Which object an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    def as_json(self) -> JsonObject:
        """As `regarding`."""
        members = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
        return {name: value for name, value in members.items() if value}


def reference_to(found: JsonObject) -> Reference:
    """To an object as the API server returned it."""
    return Reference(
        api_version=text(found, "apiVersion"),
        kind=text(found, "kind"),
        namespace=text(found, "metadata", "namespace"),
        name=text(found, "metadata", "name"),
        uid=text(found, "metadata", "uid"),
    )


@dataclass(frozen=True, slots=True)
class _Note:
    about: Reference
    type: str
    reason: str
    message: str
    at: datetime


@dataclass(slots=True)
class _Written:
    name: str
    namespace: str
    count: int
    last: datetime


@dataclass(slots=True)
class _Allowance:
    tokens: float
    at: datetime


class EventRecorder:
    """Records Events as `controller`, running as `instance`."""

    def __init__(self, kube: Kube, controller: str, instance: str) -> None:
        self.dropped = 0
        """How many were not written: too many at once, or refused."""
        self._kube = kube
        self._controller = controller
        self._instance = instance
        self._waiting: deque[_Note] = deque()
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._written: OrderedDict[tuple[Reference, str, str, str], _Written] = OrderedDict()
        self._allowances: OrderedDict[Reference, _Allowance] = OrderedDict()
        self._chance = random.Random()

    def record(self, about: Reference, kind: str, reason: str, message: str) -> None:
        """Remember one Event of type `Normal` or `Warning`; returns at once and never raises."""
        now = self._kube.clock.now()
        if len(self._waiting) >= _WAITING or not self._is_allowed(about, now):
            self.dropped += 1
            return
        self._waiting.append(_Note(about, kind, reason, message[:_LONGEST_NOTE], now))
        self._filled.set()
        self._idle.clear()

    async def run(self) -> None:
        """Write what was recorded until cancelled."""
        while True:
            while self._waiting:
                await self._write(self._waiting.popleft())
            self._idle.set()
            self._filled.clear()
            await self._filled.wait()

    async def flush(self, within: timedelta) -> None:
        """Wait until all is written, at most `within`; for the end of a process, while `run` still runs."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._idle.wait()
        except TimeoutError:
            _LOG.info("events left unwritten", count=len(self._waiting))

    def _is_allowed(self, about: Reference, now: datetime) -> bool:
        allowance = self._allowances.setdefault(about, _Allowance(_BURST, now))
        self._allowances.move_to_end(about)
        while len(self._allowances) > _REMEMBERED:
            self._allowances.popitem(last=False)
        passed = (now - allowance.at).total_seconds()
        allowance.tokens = min(_BURST, allowance.tokens + passed * _REFILL)
        allowance.at = now
        if allowance.tokens < 1:
            return False
        allowance.tokens -= 1
        return True

    async def _write(self, note: _Note) -> None:
        key = (note.about, note.type, note.reason, note.message)
        known = self._written.get(key)
        try:
            if known is None or note.at - known.last > _SAME_FOR or not await self._count(known, note):
                self._written[key] = await self._create(note)
        except KubeError as error:
            self.dropped += 1
            _LOG.info("event not written", about=note.about.name, reason=note.reason, error=str(error))
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    async def _count(self, known: _Written, note: _Note) -> bool:
        series: JsonObject = {"count": known.count + 1, "lastObservedTime": micro_time(note.at)}
        try:
            await self._kube.merge(EVENTS, known.name, {"series": series}, known.namespace)
        except NotFound:
            return False
        known.count += 1
        known.last = note.at
        return True

    async def _create(self, note: _Note) -> _Written:
        namespace = note.about.namespace or "default"
        unique = hashlib.sha256(f"{note.about.uid}{note.at.timestamp()}{self._chance.random()}".encode()).hexdigest()[
            :16
        ]
        name = f"{note.about.name[:200]}.{unique}"
        await self._kube.create(
            EVENTS,
            {
                "apiVersion": EVENTS.api_version,
                "kind": EVENTS.kind,
                "metadata": {"name": name, "namespace": namespace},
                "eventTime": micro_time(note.at),
                "reportingController": self._controller,
                "reportingInstance": self._instance[:128],
                "action": note.reason[:128],
                "reason": note.reason[:128],
                "regarding": note.about.as_json(),
                "note": note.message,
                "type": note.type,
            },
        )
        return _Written(name, namespace, 1, note.at)
