"""Mutual TLS between two proxies on a stream that exists already, and the header that follows the handshake."""

import json
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from steward.testing.dataplane.proxy.failures import HandshakeFailed, HandshakeProblem
from steward.testing.dataplane.proxy.stream import CHUNK, Stream

_PROBLEMS = {
    "certificate has expired": HandshakeProblem.EXPIRED,
    "certificate expired": HandshakeProblem.EXPIRED,
    "CERTIFICATE_EXPIRED": HandshakeProblem.EXPIRED,
    "not yet valid": HandshakeProblem.EXPIRED,
    "unable to get local issuer": HandshakeProblem.UNKNOWN_ISSUER,
    "unable to get issuer": HandshakeProblem.UNKNOWN_ISSUER,
    "self-signed certificate": HandshakeProblem.UNKNOWN_ISSUER,
    "signature failure": HandshakeProblem.UNKNOWN_ISSUER,
    "UNKNOWN_CA": HandshakeProblem.UNKNOWN_ISSUER,
    "DECRYPT_ERROR": HandshakeProblem.UNKNOWN_ISSUER,
    "did not return a certificate": HandshakeProblem.NO_CERTIFICATE,
}
ALPN = "transport.l5d.io/v1"


@dataclass(frozen=True, slots=True)
class Identity:
    """A leaf certificate (with what leads to the anchors), its key, and whom its holder trusts; all PEM."""

    name: str
    certificate: str
    key: str
    anchors: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class TransportHeader:
    """What the client proxy says first: the port that was meant, and what is spoken (`exchange.Version`), if known."""

    port: int
    protocol: str = ""

    def encode(self) -> bytes:
        """As bytes of the wire: a length and a JSON object."""
        content = json.dumps({"port": self.port, "protocol": self.protocol}).encode()
        return len(content).to_bytes(2, "big") + content


class TlsStream(Stream):
    """A stream inside of TLS. `remote` is the identity that the peer has proved."""

    def __init__(self, below: Stream, context: ssl.SSLContext, *, server_side: bool, sni: str | None = None) -> None:
        super().__init__(below.peer, below.local)
        self.remote = ""
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=sni)

    async def handshake(self) -> bytes | None:
        """Return the certificate of the peer (DER)."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._feed()
            except ssl.SSLError as error:
                self._flush()
                raise _refused(error) from error
        self._flush()
        await self._below.drain()
        return self._tls.getpeercert(binary_form=True)

    @property
    def sni_of_peer(self) -> str:
        """The name that was asked for."""
        return self._tls.server_hostname or ""

    async def _read(self, limit: int) -> bytes:
        while True:
            try:
                return self._tls.read(limit)
            except ssl.SSLWantReadError:
                self._flush()
                if not await self._feed_or_end():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise _refused(error) from error

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError:
            # The peer has ended the session; whoever reads is told why.
            return
        self._flush()

    async def drain(self) -> None:
        await self._below.drain()

    async def finish(self) -> None:
        # TLS itself has a one-way close, Python has not: the connection below is half-closed instead.
        self._flush()
        await self._below.finish()

    def close(self) -> None:
        self._below.close()

    def abort(self) -> None:
        self._below.abort()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())

    async def _feed(self) -> None:
        self._flush()
        await self._below.drain()
        if not await self._feed_or_end():
            raise HandshakeFailed(HandshakeProblem.CLOSED, f"{self.peer} closed in the midst of the handshake")

    async def _feed_or_end(self) -> bool:
        chunk = await self._below.read(CHUNK)
        if chunk:
            self._incoming.write(chunk)
        return bool(chunk)


async def dial(
    below: Stream, own: Identity, expected: str, *, server_name: str = "", any_name: bool = False
) -> TlsStream:
    """Be the client: offer our certificate and insist on the expected identity of the server, or take any.

    `server_name` is what is asked for where the identity is no name that can be.
    """
    stream = TlsStream(below, _client_context(own), server_side=False, sni=server_name or expected)
    certificate = await _shaken(stream)
    stream.remote = identity_of(certificate)
    if expected not in identities_of(certificate) and not any_name:
        below.abort()
        message = f"the peer is {stream.remote or 'nobody'}, expected {expected}"
        raise HandshakeFailed(HandshakeProblem.WRONG_NAME, message)
    return stream


async def answer(below: Stream, own: Identity) -> TlsStream:
    """Be the server: present our certificate; `remote` tells who the client has proved to be."""
    stream = TlsStream(below, _server_context(own), server_side=True)
    stream.remote = identity_of(await _shaken(stream))
    return stream


async def _shaken(stream: TlsStream) -> bytes | None:
    try:
        return await stream.handshake()
    except ConnectionError:
        stream.close()
        raise


async def read_transport_header(stream: Stream) -> TransportHeader:
    """The first thing after the handshake."""
    size = int.from_bytes(await stream.read_exactly(2), "big")
    content = json.loads(await stream.read_exactly(size))
    return TransportHeader(int(content["port"]), str(content["protocol"]))


def identity_of(certificate: bytes | None) -> str:
    """The first identity of a leaf certificate (DER): a DNS name, as Linkerd issues them, where it has one."""
    return next(iter(identities_of(certificate)), "")


def identities_of(certificate: bytes | None) -> tuple[str, ...]:
    """The DNS names of a leaf certificate (DER), then its URIs."""
    if not certificate:
        return ()
    extensions = x509.load_der_x509_certificate(certificate).extensions
    try:
        names = extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return ()
    if not isinstance(names, x509.SubjectAlternativeName):
        return ()
    return (
        *names.get_values_for_type(x509.DNSName),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    )


@lru_cache(maxsize=512)
def _client_context(own: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The name is compared by us, so that a wrong one can be told from an unknown issuer.
    context.check_hostname = False
    return _prepared(context, own)


@lru_cache(maxsize=512)
def _server_context(own: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    return _prepared(context, own)


def _prepared(context: ssl.SSLContext, own: Identity) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=own.anchors)
    context.set_alpn_protocols([ALPN])
    # The ssl module loads certificate and key from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as leaf:
        leaf.write(own.key + "\n" + own.certificate)
        leaf.flush()
        context.load_cert_chain(leaf.name)
    return context


def _refused(error: ssl.SSLError) -> HandshakeFailed:
    text = str(error)
    for sign, problem in _PROBLEMS.items():
        if sign in text:
            return HandshakeFailed(problem, text)
    return HandshakeFailed(HandshakeProblem.REJECTED, text)
