"""Calls that a server counts one by one, and wishes that are for one pod alone."""

import pytest

from services.conformance.core.orders import EACH_CALL, Call, Protocol
from services.conformance.core.stage import Port
from services.conformance.core.wishes import Wishes
from tests.services.conformance.cast import Cast


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        (Port.HTTP, Protocol.HTTP1),
        (Port.H2C, Protocol.HTTP2),
        (Port.GRPC, Protocol.GRPC),
        (Port.WEBSOCKET, Protocol.WEBSOCKET),
    ],
)
async def test_a_server_counts_every_call_by_itself_where_each_has_a_word_of_its_own(
    cast: Cast, port: Port, protocol: Protocol
) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    path = Wishes(fail_until=1, id=EACH_CALL).on("/")
    call = Call(target=server.at(port), protocol=protocol, path=path)
    replies = await cast.calls("cm-0", call.model_copy(update={"times": 4}))
    again = await cast.calls("cm-0", call.model_copy(update={"times": 2}))
    failing = (None, 14) if protocol is Protocol.GRPC else (503, None)
    assert [(failing[0] and reply.status, reply.grpc_status) for reply in replies + again] == [failing] * 6
    assert {reply.echo.attempt for reply in replies + again if reply.echo} == {1}
    assert len({reply.echo.path for reply in replies + again if reply.echo}) == 6


async def test_a_wish_for_one_pod_is_heeded_by_that_pod_alone(cast: Cast) -> None:
    first, second = await cast.serve("sm-0"), await cast.serve("sm-1")
    await cast.play("cm-0")
    path = Wishes(status=500, only="sm-1").on("/")
    assert (await cast.call("cm-0", Call(target=first.at(), path=path))).status == 200
    assert (await cast.call("cm-0", Call(target=second.at(), path=path))).status == 500
