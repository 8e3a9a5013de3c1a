"""HTTP/1.1 from an agent to an echo server, and every wish of the query contract."""

from services.conformance.core.orders import Call, Protocol, Trouble
from services.conformance.core.stage import Port
from services.conformance.core.wishes import Wishes
from tests.services.conformance.cast import Cast


async def test_a_call_tells_which_pod_answered_and_what_it_saw(cast: Cast) -> None:
    server, client = await cast.serve("sm-0"), await cast.play("cm-0")
    reply = await cast.call(
        "cm-0", Call(target=server.at(), path="/hello?x=1", headers=(("X-One", "a"), ("X-One", "b")))
    )
    assert reply.trouble is None
    assert (reply.status, reply.http_version, reply.connection) == (200, "1.1", 1)
    echo = reply.echo
    assert echo is not None
    assert (echo.pod, echo.node, echo.zone, echo.ip) == ("sm-0", "node-1", "zone-a", server.address)
    assert (echo.protocol, echo.method, echo.path, echo.attempt) == ("HTTP/1.1", "GET", "/hello?x=1", 1)
    assert echo.remote.startswith(client.address)
    assert [value for name, value in echo.headers if name == "x-one"] == ["a", "b"]
    assert reply.first_byte_seconds is not None
    assert 0 < reply.first_byte_seconds <= reply.seconds


async def test_one_connection_carries_all_calls_where_that_is_wanted(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    kept = await cast.calls("cm-0", Call(target=server.at(), times=5))
    fresh = await cast.calls("cm-0", Call(target=server.at(), times=5, keep=False))
    assert [reply.connection for reply in kept] == [1] * 5
    assert sorted(reply.connection for reply in fresh) == [1, 2, 3, 4, 5]
    assert {reply.status for reply in kept + fresh} == {200}


async def test_a_server_fails_as_often_as_it_was_asked_to(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    path = Wishes(fail_until=2, id="a", retry_after=7).on("/")
    replies = await cast.calls("cm-0", Call(target=server.at(), path=path, times=4))
    assert [reply.status for reply in replies] == [503, 503, 200, 200]
    assert [reply.echo.attempt for reply in replies if reply.echo] == [1, 2, 3, 4]
    assert ("retry-after", "7") in replies[0].headers


async def test_nobody_listening_is_refused(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    reply = await cast.call("cm-0", Call(target=server.at(4), protocol=Protocol.HTTP1))
    assert reply.trouble is Trouble.REFUSED
    assert reply.status is None


async def test_the_loopback_port_is_not_reached_from_outside(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    assert (await cast.call("cm-0", Call(target=server.at(Port.LOOPBACK)))).trouble is Trouble.REFUSED
