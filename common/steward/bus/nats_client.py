"""The client of nats-py with five faults less.

By itself it sends its password in clear where the server does not ask for TLS, leaves the socket of a refused attempt
open, forgets the server's greeting, reads headers a character at a time, and swallows cancellations: one that meets the
end of a wait (`asyncio.wait_for` of Python 3.11 returns what has come instead), or a full buffer. A task that was told
once to end would then go on for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg

from steward.jsonvalue import Json
