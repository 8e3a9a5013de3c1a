"""A line for every request in the log of the proxy's container, where the proxy is told to write them."""

import json
from datetime import UTC

from steward.testing.dataplane.proxy.exchange import Request, Response, header
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_faults import ACCESS_LOG_MISSING, ACCESS_LOG_OTHER_FORMAT
from steward.testing.dataplane.proxy.inbound_labels import Arrival

APACHE = "apache"
JSON = "json"
_TRACES = ("x-b3-traceid", "x-request-id", "x-amzn-trace-id")


class AccessLog:
    """Writes in the format of the settings; any other word writes nothing."""

    def __init__(self, context: InboundContext) -> None:
        self._context = context

    def write(self, arrival: Arrival, request: Request, response: Response) -> None:
        """Note the exchange."""
        wanted = self._context.settings.access_log
        if wanted not in (APACHE, JSON) or self._context.broken(ACCESS_LOG_MISSING):
            return
        as_apache = (wanted == APACHE) is not self._context.broken(ACCESS_LOG_OTHER_FORMAT)
        line = self._apache if as_apache else self._json
        self._context.log.write(line(arrival, request, response))

    def _apache(self, arrival: Arrival, request: Request, response: Response) -> str:
        line = f"{request.method} {_uri(arrival, request)} {_version(arrival)}"
        return f'{_address(arrival)} {arrival.peer.identity or "-"} - [{self._moment()}] "{line}" {response.status}'

    def _json(self, arrival: Arrival, request: Request, response: Response) -> str:
        """Text but for the status, in the order of the alphabet; the times that it took are not told apart here."""
        return json.dumps(
            {
                "client.addr": _address(arrival),
                "client.id": arrival.peer.identity or "-",
                "host": request.authority,
                "method": request.method,
                "processing_ns": "0",
                "request_bytes": header(request.headers, "content-length") or "",
                "response_bytes": header(response.headers, "content-length") or "",
                "status": response.status,
                "timestamp": self._moment(),
                "total_ns": "0",
                "trace_id": next((said for name in _TRACES if (said := header(request.headers, name))), ""),
                "uri": _uri(arrival, request),
                "user_agent": header(request.headers, "user-agent") or "",
                "version": _version(arrival),
            },
            separators=(",", ":"),
        )

    def _moment(self) -> str:
        return self._context.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _address(arrival: Arrival) -> str:
    return f"{arrival.client[0]}:{arrival.client[1]}"


def _uri(arrival: Arrival, request: Request) -> str:
    """As it came in: from a proxy over HTTP/2 and whole, from anybody else as HTTP/1.1 has it."""
    return f"{request.scheme}://{request.authority}{request.path}" if arrival.peer.identity else request.path


def _version(arrival: Arrival) -> str:
    return "HTTP/2.0" if arrival.peer.identity else "HTTP/1.1"
