"""Ingress mode on real sockets: each request goes where its header says, whatever was dialled."""

import pytest

from steward.testing.dataplane.proxy.exchange import Request, Version, header
from steward.testing.dataplane.proxy.failures import ConnectionClosed
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.outbound_side import (
    CLIENT_ID,
    OutboundSide,
    answering,
    outbound_side,
    service,
)

NAMED, NAMED_IP = "named.lab.svc.cluster.local", "10.96.0.2"
AS_CLIENT = f"l5d-client-id: {CLIENT_ID}"


async def prepared(side: OutboundSide, port: int = 8080, version: Version = Version.HTTP1) -> None:
    """A Service that is dialled, and another one, both meshed."""
    side.as_ingress()
    side.names[NAMED] = NAMED_IP
    side.tell(service(await side.meshed(answering("dialled"), version)))
    side.tell(service(await side.meshed(answering("named"), version)), (NAMED_IP, port))


async def told(side: OutboundSide, override: str = "", version: Version = Version.HTTP1) -> tuple[str, str]:
    """Who answered, and what headers of the mesh's own it saw."""
    headers = (("l5d-dst-override", override),) if override else ()
    response = await side.ask(headers=headers, version=version)
    seen = [each for each in header(response.headers, "x-seen").split("; ") if each.startswith("l5d-")]
    return header(response.headers, "x-served-by"), "; ".join(seen)


@pytest.mark.parametrize("version", Version)
async def test_a_request_goes_to_the_service_that_its_header_names_and_the_header_ends_there(version: Version) -> None:
    async with outbound_side() as side:
        await prepared(side, version=version)
        assert await told(side, f"{NAMED}:8080", version) == ("named", AS_CLIENT)
        assert side.asked == [(NAMED_IP, 8080)], "what was dialled is never asked about"


async def test_without_a_port_the_usual_one_is_meant() -> None:
    async with outbound_side() as side:
        await prepared(side, port=80)
        assert await told(side, NAMED) == ("named", AS_CLIENT)


async def test_without_the_header_it_goes_where_it_was_dialled_with_mutual_tls_too() -> None:
    async with outbound_side() as side:
        await prepared(side)
        assert await told(side) == ("dialled", AS_CLIENT)


async def test_requests_of_one_connection_go_each_its_own_way() -> None:
    async with outbound_side() as side:
        await prepared(side)
        connection = await side.http()
        found = []
        for override in (f"{NAMED}:8080", "", f"{NAMED}:8080"):
            headers = (("l5d-dst-override", override),) if override else ()
            response = await connection.send(Request("GET", "/", "anything", headers))
            await response.body.read()
            found.append(header(response.headers, "x-served-by"))
        assert found == ["named", "dialled", "named"]


@pytest.mark.parametrize("override", ["nobody.lab.svc.cluster.local:8080", f"{NAMED}:http"])
async def test_a_name_that_nobody_knows_gets_no_answer(override: str) -> None:
    async with outbound_side() as side:
        await prepared(side)
        with pytest.raises(ConnectionClosed):
            await told(side, override)


async def test_what_is_no_http_goes_where_it_was_dialled() -> None:
    async def echo(stream: Stream) -> None:
        await stream.send(await stream.read())
        stream.close()

    async with outbound_side() as side:
        side.as_ingress()
        side.tell(service(await side.plain_bytes(echo)))
        stream = await side.dial()
        await stream.send(b"hello")
        assert await stream.read() == b"hello"
