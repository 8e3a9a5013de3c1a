"""Faults of what is carried: bodies that are held back, changed, or arrive without their end."""

from collections.abc import AsyncIterator
from dataclasses import replace

from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, without
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import is_grpc

_LARGE = 32 * 1024


def spoiled_request(context: OutboundContext, request: Request) -> Request:
    """The request, as this proxy passes it on."""
    if request.wants_upgrade and context.broken(broken.UPGRADE_LOST):
        return replace(request, headers=without(request.headers, ("upgrade", "connection")))
    return request


def spoiled_response(context: OutboundContext, response: Response) -> Response:
    """The response, as this proxy passes it on."""
    if response.upgrade is not None or response.body.empty:
        return response
    body = response.body
    if context.broken(broken.STREAMS_BUFFERED):
        body = _over(_buffered(body), body)
    if context.broken(broken.BODY_CORRUPTED):
        body = _over(_corrupted(body), body)
    if is_grpc(response.headers) and context.broken(broken.GRPC_TRAILERS_DROPPED):
        body = Body(body)
    return response if body is response.body else replace(response, body=body)


class _Source(AsyncIterator[bytes]):
    """Chunks made of a body, which is closed together with them."""

    def __init__(self, chunks: AsyncIterator[bytes], body: Body) -> None:
        self._chunks = chunks
        self._body = body

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        await self._body.close()


def _over(chunks: AsyncIterator[bytes], body: Body) -> Body:
    return Body(_Source(chunks, body), lambda: body.trailers)


async def _buffered(body: Body) -> AsyncIterator[bytes]:
    yield await body.read()


async def _corrupted(body: Body) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in body:
        seen += len(chunk)
        yield chunk[:-1] + bytes([chunk[-1] ^ 0xFF]) if seen > _LARGE and chunk else chunk
