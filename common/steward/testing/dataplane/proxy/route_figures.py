"""The families of routes: one request at its route, and each of its attempts at a backend."""

from collections.abc import Callable
from dataclasses import replace

from steward.testing.dataplane.config import Meta
from steward.testing.dataplane.proxy import outbound_labels as labels
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, header
from steward.testing.dataplane.proxy.grpc_codes import name_of
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import Kind
from steward.testing.dataplane.proxy.passing_body import passing

RETRIES = ("requests", "successes", "limit_exceeded", "overflow")


class _Outcome:
    """Counts once how something ended."""

    def __init__(self, context: OutboundContext, *, grpc: bool) -> None:
        self.metrics = context.metrics
        self._clock = context.clock
        self._begun = context.clock.monotonic()
        self.grpc = grpc
        self.prefix = f"outbound_{'grpc' if grpc else 'http'}_route"
        self._over = False

    def once(self) -> bool:
        first, self._over = not self._over, True
        return first

    @property
    def elapsed(self) -> float:
        return self._clock.monotonic() - self._begun

    def status(self, response: Response | None, error: str) -> dict[str, str]:
        if self.grpc:
            return {"grpc_status": _grpc_status(response) if response is not None else "", "error": error}
        return {"http_status": str(response.status) if response is not None else "", "error": error}

    def own(self, kind: Kind) -> dict[str, str]:
        """Of an error that the proxy made itself."""
        if kind.route_error:
            return self.status(None, kind.route_error)
        if self.grpc:
            return {"grpc_status": name_of(str(kind.code)), "error": ""}
        return {"http_status": str(kind.status), "error": ""}


class RequestFigures(_Outcome):
    """Of a request at its route, retries and all."""

    def __init__(self, context: OutboundContext, parent: Meta, route: Meta, request: Request, *, grpc: bool) -> None:
        super().__init__(context, grpc=grpc)
        host = request.authority.rsplit(":", 1)[0] if context.settings.metrics_hostname_labels else ""
        self.named = {**labels.full("parent", parent), **labels.short("route", route)}
        self._labels = {**self.named, "hostname": host}
        for what in RETRIES:
            self.retry(what, 0)

    def sending(self, body: Body) -> Body:
        """The request body, counted as it passes."""
        name = f"{self.prefix}_request_frame_size_bytes"
        if body.empty:
            return body
        return passing(body, lambda chunk: self.metrics.observe(name, len(chunk), **self._labels), lambda _: None)

    def retry(self, what: str, amount: int = 1) -> None:
        """One of `RETRIES`."""
        self.metrics.count(f"{self.prefix}_retry_{what}_total", amount, **self._labels)

    def answered(self, response: Response) -> Response:
        """Counts when its body is through."""
        return _watched(response, lambda error: self._ended(self.status(response, error)))

    def refused(self, kind: Kind) -> None:
        """The proxy answers itself."""
        self._ended(self.own(kind))

    def failed(self, error: str) -> None:
        """There was no answer."""
        self._ended(self.status(None, error))

    def _ended(self, outcome: dict[str, str]) -> None:
        if not self.once():
            return
        self.metrics.count(f"{self.prefix}_request_statuses_total", **self._labels, **outcome)
        self.metrics.observe(f"{self.prefix}_request_duration_seconds", self.elapsed, **self._labels)


class AttemptFigures(_Outcome):
    """Of one attempt at a backend."""

    def __init__(self, context: OutboundContext, request: RequestFigures, backend: Meta) -> None:
        super().__init__(context, grpc=request.grpc)
        self._labels = {**request.named, **labels.full("backend", backend)}
        self.metrics.count(f"{self.prefix}_backend_requests_total", **self._labels)

    def answered(self, response: Response) -> Response:
        """Counts when its body is through."""
        name = f"{self.prefix}_backend_response_frame_size_bytes"

        def frame(chunk: bytes) -> None:
            self.metrics.observe(name, len(chunk), **self._labels)

        return _watched(response, lambda error: self._ended(self.status(response, error)), frame)

    def discarded(self, response: Response) -> None:
        """An answer that was not good enough to be passed on."""
        self._ended(self.status(response, "" if self.grpc else "UNKNOWN"))

    def refused(self, kind: Kind) -> None:
        """The proxy answers itself."""
        self._ended(self.own(kind))

    def failed(self, error: str) -> None:
        """There was no answer."""
        self._ended(self.status(None, error))

    def _ended(self, outcome: dict[str, str]) -> None:
        if not self.once():
            return
        self.metrics.count(f"{self.prefix}_backend_response_statuses_total", **self._labels, **outcome)
        self.metrics.observe(f"{self.prefix}_backend_response_duration_seconds", self.elapsed, **self._labels)


def _watched(response: Response, over: Callable[[str], None], frame: Callable[[bytes], None] | None = None) -> Response:
    if response.upgrade is not None or response.body.empty:
        over("")
        return response
    seen = frame or (lambda _: None)
    return replace(response, body=passing(response.body, seen, lambda whole: over("" if whole else "RESET")))


def _grpc_status(response: Response) -> str:
    return name_of(header((*response.body.trailers, *response.headers), "grpc-status"))
