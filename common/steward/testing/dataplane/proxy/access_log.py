"""A line for every request on the standard output of the proxy, where the pod asks for it."""

import json
from email.utils import format_datetime

from steward.testing.dataplane.proxy.exchange import Request, Response, header
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_faults import ACCESS_LOG_MISSING
from steward.testing.dataplane.proxy.inbound_labels import Arrival

APACHE = "apache"
JSON = "json"


class AccessLog:
    """Writes in the format of the settings; any other word writes nothing."""

    def __init__(self, context: InboundContext) -> None:
        self._context = context

    def write(self, arrival: Arrival, request: Request, response: Response) -> None:
        """Note the exchange."""
        wanted = self._context.settings.access_log
        if wanted in (APACHE, JSON) and not self._context.broken(ACCESS_LOG_MISSING):
            line = self._apache if wanted == APACHE else self._json
            self._context.log.write(line(arrival, request, response))

    def _apache(self, arrival: Arrival, request: Request, response: Response) -> str:
        moment = self._context.clock.now().strftime("%d/%b/%Y:%H:%M:%S %z")
        size = header(response.headers, "content-length") or "-"
        line = f"{request.method} {_uri(request)} {request.version}"
        return f'{arrival.peer.ip} {arrival.peer.identity or "-"} - [{moment}] "{line}" {response.status} {size}'

    def _json(self, arrival: Arrival, request: Request, response: Response) -> str:
        return json.dumps(
            {
                "timestamp": format_datetime(self._context.clock.now(), usegmt=True),
                "client.addr": f"{arrival.client[0]}:{arrival.client[1]}",
                "client.id": arrival.peer.identity or "-",
                "host": request.authority,
                "method": request.method,
                "uri": _uri(request),
                "version": str(request.version),
                "status": response.status,
                "response_bytes": header(response.headers, "content-length"),
                "user_agent": header(request.headers, "user-agent"),
                "trace_id": header(request.headers, "traceparent"),
            }
        )


def _uri(request: Request) -> str:
    return f"{request.scheme}://{request.authority}{request.path}"
