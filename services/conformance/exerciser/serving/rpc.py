"""gRPC: any service and method, unary or streaming as the caller says, in the same contract of queries.

The query comes in the metadata `x-echo-query`, the kind of conversation in `x-echo-conversation`; without it a call is
unary. A unary call is answered by the echo as JSON, a stream of the server begins with it, and what comes on a
bidirectional one goes back as it came. `x-echo` in the headers tells who answers, in the trailers of a failure too.
"""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeAlias

import grpc
import grpc.aio

from services.conformance.core.orders import Conversation, Headers
from services.conformance.core.wishes import GRPC_UNAVAILABLE, LARGEST_BODY
from services.conformance.exerciser.serving.echoing import (
    DIGEST_HEADER,
    ECHO_HEADER,
    POD_HEADER,
    Answer,
    Echoing,
    Request,
    brief,
    delayed,
    digest,
    encoded,
    filling,
)
from steward.errors import ConfigurationError

QUERY_KEY = "x-echo-query"
CONVERSATION_KEY = "x-echo-conversation"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_LARGEST_HEAD = 262_144
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", _LARGEST_HEAD),
    ("grpc.absolute_max_metadata_size", 2 * _LARGEST_HEAD),
)

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


class RpcServer:
    """A port of its own, since the library listens by itself. Messages may be as large as `largest` bytes."""

    def __init__(self, handler: grpc.GenericRpcHandler, *, largest: int = LARGEST_BODY + 1024) -> None:
        limits = (("grpc.max_receive_message_length", largest), ("grpc.max_send_message_length", largest))
        self._server = grpc.aio.server(handlers=[handler], options=(*_OPTIONS, *limits))

    async def listen(self, host: str, port: int) -> int:
        """Listen; returns the number of the port."""
        where = f"[{host}]" if ":" in host else host
        for each in [where] if where else ["[::]", "0.0.0.0"]:
            try:
                number = self._server.add_insecure_port(f"{each}:{port}")
            except RuntimeError:
                continue
            await self._server.start()
            return int(number)
        raise ConfigurationError(f"nobody can listen on {host or '*'}:{port}: choose another address or number")

    async def close(self, grace: timedelta) -> None:
        """Take no more calls; those under way have `grace`."""
        await self._server.stop(grace.total_seconds())


class RpcEcho(grpc.GenericRpcHandler):
    """Answers every service and method. On the wire every call is a stream in both directions."""

    def __init__(self, echoing: Echoing) -> None:
        self._echoing = echoing

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        method = str(handler_call_details.method)

        async def talk(requests: AsyncIterator[bytes], context: _Context) -> AsyncIterator[bytes]:
            async for message in _Call(self._echoing, method, context).answer(requests):
                yield message

        return grpc.stream_stream_rpc_method_handler(talk)


class _Call:
    """One call."""

    def __init__(self, echoing: Echoing, method: str, context: _Context) -> None:
        self._echoing = echoing
        self._context = context
        self._method = method
        self._given = _texts(context)
        self._named = dict(self._given)

    async def answer(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The messages that go back."""
        if self._named.get(CONVERSATION_KEY) == Conversation.BIDIRECTIONAL.value:
            async for message in self._to_and_fro(requests):
                yield message
            return
        hashed, length = hashlib.sha256(), 0
        async for request in requests:
            hashed.update(request)
            length += len(request)
        answer = await self._begun(hashed.hexdigest() if length else "")
        await self._fail_where_asked(answer)
        async for message in self._pieces(answer):
            yield message

    async def _to_and_fro(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        answer, sent = await self._begun(""), 0
        await self._fail_where_asked(answer)
        most = answer.wishes.close_after
        async for request in requests:
            if most is not None and sent >= most:
                await self._abort(answer, answer.wishes.status or GRPC_UNAVAILABLE)
            yield request
            sent += 1

    async def _pieces(self, answer: Answer) -> AsyncIterator[bytes]:
        wishes = answer.wishes
        if wishes.bytes is not None:
            yield b"".join(filling(wishes.bytes))
            return
        for number in range(wishes.stream or 1):
            if wishes.close_after is not None and number >= wishes.close_after:
                await self._abort(answer, wishes.status or GRPC_UNAVAILABLE)
            if number:
                await self._echoing.clock.sleep(wishes.every)
            yield encoded(answer.echo) if number == 0 else b"%d" % number

    async def _begun(self, body_digest: str) -> Answer:
        """What to answer, and the headers that say who does."""
        query = self._named.get(QUERY_KEY, "")
        answer = self._echoing.answer(
            Request(
                protocol="gRPC",
                method="POST",
                path=f"{self._method}?{query}" if query else self._method,
                headers=self._given,
                remote=_remote(self._context.peer()),
                body_digest=body_digest,
            )
        )
        await delayed(answer, self._echoing.clock)
        head = [(POD_HEADER, answer.echo.pod), (ECHO_HEADER, encoded(brief(answer.echo)).decode())]
        if answer.wishes.bytes is not None:
            head.append((DIGEST_HEADER, digest(filling(answer.wishes.bytes))))
        code = self._code(answer)
        if code == 0 or answer.wishes.close_after is not None:
            await self._context.send_initial_metadata(tuple(head))
        return answer

    def _code(self, answer: Answer) -> int:
        if answer.problem:
            return 3
        if answer.wishes.close:
            return GRPC_UNAVAILABLE
        code = answer.wishes.answered(answer.echo.attempt, fine=0, failing=GRPC_UNAVAILABLE)
        return code if code in _CODES else 3

    async def _fail_where_asked(self, answer: Answer) -> None:
        code = self._code(answer)
        if code and answer.wishes.close_after is None:
            await self._abort(answer, code)

    async def _abort(self, answer: Answer, code: int) -> None:
        trailers = [(POD_HEADER, answer.echo.pod), (ECHO_HEADER, encoded(brief(answer.echo)).decode())]
        if answer.wishes.retry_after is not None:
            trailers.append(("retry-after", str(answer.wishes.retry_after)))
        said = answer.problem or f"{answer.echo.pod} was asked to fail"
        await self._context.abort(_CODES.get(code, grpc.StatusCode.UNKNOWN), said, tuple(trailers))


def _texts(context: _Context) -> Headers:
    metadata = context.invocation_metadata() or ()
    return tuple((str(key), value if isinstance(value, str) else value.hex()) for key, value in metadata)


def _remote(peer: str) -> str:
    """The address in `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    return peer.partition(":")[2].replace("%5B", "[").replace("%5D", "]")
