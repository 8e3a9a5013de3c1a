"""One run as it changes, through restarts of the API server and watches that end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Gone, ServerUnavailable, TooManyRequests
from steward.kube.resources import CONFORMANCE_RUNS, UPGRADE_RUNS, Resource
from steward.kube.watching import WatchFrom
from steward.resources import ConformanceRun, UpgradeRun

R = TypeVar("R", UpgradeRun, ConformanceRun)
_WATCH_FOR = timedelta(minutes=4)
_PAUSE = timedelta(seconds=1)
_RESOURCES: dict[type[UpgradeRun | ConformanceRun], Resource] = {
    UpgradeRun: UPGRADE_RUNS,
    ConformanceRun: CONFORMANCE_RUNS,
}


@dataclass(frozen=True)
class Sight(Generic[R]):
    """The run as it was last seen; `problem` says why it may have moved on since."""

    run: R
    problem: str = ""


async def follow(kube: Kube, name: str) -> AsyncGenerator[Sight[UpgradeRun]]:
    """The UpgradeRun now and after each change."""
    async with aclosing(follow_kind(kube, name, UpgradeRun)) as sights:
        async for sight in sights:
            yield sight


async def follow_kind(kube: Kube, name: str, kind: type[R]) -> AsyncGenerator[Sight[R]]:
    """The run now and after each change. Raise NotFound where there is none, and a Refusal once it is deleted."""
    sight = Sight(kind.of(await kube.get(_RESOURCES[kind], name)))
    yield sight
    while True:
        try:
            async with aclosing(_until_cut(kube, sight.run)) as runs:
                async for run in runs:
                    sight = Sight(run)
                    yield sight
        except (ServerUnavailable, TooManyRequests) as error:
            sight = Sight(sight.run, f"the API server does not answer, trying again: {error.message}")
            yield sight
            await kube.clock.sleep(_PAUSE)


async def _until_cut(kube: Kube, run: R) -> AsyncGenerator[R]:
    """Changes until the watch ends, which every watch does; then the run as it is by then."""
    try:
        async with aclosing(_changes(kube, run)) as changes:
            async for changed in changes:
                yield changed
    except Gone:
        pass  # the version to go on from is forgotten, which is normal after a restart
    yield _same(run, await kube.get(_RESOURCES[type(run)], run.metadata.name))


async def _changes(kube: Kube, run: R) -> AsyncGenerator[R]:
    start = WatchFrom(run.metadata.resource_version, _WATCH_FOR, fields=f"metadata.name={run.metadata.name}")
    async for event in kube.watch(_RESOURCES[type(run)], start):
        if event.type == "DELETED":
            raise _deleted(run)
        if event.type != "BOOKMARK":
            yield _same(run, event.object)


def _same(run: R, found: JsonObject) -> R:
    now = type(run).of(found)
    if now.metadata.uid != run.metadata.uid:
        raise _deleted(run)
    return now


def _deleted(run: UpgradeRun | ConformanceRun) -> Refusal:
    return Refusal(f"{type(run).kind_name} {run.metadata.name!r} was deleted", "", ExitCode.NOT_FOUND)
