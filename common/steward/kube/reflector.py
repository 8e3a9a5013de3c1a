"""A local copy of all objects of one resource, kept current by list and watch, holding only what its user needs.

    pods = Reflector(kube, PODS, trim=seen_pod, on_change=queue_owner)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pods.run())
        await pods.synced.wait()

It survives what API servers do: watches that end, break, go silent or answer 410 inside a 200; restarts; throttling;
a version that lies in the future. Deletions missed meanwhile are told after the next list.
"""

import asyncio
import random
from collections.abc import Callable, ItemsView, ValuesView
from datetime import timedelta
from typing import Generic, TypeAlias, TypeVar

import structlog

from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import Gone, KubeError
from steward.kube.resources import Resource
from steward.kube.watching import WatchEvent, WatchFrom

T = TypeVar("T")
OnChange: TypeAlias = Callable[[str, T | None, T | None], None]
"""Called with the key, the old and the new value; None stands for absence."""

_LOG = structlog.get_logger("steward.kube.reflector")
_TOO_SHORT = 1.0


def key_of(found: JsonObject) -> str:
    """`namespace/name`, or the name of what has no namespace."""
    namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
    return f"{namespace}/{name}" if namespace else name


def unmanaged(found: JsonObject) -> JsonObject:
    """A trim for those who need whole objects: all but `managedFields`, which is often half of them."""
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return found


class Reflector(Generic[T]):
    """The cache. `trim` makes of each object what is kept; where two trimmed values are equal nothing has changed."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        *,
        trim: Callable[[JsonObject], T],
        namespace: str | None = None,
        labels: str = "",
        on_change: OnChange[T] | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once the first list is complete; from then on the cache is never empty by accident."""
        self.problem: KubeError | None = None
        """What the last attempt failed with; None while all is well."""
        self.lists = 0
        self.failures = 0
        self._kube = kube
        self._trim = trim
        self._namespace = namespace
        self._labels = labels
        self._handlers: list[OnChange[T]] = [on_change] if on_change else []
        self._items: dict[str, T] = {}
        self._version = ""
        self._heard_at = kube.clock.monotonic()
        self._chance = random.Random()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> T | None:
        """The value of `namespace/name`."""
        return self._items.get(key)

    def items(self) -> ItemsView[str, T]:
        """Keys and values as they are at this moment; a view, so do not await while going over it."""
        return self._items.items()

    def values(self) -> ValuesView[T]:
        """The same without keys."""
        return self._items.values()

    def staleness(self) -> timedelta:
        """How long ago the API server was last heard: a list, an event or a bookmark."""
        return timedelta(seconds=self._kube.clock.monotonic() - self._heard_at)

    def subscribe(self, handler: OnChange[T]) -> None:
        """Tell one more handler; it first hears of everything that is there already."""
        for key, value in self._items.items():
            handler(key, None, value)
        self._handlers.append(handler)

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                healthy = await self._follow()
            except Gone as error:
                self._version = ""
                # The first 410 is everyday life after a restart: list again at once. A second in a row is not.
                healthy = failures == 0
                self._note(error)
            except KubeError as error:
                healthy = False
                self._note(error)
            failures = 0 if healthy and self.problem is None else failures + 1
            if not healthy:
                await self._kube.clock.sleep(self._kube.options.watch.backoff(failures, self._chance))

    def _note(self, error: KubeError) -> None:
        self.problem = error
        self.failures += 1
        _LOG.warning("watch interrupted", resource=str(self.resource), reason=type(error).__name__, error=str(error))

    def _heard(self) -> None:
        self._heard_at = self._kube.clock.monotonic()
        self.problem = None

    async def _list(self) -> None:
        seen: set[str] = set()
        version = ""
        async for page in self._kube.pages(self.resource, self._namespace, labels=self._labels):
            for found in page.items:
                key = key_of(found)
                seen.add(key)
                self._keep(key, self._trim(found))
            version = page.resource_version
        for key in [key for key in self._items if key not in seen]:
            self._drop(key)
        self.lists += 1
        self._version = version
        self._heard()
        self.synced.set()

    async def _follow(self) -> bool:
        """One watch; True where it ran its course."""
        lasting = self._kube.options.watch.lasting(self._chance)
        started = self._kube.clock.monotonic()
        heard = False
        async for event in self._kube.watch(
            self.resource, WatchFrom(self._version, lasting, self._namespace, self._labels)
        ):
            heard = True
            self._take(event)
        took = self._kube.clock.monotonic() - started
        if not heard and took >= lasting.total_seconds() / 2:
            # Not even a bookmark in the whole time: the version may lie in the future, as after a restored backup,
            # and such a watch stays silent for ever.
            self._version = ""
        return heard or took >= _TOO_SHORT

    def _take(self, event: WatchEvent) -> None:
        self._heard()
        if event.type == "DELETED":
            self._drop(key_of(event.object))
        elif event.type != "BOOKMARK":
            self._keep(key_of(event.object), self._trim(event.object))
        self._version = event.resource_version or self._version

    def _keep(self, key: str, value: T) -> None:
        old = self._items.get(key)
        if old == value:
            return
        self._items[key] = value
        for handler in self._handlers:
            handler(key, old, value)

    def _drop(self, key: str) -> None:
        old = self._items.pop(key, None)
        if old is None:
            return
        for handler in self._handlers:
            handler(key, old, None)
