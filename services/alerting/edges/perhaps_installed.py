"""A cache of a resource that this cluster may not know: quiet until somebody installs its definition."""

from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import KubeError
from steward.kube.reflector import Reflector
from steward.kube.resources import Resource

T = TypeVar("T")

_LOOK_AGAIN = timedelta(minutes=1)
_ASK_AGAIN = timedelta(milliseconds=500)
"""After an error, doubled each time: much waits for the answer."""


class PerhapsInstalled(Generic[T]):
    """All objects of one resource, once it is there."""

    def __init__(
        self, kube: Kube, resource: Resource, *, trim: Callable[[JsonObject], T], on_change: Callable[[], None]
    ) -> None:
        self.resource = resource
        self._kube = kube
        self._reflector = Reflector(kube, resource, trim=trim, on_change=lambda *_: on_change())
        self._asked: bool | None = None
        self._problem: KubeError | None = None

    async def run(self) -> None:
        """Keep it current until cancelled."""
        pause = _ASK_AGAIN
        while not await self._is_served():
            await self._kube.clock.sleep(_LOOK_AGAIN if self._problem is None else pause)
            pause = min(2 * pause, _LOOK_AGAIN)
        await self._reflector.run()

    @property
    def values(self) -> tuple[T, ...] | None:
        """What is there; None while nobody can tell. Of a resource that is not installed there is nothing."""
        if self._asked is False:
            return ()
        return tuple(self._reflector.values()) if self._reflector.synced.is_set() else None

    @property
    def problem(self) -> KubeError | None:
        """What keeps it from being read; None while nothing does, or while it was not tried yet."""
        return self._problem or self._reflector.problem

    async def _is_served(self) -> bool:
        try:
            self._asked = await self._kube.serves(self.resource)
        except KubeError as error:
            self._problem = error
            return False
        self._problem = None
        return self._asked
