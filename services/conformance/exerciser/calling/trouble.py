"""Why there was no answer: from what the libraries raise to the few words of a report."""

import asyncio
import socket
import ssl

import h11
from h2.exceptions import ProtocolError as H2ProtocolError
from websockets.exceptions import WebSocketException

from services.conformance.core.orders import Trouble
from steward.errors import StewardError


class UnknownName(StewardError):
    """A name that does not resolve."""


class BrokenOff(StewardError):
    """The other side closed the connection before the answer was whole."""


class WasReset(StewardError):
    """The other side reset the stream of this one call."""


class NotUnderstood(StewardError):
    """The other side speaks something else."""


EXPECTED = (OSError, EOFError, h11.ProtocolError, H2ProtocolError, WebSocketException, StewardError, ValueError)
"""A ValueError is what libraries raise for a name, a header or a status that cannot be one."""
_KINDS: tuple[tuple[tuple[type[BaseException], ...], Trouble], ...] = (
    ((UnknownName, socket.gaierror), Trouble.UNKNOWN_NAME),
    ((TimeoutError,), Trouble.TIMED_OUT),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, BrokenOff, asyncio.IncompleteReadError, EOFError), Trouble.CLOSED),
    ((ssl.SSLError,), Trouble.BAD_TLS),
    ((ConnectionRefusedError,), Trouble.REFUSED),
    ((ConnectionResetError, BrokenPipeError, ConnectionAbortedError, WasReset), Trouble.RESET),
)


def trouble_of(error: BaseException) -> tuple[Trouble, str]:
    """The class of an expected error, and a sentence."""
    said = str(error) or type(error).__name__
    if isinstance(error, WebSocketException) and isinstance(error.__cause__, OSError | EOFError):
        # The library says that there was no answer; beneath it is what happened to the connection.
        error = error.__cause__
    for kinds, trouble in _KINDS:
        if isinstance(error, kinds):
            return trouble, "no answer in time" if trouble is Trouble.TIMED_OUT else said
    # What else the kernel says is about the way there: no route, not permitted, an address that cannot be used.
    return (Trouble.UNREACHABLE if isinstance(error, OSError) else Trouble.BAD_PROTOCOL), said
