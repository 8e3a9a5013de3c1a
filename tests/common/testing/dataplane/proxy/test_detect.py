"""What first bytes say about a protocol."""

import ssl
from datetime import timedelta

import pytest

from steward.testing.dataplane.proxy.detect import Detected, Spoken, detect, judge
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from tests.common.testing.dataplane.proxy.loopback import listening


def client_hello(name: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("seen", "spoken"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n", Spoken.HTTP1, id="request-line"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken.HTTP2, id="preface"),
        pytest.param(b"PRI * HT", None, id="half-a-preface"),
        pytest.param(b"POST /long", None, id="half-a-line"),
        pytest.param(b"HELLO there\r\n", Spoken.OTHER, id="no-version"),
        pytest.param(b"\x00\x01\x02", Spoken.OTHER, id="binary"),
        pytest.param(b"hello\n", Spoken.OTHER, id="a-line"),
        pytest.param(b"\x16\x03", None, id="half-a-record"),
        pytest.param(b"\x16\x02\x00\x00\x00\x01", Spoken.OTHER, id="no-record"),
    ],
)
def test_first_bytes_tell_the_protocol(seen: bytes, spoken: Spoken | None) -> None:
    verdict = judge(seen)
    assert (verdict.spoken if verdict else None) == spoken


def test_a_client_hello_tells_the_name_that_is_asked_for() -> None:
    hello = client_hello("shop.example")
    assert judge(hello) == Detected(Spoken.TLS, "shop.example")
    assert judge(hello[:-1]) is None


async def test_nothing_is_taken_and_silence_is_told_from_leaving() -> None:
    seen: list[object] = []

    async def accept(stream: Stream) -> None:
        seen.append(await detect(stream, timedelta(seconds=5)))
        seen.append(await stream.read())

    async def impatient(stream: Stream) -> None:
        seen.append(await detect(stream, timedelta(milliseconds=5)))

    async with listening(accept) as port, listening(impatient) as other:
        stream = await open_stream("127.0.0.1", port)
        await stream.send(b"GET / HTTP/1.1\r\n")
        assert await stream.read() == b""
        stream.close()
        silent = await open_stream("127.0.0.1", other)
        assert await silent.read() == b""
        silent.close()
        gone = await open_stream("127.0.0.1", port)
        await gone.finish()
        assert await gone.read() == b""
        gone.close()
    assert seen == [
        *(Detected(Spoken.HTTP1), b"GET / HTTP/1.1\r\n"),
        *(Detected(Spoken.SILENT), Detected(Spoken.GONE), b""),
    ]
