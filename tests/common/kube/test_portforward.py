"""Port-forwarding carries bytes, says why it cannot, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from steward.errors import ConfigurationError
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import NotFound, ServerUnavailable
from steward.kube.portforward import PodPort, port_forward
from steward.kube.resources import PODS
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import until


@pytest_asyncio.fixture
async def pod(fake_kubernetes: FakeKubernetes) -> AsyncIterator[PodPort]:
    """A pod whose port 4222 answers in capitals."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk.upper())
            await writer.drain()
        writer.close()

    spec: JsonObject = {"containers": [{"name": "nats", "image": "nats:2"}]}
    fake_kubernetes.cluster.create(PODS, {"metadata": {"name": "nats-0"}, "spec": spec}, "default")
    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        fake_kubernetes.listen("default", "nats-0", 4222, server.sockets[0].getsockname()[1])
        yield PodPort("default", "nats-0", 4222)


async def test_bytes_go_both_ways_on_several_connections(kube: Kube, pod: PodPort) -> None:
    async with asyncio.timeout(10), port_forward(kube, pod) as way:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", way.local_port)
            sent = b"abc" * 100_000
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_send(writer, sent))
                received = await reader.readexactly(len(sent))
            assert received == sent.upper()
            writer.close()
        assert way.problem is None


async def _send(writer: asyncio.StreamWriter, sent: bytes) -> None:
    writer.write(sent)
    await writer.drain()


async def test_a_port_nobody_listens_on_is_explained(kube: Kube, pod: PodPort) -> None:
    closed = PodPort(pod.namespace, pod.pod, 9)
    async with asyncio.timeout(10), port_forward(kube, closed) as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.local_port)
        assert await reader.read() == b""
        await until(lambda: way.problem is not None)
        assert "nothing listens on port 9 of pod nats-0" in str(way.problem)
        writer.close()


async def test_a_pod_that_does_not_exist_is_refused_before_anybody_connects(kube: Kube) -> None:
    with pytest.raises(NotFound, match="forward to default/none:4222"):
        async with port_forward(kube, PodPort("default", "none", 4222)):
            raise AssertionError("there is no way")


async def test_an_api_server_that_is_away_is_unavailable(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    await fake_kubernetes.stop()
    with pytest.raises(ServerUnavailable, match="cannot connect"):
        async with port_forward(kube, PodPort("default", "none", 4222)):
            raise AssertionError("there is no way")


async def test_leaving_closes_the_listener_and_its_connections(kube: Kube, pod: PodPort) -> None:
    async with asyncio.timeout(10):
        async with port_forward(kube, pod) as way:
            reader, writer = await asyncio.open_connection("127.0.0.1", way.local_port)
            writer.write(b"a")
            assert await reader.read(1) == b"A"
        assert await reader.read() == b""
        with pytest.raises(OSError, match=str(way.local_port)):
            await asyncio.open_connection("127.0.0.1", way.local_port)
        writer.close()


async def test_what_goes_wrong_at_this_end_comes_out_as_it_went_in(kube: Kube, pod: PodPort) -> None:
    with pytest.raises(ConfigurationError, match="the other way") as raised:
        async with port_forward(kube, pod):
            raise ConfigurationError("it goes the other way") from ValueError("backwards")
    assert isinstance(raised.value.__cause__, ValueError)
