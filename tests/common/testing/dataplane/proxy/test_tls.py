"""Mutual TLS between proxies: who is believed, and how each refusal is told from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from steward.testing.dataplane.proxy.failures import HandshakeFailed, HandshakeProblem
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from steward.testing.dataplane.proxy.tls import Identity, TransportHeader, answer, dial, read_transport_header
from tests.common.testing.dataplane.proxy.loopback import Trust, listening

CLIENT, SERVER = "client.lab.serviceaccount.identity", "server.lab.serviceaccount.identity"


@asynccontextmanager
async def a_server(identity: Identity, heard: "asyncio.Queue[str]") -> AsyncIterator[int]:
    async def accept(stream: Stream) -> None:
        try:
            secure = await answer(stream, identity)
        except HandshakeFailed as failed:
            heard.put_nowait(failed.problem)
            return
        heard.put_nowait(secure.remote)
        told = await read_transport_header(secure)
        await secure.send(f"{told.port} {told.protocol}".encode())
        await secure.finish()

    async with listening(accept) as port:
        yield port


async def test_both_sides_know_each_other_and_the_port_that_was_meant() -> None:
    trust, heard = Trust(), asyncio.Queue[str]()
    async with a_server(trust.identity(SERVER), heard) as port:
        secure = await dial(await open_stream("127.0.0.1", port), trust.identity(CLIENT), SERVER)
        await secure.send(TransportHeader(8080, "HTTP/2").encode())
        assert await secure.read() == b"8080 HTTP/2"
        assert await secure.read() == b""
        assert (secure.remote, await heard.get()) == (SERVER, CLIENT)
        secure.close()


async def test_a_server_of_another_name_is_not_spoken_to() -> None:
    trust, heard = Trust(), asyncio.Queue[str]()
    async with a_server(trust.identity("other.lab.serviceaccount.identity"), heard) as port:
        with pytest.raises(HandshakeFailed, match="expected server") as caught:
            await dial(await open_stream("127.0.0.1", port), trust.identity(CLIENT), SERVER)
        assert caught.value.problem is HandshakeProblem.WRONG_NAME


async def test_a_server_whose_identity_is_a_uri_is_asked_for_by_another_name() -> None:
    trust, heard = Trust(), asyncio.Queue[str]()
    uri = "spiffe://root.lab/vm"
    async with a_server(trust.workload(uri, SERVER), heard) as port:
        secure = await dial(await open_stream("127.0.0.1", port), trust.identity(CLIENT), uri, server_name=SERVER)
        assert (secure.remote, await heard.get()) == (SERVER, CLIENT)
        secure.close()


async def test_a_server_that_only_has_the_name_it_was_asked_for_by_is_not_spoken_to() -> None:
    trust, heard = Trust(), asyncio.Queue[str]()
    async with a_server(trust.identity(SERVER), heard) as port:
        with pytest.raises(HandshakeFailed, match="expected spiffe") as caught:
            await dial(
                await open_stream("127.0.0.1", port), trust.identity(CLIENT), "spiffe://root.lab/vm", server_name=SERVER
            )
        assert caught.value.problem is HandshakeProblem.WRONG_NAME


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        pytest.param(Trust("other").identity(SERVER), HandshakeProblem.UNKNOWN_ISSUER, id="another-anchor"),
        pytest.param(Trust().identity(SERVER), HandshakeProblem.UNKNOWN_ISSUER, id="same-name-other-key"),
    ],
)
async def test_a_server_of_another_anchor_is_refused(server: Identity, problem: HandshakeProblem) -> None:
    heard = asyncio.Queue[str]()
    async with a_server(server, heard) as port:
        with pytest.raises(HandshakeFailed) as caught:
            await dial(await open_stream("127.0.0.1", port), Trust().identity(CLIENT), SERVER)
        assert caught.value.problem is problem
        assert await heard.get() in {HandshakeProblem.UNKNOWN_ISSUER, HandshakeProblem.CLOSED}


async def test_an_expired_server_is_refused() -> None:
    trust, heard = Trust(), asyncio.Queue[str]()
    async with a_server(trust.identity(SERVER, expired=True), heard) as port:
        with pytest.raises(HandshakeFailed) as caught:
            await dial(await open_stream("127.0.0.1", port), trust.identity(CLIENT), SERVER)
        assert caught.value.problem is HandshakeProblem.EXPIRED


@pytest.mark.parametrize(
    ("trusted", "expired", "problem"),
    [
        pytest.param(True, True, HandshakeProblem.EXPIRED, id="expired"),
        pytest.param(False, False, HandshakeProblem.UNKNOWN_ISSUER, id="another-anchor"),
    ],
)
async def test_a_client_that_is_refused_learns_why_when_it_reads(
    trusted: bool, expired: bool, problem: HandshakeProblem
) -> None:
    trust, heard = Trust(), asyncio.Queue[str]()
    stranger = trust if trusted else Trust("other")
    own = stranger.identity(CLIENT, expired=expired)
    own = Identity(own.name, own.certificate, own.key, trust.identity(CLIENT).anchors, own.not_after)
    async with a_server(trust.identity(SERVER), heard) as port:
        secure = await dial(await open_stream("127.0.0.1", port), own, SERVER)
        with pytest.raises(HandshakeFailed) as caught:
            await secure.read()
        assert caught.value.problem is problem
        assert await heard.get() == problem
        secure.close()


async def test_large_content_survives_encryption_both_ways() -> None:
    trust, content = Trust(), bytes(range(256)) * 4096

    async def accept(stream: Stream) -> None:
        secure = await answer(stream, trust.identity(SERVER))
        while chunk := await secure.read():
            await secure.send(chunk)
        await secure.finish()

    async with listening(accept) as port:
        secure = await dial(await open_stream("127.0.0.1", port), trust.identity(CLIENT), SERVER)

        async def send() -> None:
            await secure.send(content)
            await secure.finish()

        sending = asyncio.ensure_future(send())
        came = b""
        while chunk := await secure.read():
            came += chunk
        await sending
        assert came == content
        secure.close()
