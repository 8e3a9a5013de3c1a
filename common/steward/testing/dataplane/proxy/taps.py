"""Who listens to the requests that a proxy lets in, and what they are told: a request, its response, and its end.

As in the real proxy only requests that policy allowed are told of, only to the identity that the tap injector wrote
into the pod's environment, and to each listener so many as it asked for. Nobody here tells of what leaves a pod.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy import tap_faults as broken
from steward.testing.dataplane.proxy.exchange import Request, Response
from steward.testing.dataplane.proxy.inbound_labels import Arrival
from steward.testing.dataplane.proxy.passing_body import passing
from steward.viz.events import Peer, TapEvent, Told

SERVICE_NAME = "LINKERD2_PROXY_TAP_SVC_NAME"
"""In the environment of a proxy: whose taps it takes."""
Tell = Callable[[TapEvent], None]


@dataclass(slots=True)
class Observation:
    """One listener. It is `over` once it was told of the beginning of as many requests as it asked for."""

    path: str
    limit: int
    base: int
    tell: Tell
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0

    def takes(self) -> int | None:
        """The number of one more request; None where it is one too many."""
        if self._seen >= self.limit:
            return None
        self._seen += 1
        if self._seen == self.limit:
            self.over.set()
        return self._seen - 1


class Taps:
    """All listeners of one proxy."""

    def __init__(self, settings: ProxySettings, faults: Faults) -> None:
        self._settings = settings
        self._faults = faults
        self._observations: list[Observation] = []
        self._bases = count()

    def takes_from(self, identity: str) -> bool:
        """Whether somebody of this identity may listen: without the tap injector's word nobody may."""
        return dict(self._settings.environment).get(SERVICE_NAME) == identity

    @contextmanager
    def observed(self, path: str, limit: int, tell: Tell) -> Iterator[Observation]:
        """Tell of requests whose path begins so."""
        observation = Observation(path, limit, next(self._bases), tell)
        self._observations.append(observation)
        try:
            yield observation
        finally:
            self._observations.remove(observation)

    def request(self, arrival: Arrival, request: Request) -> "Tapped":
        """A request that was let in."""
        # Mostly nobody listens, and every request of every proxy passes here.
        if not self._observations or self._faults.on(broken.TAP_DEAF, self._settings):
            return Tapped()
        path = request.path.partition("?")[0]
        told: list[tuple[Tell, TapEvent]] = []
        for observation in self._observations:
            fits = path.startswith(observation.path) or self._faults.on(broken.TAP_UNFILTERED, self._settings)
            number = observation.takes() if fits else None
            if number is not None:
                event = self._event((observation.base, number), arrival)
                observation.tell(replace(event, authority=request.authority, path=path))
                told.append((observation.tell, event))
        if self._faults.on(broken.TAP_WITHOUT_RESPONSES, self._settings):
            return Tapped()
        return Tapped(tuple(told), always_well=self._faults.on(broken.TAP_STATUS_WRONG, self._settings))

    def _event(self, stream: tuple[int, int], arrival: Arrival) -> TapEvent:
        labels = dict(arrival.tls)
        if labels.get("tls") != "true" or self._faults.on(broken.TAP_WITHOUT_TLS, self._settings):
            labels = {"tls": labels.get("no_tls_reason", "no_tls_from_remote")}
        return TapEvent(
            told=Told.REQUEST,
            stream=stream,
            inbound=True,
            source=Peer(arrival.client[0], arrival.client[1], labels),
            destination=Peer(arrival.ip, arrival.port),
        )


@dataclass(frozen=True, slots=True)
class Tapped:
    """One request, for those who listen."""

    told: tuple[tuple[Tell, TapEvent], ...] = ()
    always_well: bool = False

    def answered(self, response: Response) -> Response:
        """Tell of the response, and of its end when that has passed."""
        if not self.told:
            return response
        self._tell(Told.RESPONSE, 200 if self.always_well else response.status)
        if response.upgrade is not None or response.body.empty:
            self.ended()
            return response
        return replace(response, body=passing(response.body, lambda _: None, lambda _: self.ended()))

    def ended(self) -> None:
        """There is no more of it."""
        self._tell(Told.END, None)

    def _tell(self, told: Told, status: int | None) -> None:
        for tell, event in self.told:
            tell(replace(event, told=told, status=status))
