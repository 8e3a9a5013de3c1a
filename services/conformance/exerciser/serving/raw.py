"""TCP that speaks no protocol: one line tells who it is, then every byte comes back.

Client-first, the line comes after the first bytes that the client sent; server-first, it comes at once.
"""

import asyncio

from services.conformance.exerciser.serving.echoing import Echoing, Request, encoded
from services.conformance.exerciser.serving.listener import remote_of

_CHUNK = 65_536


class RawEcho:
    """One connection."""

    def __init__(
        self,
        echoing: Echoing,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        speaks_first: bool = False,
    ) -> None:
        self._echoing = echoing
        self._reader = reader
        self._writer = writer
        self._speaks_first = speaks_first

    def wind_down(self) -> None:
        """Nobody can tell when a conversation without a protocol is over: it ends here."""
        self._writer.close()

    async def run(self) -> None:
        """Send everything back until the other side has nothing more to say."""
        if self._speaks_first:
            await self._introduce()
        introduced = self._speaks_first
        while data := await self._reader.read(_CHUNK):
            if not introduced:
                await self._introduce()
                introduced = True
            self._writer.write(data)
            await self._writer.drain()

    async def _introduce(self) -> None:
        protocol = "tls" if self._writer.get_extra_info("ssl_object") is not None else "tcp"
        answer = self._echoing.answer(Request(protocol=protocol, remote=remote_of(self._writer)))
        self._writer.write(encoded(answer.echo) + b"\n")
        await self._writer.drain()
