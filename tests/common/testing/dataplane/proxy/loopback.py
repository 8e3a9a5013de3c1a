"""Servers on loopback that are gone when the test is, and certificates for proxies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from steward.clock import SystemClock
from steward.testing.dataplane.proxy.stream import SocketStream, Stream
from steward.testing.dataplane.proxy.tls import Identity
from steward.testing.linkerd.certificates import Authority, Validity

NOW = SystemClock().now()
YEAR = timedelta(days=365)


@asynccontextmanager
async def listening(
    accept: Callable[[Stream], Awaitable[None]], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """Give the port of a server that hands every connection to `accept`."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await accept(SocketStream(reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(accepted, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Trust:
    """One trust anchor and who it made."""

    def __init__(self, name: str = "root.linkerd.cluster.local") -> None:
        self.anchor = Authority.self_signed(name, Validity.around(NOW, YEAR))

    def identity(self, name: str, *, expired: bool = False) -> Identity:
        start = NOW - timedelta(days=2)
        validity = Validity(start, NOW - timedelta(days=1)) if expired else Validity.around(NOW, YEAR)
        leaf = self.anchor.issue_leaf(name, validity)
        anchors = self.anchor.pair.certificate
        return Identity(name, leaf.certificate, leaf.key, anchors, validity.end)

    def workload(self, uri: str, name: str) -> Identity:
        """Somebody outside of the cluster, whose certificate SPIRE made: a URI beside a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        validity = Validity.around(NOW, YEAR)
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.UniformResourceIdentifier(uri)])
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.anchor.pair.parsed.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(validity.start)
            .not_valid_after(validity.end)
            .add_extension(names, critical=True)
            .sign(self.anchor.signing, hashes.SHA256())
        )
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        certificate = leaf.public_bytes(Encoding.PEM).decode()
        return Identity(uri, certificate, written, self.anchor.pair.certificate, validity.end)
