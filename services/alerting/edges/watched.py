"""The objects that rules and routes are made from, kept current: policies, channels, services, profiles, routes."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError
from structlog.typing import FilteringBoundLogger

from services.alerting.edges.perhaps_installed import PerhapsInstalled
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.mesh_resources import GRPC_ROUTES, HTTP_ROUTES, POLICY_HTTP_ROUTES, SERVICE_PROFILES
from steward.kube.reflector import Reflector, unmanaged
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, SERVICES, Resource
from steward.resources.alert_channel import AlertChannel
from steward.resources.alert_policy import AlertPolicy
from steward.resources.base import Resource as Kind

K = TypeVar("K", bound=Kind)

_LOOK_AGAIN = timedelta(milliseconds=100)
_OPTIONAL = (SERVICE_PROFILES, HTTP_ROUTES, GRPC_ROUTES, POLICY_HTTP_ROUTES)


class Watched:
    """All of them."""

    def __init__(self, kube: Kube, log: FilteringBoundLogger, on_change: Callable[[], None]) -> None:
        self._log = log
        self._clock = kube.clock

        def changed(*_: object) -> None:
            on_change()

        self._policies = Reflector(kube, ALERT_POLICIES, trim=self._reader(AlertPolicy), on_change=changed)
        self._channels = Reflector(kube, ALERT_CHANNELS, trim=self._reader(AlertChannel), on_change=changed)
        self._services = Reflector(kube, SERVICES, trim=unmanaged, on_change=changed)
        self._others = tuple(PerhapsInstalled(kube, each, trim=unmanaged, on_change=on_change) for each in _OPTIONAL)

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._policies.run(), name="watch policies")
            tasks.create_task(self._channels.run(), name="watch channels")
            tasks.create_task(self._services.run(), name="watch services")
            for each in self._others:
                tasks.create_task(each.run(), name=f"watch {each.resource}")

    async def synced(self) -> None:
        """Return once everything is known."""
        for each in (self._policies, self._channels, self._services):
            await each.synced.wait()
        while self.problem is not None:
            await self._clock.sleep(_LOOK_AGAIN)

    @property
    def problem(self) -> str | None:
        """What is not known yet; None while all is."""
        for each in (self._policies, self._channels, self._services):
            if not each.synced.is_set():
                return f"{each.resource} were not listed yet: {each.problem or 'the first list is under way'}"
        for other in self._others:
            if other.values is None:
                return f"{other.resource} were not listed yet: {other.problem or 'the first list is under way'}"
        return None

    def policies(self) -> tuple[AlertPolicy, ...]:
        """Those that can be read, by namespace and name."""
        return _ordered(each for each in self._policies.values() if each is not None)

    def channels(self) -> tuple[AlertChannel, ...]:
        """Those that can be read, by namespace and name."""
        return _ordered(each for each in self._channels.values() if each is not None)

    def unreadable(self) -> tuple[str, ...]:
        """`AlertPolicy/namespace/name` of what does not fit its schema: somebody took validation out of its way."""
        policies = (f"AlertPolicy/{key}" for key, value in self._policies.items() if value is None)
        channels = (f"AlertChannel/{key}" for key, value in self._channels.items() if value is None)
        return (*policies, *channels)

    def services(self) -> tuple[JsonObject, ...]:
        """Every Service."""
        return tuple(self._services.values())

    def of(self, resource: Resource) -> tuple[JsonObject, ...]:
        """ServiceProfiles, or routes of one kind."""
        return next(each.values for each in self._others if each.resource == resource) or ()

    def _reader(self, kind: type[K]) -> Callable[[JsonObject], K | None]:
        def read(found: JsonObject) -> K | None:
            try:
                return kind.of(found)
            except ValidationError as error:
                problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
                self._log.error(
                    "left out: it cannot be read",
                    kind=kind.kind_name,
                    name=text(found, "metadata", "name"),
                    namespace=text(found, "metadata", "namespace"),
                    where=problem["loc"],
                    why=problem["msg"],
                )
                return None

        return read


def _ordered(found: Iterator[K]) -> tuple[K, ...]:
    return tuple(sorted(found, key=lambda each: (each.metadata.namespace, each.metadata.name)))
