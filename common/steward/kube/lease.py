"""Leadership through a `coordination.k8s.io` Lease: one at a time, provably over before the next one begins.

    lease = Lease(kube, LeaseName("linkerd-steward", "upgrader", identity=pod_name))
    async with lease.held() as leadership:          # waits for its turn
        await upgrade(fencing=leadership.token)     # cancelled, and awaited, before the lease can pass to another

The rules that make it safe: every write carries the resource version that was read; a candidate trusts only its own
monotonic clock, and takes over after it saw *no change* for the whole duration; a leader counts from before it *sent*
its last successful renewal, stops its work at two thirds of the duration whatever the network does, and releases on
exit. `identity` must be unique among running processes (a pod's name is): a restarted process takes its own lease back
at once.

The fencing token grows with every acquisition, also when somebody deletes the Lease in between: it is the larger of
the last token plus one and the seconds since 1970. Whoever stores it with each write can refuse a late writer.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from steward.cancellation import cancellations, ended
from steward.errors import StewardError
from steward.jsonvalue import JsonObject, table, text, whole
from steward.kube.client import Kube
from steward.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from steward.kube.micro_time import micro_time
from steward.kube.resources import LEASES

R = TypeVar("R")

FENCING_TOKEN = "steward.linkerd.io/fencing-token"
_LOG = structlog.get_logger("steward.kube.lease")


class LeadershipLost(StewardError):
    """The lease could not be renewed in time, or somebody else has it; the work was cancelled."""


@dataclass(frozen=True, slots=True)
class LeaseName:
    """Which lease, and who asks for it."""

    namespace: str
    name: str
    identity: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Leadership:
    """One term. Store `token` with what is written, and refuse to write over a larger one."""

    token: int
    since: datetime


@dataclass(frozen=True, slots=True)
class _Record:
    """The lease as somebody wrote it."""

    holder: str
    renewed: str
    transitions: int
    token: int
    seconds: int
    version: str

    @classmethod
    def of(cls, lease: JsonObject) -> "_Record":
        written = text(lease, "metadata", "annotations", FENCING_TOKEN)
        return cls(
            holder=text(lease, "spec", "holderIdentity"),
            renewed=text(lease, "spec", "renewTime"),
            transitions=whole(lease, "spec", "leaseTransitions"),
            token=int(written) if written.isdigit() else 0,
            seconds=whole(lease, "spec", "leaseDurationSeconds"),
            version=text(lease, "metadata", "resourceVersion"),
        )


class Lease:
    """A candidate for one lease, and its leader from time to time."""

    def __init__(self, kube: Kube, name: LeaseName, duration: timedelta = timedelta(seconds=15)) -> None:
        if duration < timedelta(seconds=1):
            raise ValueError(f"a lease lasts at least a second, not {duration}")
        self._kube = kube
        self._clock = kube.clock
        self._name = name
        self._duration = duration
        self._chance = random.Random()
        self._seen: _Record | None = None
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self._unconfirmed = ("", 0.0)
        self._leadership: Leadership | None = None

    @property
    def leadership(self) -> Leadership | None:
        """The present term; None while another leads, or nobody."""
        return self._leadership

    @property
    def token(self) -> int:
        """The fencing token of the present term, 0 without one."""
        return self._leadership.token if self._leadership else 0

    @property
    def holder(self) -> str:
        """Who led when the lease was last read."""
        return self._seen.holder if self._seen else ""

    async def lead(self, work: Callable[[Leadership], Awaitable[R]]) -> R:
        """Wait for the lease, do `work` under it, release it; `LeadershipLost` where it was lost meanwhile."""
        async with self.held() as leadership:
            return await work(leadership)

    async def always_lead(self, work: Callable[[Leadership], Awaitable[None]]) -> None:
        """`lead` again after every loss, until `work` returns."""
        while True:
            try:
                return await self.lead(work)
            except LeadershipLost as lost:
                _LOG.warning("leadership lost", lease=str(self._name), identity=self._name.identity, reason=str(lost))

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Leadership]:
        """The lease as a context: entered when it is ours, its body cancelled when it is no longer."""
        leadership = await self._acquired()
        told = cancellations()
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                guards = [tasks.create_task(self._keep()), tasks.create_task(self._watch_deadline())]
                yield leadership
                for guard in guards:
                    guard.cancel()
                await ended(guards)
        except BaseExceptionGroup as group:
            failure = _the_reason(group)
        finally:
            await self._end()
        if isinstance(failure, LeadershipLost) and cancellations() > told:
            # Lost while it wound up: who was told to end must not begin another term.
            raise asyncio.CancelledError from failure
        if failure is not None:
            raise failure

    async def _acquired(self) -> Leadership:
        while True:
            try:
                if await self._try_once():
                    break
            except KubeError as error:
                _LOG.info("cannot read the lease", lease=str(self._name), error=str(error))
            await self._clock.sleep(self._duration / 5 * self._chance.uniform(0.8, 1.2))
        if self._leadership is None:
            raise AssertionError("acquired without a term")
        _LOG.info("leading", lease=str(self._name), identity=self._name.identity, token=self._leadership.token)
        return self._leadership

    async def _try_once(self) -> bool:
        found = await self._find()
        if found is None:
            return await self._create()
        record = self._observe(found)
        if record.holder not in ("", self._name.identity) and not self._has_expired(record):
            return False
        return await self._take(found, record)

    def _observe(self, lease: JsonObject) -> _Record:
        record = _Record.of(lease)
        if record != self._seen:
            self._seen, self._seen_at = record, self._clock.monotonic()
        return record

    def _has_expired(self, record: _Record) -> bool:
        return self._clock.monotonic() - self._seen_at > max(record.seconds, self._duration.total_seconds())

    async def _create(self) -> bool:
        term = self._next_term(None)
        sent_at = self._clock.monotonic()
        try:
            made = await self._write("POST", self._lease(term, None))
        except AlreadyExists:
            return False
        return self._began(made, term, sent_at)

    async def _take(self, lease: JsonObject, record: _Record) -> bool:
        term = self._next_term(record)
        sent_at = self._clock.monotonic()
        try:
            taken = await self._write("PUT", self._lease(term, lease))
        except Conflict:
            return False
        return self._began(taken, term, sent_at)

    def _began(self, lease: JsonObject, term: Leadership, sent_at: float) -> bool:
        self._observe(lease)
        self._renewed_at = sent_at
        self._leadership = term
        return True

    def _next_term(self, before: _Record | None) -> Leadership:
        now = self._clock.now()
        return Leadership(token=max((before.token if before else 0) + 1, int(now.timestamp())), since=now)

    async def _keep(self) -> None:
        """Renew for ever; an attempt that fails is repeated, until the deadline ends the term."""
        pause = self._duration / 5
        while True:
            await self._clock.sleep(pause)
            try:
                await self._renew()
                pause = self._duration / 5
            except KubeError as error:
                pause = self._duration / 20
                _LOG.warning("cannot renew the lease", lease=str(self._name), error=str(error))

    async def _renew(self) -> None:
        term, found = self._leadership, await self._find()
        if term is None or found is None:
            raise LeadershipLost(f"lease {str(self._name)!r} was deleted")
        record = self._observe(found)
        if (record.holder, record.token) != (self._name.identity, term.token):
            raise LeadershipLost(
                f"lease {str(self._name)!r} belongs to {record.holder or 'nobody'!r} with token {record.token}"
            )
        written, sent_at = self._unconfirmed
        if record.renewed == written:
            # The answer to an earlier renewal was lost, but here it is.
            self._renewed_at = max(self._renewed_at, sent_at)
        renewed = self._lease(term, found)
        self._unconfirmed = (text(renewed, "spec", "renewTime"), self._clock.monotonic())
        try:
            self._observe(await self._write("PUT", renewed))
        except Conflict:
            # Somebody wrote between our read and our write; the next read shows whether it still is ours.
            return
        self._renewed_at = self._unconfirmed[1]

    async def _watch_deadline(self) -> None:
        """End the term while a third of the duration is left for the work to wind up in."""
        allowed = self._duration.total_seconds() * 2 / 3
        while True:
            left = self._renewed_at + allowed - self._clock.monotonic()
            if left <= 0:
                raise LeadershipLost(f"lease {str(self._name)!r} could not be renewed for {allowed:g} s")
            await self._clock.sleep(timedelta(seconds=left))

    async def _end(self) -> None:
        term, self._leadership = self._leadership, None
        late = self._clock.monotonic() - self._renewed_at - self._duration.total_seconds()
        if late > 0:
            _LOG.error("work went on after the lease had expired", lease=str(self._name), seconds=round(late, 3))
        if term is None or late > -self._duration.total_seconds() / 3:
            return
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._release(term)
        except (KubeError, TimeoutError) as error:
            _LOG.info("lease not released, it will expire", lease=str(self._name), error=str(error) or "no answer")

    async def _release(self, term: Leadership) -> None:
        found = await self._find()
        if found is None:
            return
        record = _Record.of(found)
        if (record.holder, record.token) == (self._name.identity, term.token):
            free = self._lease(term, found)
            free["spec"] = {**table(free, "spec"), "holderIdentity": "", "leaseDurationSeconds": 1}
            await self._write("PUT", free)

    def _lease(self, term: Leadership, before: JsonObject | None) -> JsonObject:
        metadata: JsonObject = dict(table(before, "metadata")) if before else {}
        annotations: JsonObject = {**table(metadata, "annotations"), FENCING_TOKEN: str(term.token)}
        metadata.pop("managedFields", None)
        transitions = whole(before, "spec", "leaseTransitions")
        same_term = text(before, "metadata", "annotations", FENCING_TOKEN) == str(term.token)
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                **metadata,
                "name": self._name.name,
                "namespace": self._name.namespace,
                "annotations": annotations,
            },
            "spec": {
                "holderIdentity": self._name.identity,
                "leaseDurationSeconds": max(1, round(self._duration.total_seconds())),
                "acquireTime": micro_time(term.since),
                "renewTime": micro_time(self._clock.now()),
                "leaseTransitions": transitions if same_term or before is None else transitions + 1,
            },
        }

    async def _find(self) -> JsonObject | None:
        path = LEASES.path(self._name.namespace, self._name.name)
        try:
            return await self._kube.request("GET", path, timeout=self._patience)
        except NotFound:
            return None

    async def _write(self, method: str, body: JsonObject) -> JsonObject:
        path = LEASES.path(self._name.namespace, self._name.name if method == "PUT" else None)
        return await self._kube.request(method, path, body=body, timeout=self._patience)

    @property
    def _patience(self) -> timedelta:
        """For one request: short, so that one that hangs leaves time for another."""
        return self._duration / 4


def _the_reason(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The work's own error if it had one, else why the term ended."""
    causes = list(group.exceptions)
    own = [cause for cause in causes if not isinstance(cause, LeadershipLost)]
    return own[0] if len(own) == 1 else group if own else causes[0]
