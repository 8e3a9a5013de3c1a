"""Who made an answer: the application, the proxy of the server, or the proxy of the client.

No single sign tells. `l5d-proxy-error` is kept only by the client's own proxy; what the server's proxy refuses comes
without it and without a body; a gRPC message tells both; counters tell where headers cannot. Signs are added up, and
where they contradict one another, that is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.conformance.core.orders import Reply
from services.conformance.core.pages import Page, grown
from services.conformance.core.proofs import Maker, maker

_CLIENT_COUNTERS = ("outbound_http_errors_total", "outbound_tcp_errors_total")
_SERVER_COUNTERS = (
    "inbound_http_errors_total",
    "inbound_tcp_errors_total",
    "inbound_http_authz_deny_total",
    "inbound_tcp_authz_deny_total",
    "inbound_http_route_not_found_total",
    "inbound_http_local_ratelimit_total",
)
_OF_SERVER_PROXY = frozenset({403, 404, 429, 500, 502})
"""What an inbound proxy answers; each may also be the application's own."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Pages of the proxies of clients and of servers, before and after."""

    client: tuple[Mapping[str, Page], Mapping[str, Page]] | None = None
    server: tuple[Mapping[str, Page], Mapping[str, Page]] | None = None

    def of_client(self) -> float:
        """How many errors the proxies of the clients counted."""
        return _grown(self.client, _CLIENT_COUNTERS)

    def of_server(self) -> float:
        """How many errors and refusals the proxies of the servers counted."""
        return _grown(self.server, _SERVER_COUNTERS)


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who it was, by which signs, and whether they agree."""

    who: Maker
    signs: tuple[str, ...]
    sure: bool = True

    def __str__(self) -> str:
        doubt = "" if self.sure else ", though the signs contradict one another"
        return f"{self.who} ({'; '.join(self.signs)}{doubt})"


def who_answered(reply: Reply, counters: Counters | None = None) -> Answerer:
    """Who made this answer."""
    said = maker(reply)
    signs: tuple[str, ...] = (_sign(reply, said),)
    if counters is None or said is Maker.NOBODY or reply.echo is not None:
        return Answerer(said, signs)
    client, server = counters.of_client(), counters.of_server()
    signs += tuple(
        f"the {whose} counted {count:g} errors"
        for whose, count in (("client's proxy", client), ("server's proxy", server))
        if count
    )
    if said is Maker.APPLICATION and reply.status in _OF_SERVER_PROXY and server and not client:
        return Answerer(Maker.SERVER_PROXY, signs)
    if said is Maker.SERVER_PROXY and not server:
        if client:
            return Answerer(Maker.CLIENT_PROXY, signs, sure=False)
        if counters.server is not None:
            return Answerer(Maker.APPLICATION, (*signs, "no proxy counted an error"), sure=False)
    return Answerer(said, signs, sure=not (said is Maker.CLIENT_PROXY and counters.client is not None and not client))


def _sign(reply: Reply, who: Maker) -> str:
    match who:
        case Maker.NOBODY:
            return f"there was no answer: {reply.trouble or 'the connection ended'}"
        case Maker.CLIENT_PROXY:
            return "the answer says so (l5d-proxy-error or its gRPC message)"
        case Maker.SERVER_PROXY:
            if "server:" in reply.grpc_message:
                return "the gRPC message says so"
            return "no l5d-proxy-error, no body, no header of the application"
        case _:
            return "the application told of itself" if reply.echo is not None else "the answer has a body of its own"


def _grown(pages: tuple[Mapping[str, Page], Mapping[str, Page]] | None, names: tuple[str, ...]) -> float:
    return 0.0 if pages is None else sum(grown(pages[0], pages[1], name) for name in names)
