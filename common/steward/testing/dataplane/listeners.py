"""Sockets that listen on many addresses and ports, and hand every connection to one handler."""

import asyncio
import resource
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from steward.testing.dataplane.proxy.stream import SocketStream, Stream

Handle = Callable[[Stream], Awaitable[None]]
_BACKLOG = 128
_FILES_WANTED = 8192


class Listeners:
    """By address: the ports that are open there, and the connections that came in."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self.refused: list[str] = []
        """Addresses and ports that somebody else on this machine had, with what the system said."""

    async def open(self, address: str, ports: Iterable[int]) -> None:
        """Listen there, where nobody does yet."""
        for port in ports:
            if (address, port) in self._servers or not 0 < port < 65536:
                continue
            try:
                sock = _listening(address, port)
            except OSError as error:
                # Ports below 1024 may be forbidden, which a pod with such a port then shows.
                self.refused.append(f"{address}:{port}: {error}")
                continue
            self._servers[address, port] = await asyncio.start_server(self._accepting(address), sock=sock)

    async def close(self, address: str) -> None:
        """Listen no more on any port of the address, and break what is open."""
        servers = [self._servers.pop(key) for key in list(self._servers) if key[0] == address]
        for server in servers:
            server.close()
        tasks = self._tasks.pop(address, set())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Close everything."""
        for address in {address for address, _ in self._servers} | set(self._tasks):
            await self.close(address)

    def _accepting(self, address: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stream = SocketStream(reader, writer)
            task = asyncio.create_task(self._serve(stream))
            self._tasks.setdefault(address, set()).add(task)
            task.add_done_callback(lambda done: self._tasks.get(address, set()).discard(done))

        return accept

    async def _serve(self, stream: Stream) -> None:
        try:
            with suppress(ConnectionError):
                await self._handle(stream)
        except asyncio.CancelledError:
            stream.abort()
            raise
        finally:
            stream.close()


def allow_many_files() -> None:
    """A data plane of a dozen pods has more sockets than some systems allow a process by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listening(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)  # noqa: FBT003  # the standard library has no other way to say it
    except OSError:
        sock.close()
        raise
    return sock
