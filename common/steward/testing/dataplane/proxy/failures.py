"""How a connection or an exchange can fail, told apart by type."""

from enum import StrEnum

REFUSED = 7
"""The error code of HTTP/2 by which a server says that it did not look at a request."""


class ExchangeFailed(ConnectionError):
    """An exchange or a connection ended without the answer."""


class ConnectFailed(ExchangeFailed):
    """No connection: refused, unreachable, too late."""


class ConnectionClosed(ExchangeFailed):
    """The peer closed, reset or spoke nonsense in the midst of an exchange."""


class NeverSpoke(ConnectionClosed):
    """The peer closed before it said anything in HTTP: it has not taken a request either."""


class StreamReset(ExchangeFailed):
    """The peer gave this exchange up; `code` is the error code of HTTP/2 (7 refused, 8 cancelled, 11 calm)."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class GoAway(StreamReset):
    """The peer ended the connection before it looked at this exchange."""


class HandshakeProblem(StrEnum):
    """What was wrong with a certificate, ours or the peer's."""

    EXPIRED = "certificate expired"
    UNKNOWN_ISSUER = "unknown issuer"
    WRONG_NAME = "not valid for name"
    NO_CERTIFICATE = "no certificate"
    REJECTED = "rejected by the peer"
    CLOSED = "closed"


class HandshakeFailed(ConnectFailed):
    """Mutual TLS did not come about."""

    def __init__(self, problem: HandshakeProblem, message: str) -> None:
        super().__init__(f"{problem}: {message}")
        self.problem = problem
