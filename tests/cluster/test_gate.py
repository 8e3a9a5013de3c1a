"""The gate in front of the API server counts every write, and fails in the ways that it is told to."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, text
from steward.testing.cluster.api import Api, ApiRefused
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.gate import Answer, Call, Cut, Delay, Gate, Verdict, Write
from steward.testing.cluster.kubeconfig import Kubeconfig


class _StoppedClock(SystemClock):
    """A clock whose sleepers sleep until they are released."""

    def __init__(self, held: asyncio.Event, release: asyncio.Event) -> None:
        self._held = held
        self._release = release

    async def sleep(self, duration: timedelta) -> None:
        assert duration == timedelta(hours=1)
        self._held.set()
        await self._release.wait()


@pytest.fixture
def collection(namespace: str) -> str:
    """Where the tests write."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


async def test_writes_are_counted_and_questions_are_not(
    control_plane: Cluster, binaries: Binaries, tmp_path: Path, namespace: str, collection: str
) -> None:
    async with Gate(control_plane.access).open(tmp_path) as gate:
        commands = Commands(binaries, gate.kubeconfig, tmp_path)

        def work() -> None:
            commands.kubectl("create", "configmap", "one", "--namespace", namespace, "--from-literal", "a=1")
            commands.kubectl("create", "configmap", "two", "--namespace", namespace, "--dry-run=server")
            commands.kubectl("auth", "can-i", "create", "pods")
            commands.kubectl("label", "configmap", "one", "x=y", "--namespace", namespace)
            commands.kubectl("get", "configmaps", "--all-namespaces")
            commands.kubectl("delete", "configmap", "one", "--namespace", namespace)

        await asyncio.to_thread(work)

        assert [(write.number, write.call.method, write.call.path, write.status) for write in gate.writes] == [
            (1, "POST", collection, 201),
            (2, "PATCH", f"{collection}/one", 200),
            (3, "DELETE", f"{collection}/one", 200),
        ]
        assert all(write.call.agent.startswith("kubectl/") for write in gate.writes)


async def test_helm_works_by_way_of_the_gate(
    control_plane: Cluster, binaries: Binaries, tmp_path: Path, namespace: str, collection: str
) -> None:
    chart = _chart(tmp_path)
    async with Gate(control_plane.access).open(tmp_path) as gate:
        commands = Commands(binaries, gate.kubeconfig, tmp_path)
        await asyncio.to_thread(commands.helm, "install", "tiny", str(chart), "--namespace", namespace, "--wait")

        assert collection in {write.call.path for write in gate.writes}
        assert {write.call.agent.partition("/")[0] for write in gate.writes} == {"Helm"}


async def test_a_client_can_be_ended_between_the_answer_and_its_arrival(
    control_plane: Cluster, tmp_path: Path, collection: str
) -> None:
    known: list[str] = []

    async def work(api: Api) -> None:
        for name in ("first", "second", "third"):
            await asyncio.to_thread(api.create, collection, {"metadata": {"name": name}})
            known.append(name)

    async def end_at_second(write: Write) -> None:
        if write.number == 2:
            client.cancel()
            reached.set()

    reached = asyncio.Event()
    async with Gate(control_plane.access, after_write=end_at_second).open(tmp_path) as gate:
        with Api(control_plane.access.by_way_of(gate.url)) as api:
            client = asyncio.create_task(work(api))
            await reached.wait()
            await asyncio.wait([client])

    assert client.cancelled()
    assert known == ["first"]
    assert control_plane.api.find(f"{collection}/second") is not None
    assert control_plane.api.find(f"{collection}/third") is None


async def test_a_watch_passes_events_on_as_they_come(control_plane: Cluster, tmp_path: Path, collection: str) -> None:
    async with Gate(control_plane.access).open(tmp_path) as gate:
        with Api(control_plane.access.by_way_of(gate.url)) as api:
            seen = asyncio.create_task(asyncio.to_thread(api.until, "late", collection, _has("late")))
            await asyncio.to_thread(control_plane.api.create, collection, {"metadata": {"name": "late"}})

            assert await seen


async def test_an_answer_of_the_tests_own_reaches_the_client(
    control_plane: Cluster, tmp_path: Path, collection: str
) -> None:
    busy = Answer(429, retry_after=timedelta(seconds=1))
    async with Gate(control_plane.access, judge=lambda call: busy if call.writes else None).open(tmp_path) as gate:
        with Api(control_plane.access.by_way_of(gate.url)) as api:
            with pytest.raises(ApiRefused) as refused:
                await asyncio.to_thread(api.create, collection, {"metadata": {"name": "refused"}})
            assert await asyncio.to_thread(api.items, collection)

        assert refused.value.status == 429
        assert gate.writes == []


@pytest.mark.parametrize(("cut", "arrives"), [(Cut(), False), (Cut(after=True), True)], ids=["before", "after"])
async def test_a_cut_connection_leaves_the_client_in_the_dark(
    control_plane: Cluster, tmp_path: Path, collection: str, *, cut: Cut, arrives: bool
) -> None:
    async with Gate(control_plane.access, judge=lambda call: cut if call.writes else None).open(tmp_path) as gate:
        with Api(control_plane.access.by_way_of(gate.url)) as api, pytest.raises(httpx.TransportError):
            await asyncio.to_thread(api.create, collection, {"metadata": {"name": "perhaps"}})

    assert (control_plane.api.find(f"{collection}/perhaps") is not None) is arrives


async def test_a_delay_holds_back_one_call_and_no_other(
    control_plane: Cluster, tmp_path: Path, collection: str
) -> None:
    held, release = asyncio.Event(), asyncio.Event()

    def judge(call: Call) -> Verdict:
        return Delay(timedelta(hours=1)) if call.writes else None

    gate_ = Gate(control_plane.access, judge=judge, clock=_StoppedClock(held, release))
    async with gate_.open(tmp_path) as gate:
        with Api(control_plane.access.by_way_of(gate.url)) as api:
            late = asyncio.create_task(asyncio.to_thread(api.create, collection, {"metadata": {"name": "late"}}))
            await held.wait()
            assert await asyncio.to_thread(api.find, f"{collection}/late") is None
            release.set()
            assert await late


async def test_a_closed_gate_is_an_api_server_that_is_gone(control_plane: Cluster, tmp_path: Path) -> None:
    async with Gate(control_plane.access).open(tmp_path) as gate:
        with Api(control_plane.access.by_way_of(gate.url)) as api:
            gate.close()
            assert not await asyncio.to_thread(api.ready)

            gate.reopen()
            assert await asyncio.to_thread(api.ready)


async def test_rights_are_those_of_the_client_where_a_test_asks_for_it(
    control_plane: Cluster, binaries: Binaries, tmp_path: Path, namespace: str
) -> None:
    file = control_plane.kubeconfig_of(namespace, "default")
    poor = Kubeconfig.read(file, binaries.path("kubectl"))
    async with Gate(control_plane.access, as_client=True).open(tmp_path) as gate:
        with Api(poor.by_way_of(gate.url)) as api, pytest.raises(ApiRefused) as refused:
            await asyncio.to_thread(api.items, "/api/v1/nodes")

    assert refused.value.status == 403


def _has(name: str) -> Callable[[list[JsonObject]], bool]:
    return lambda items: any(text(item, "metadata", "name") == name for item in items)


def _chart(directory: Path) -> Path:
    chart = directory / "tiny"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 1.0.0\n")
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tiny}\ndata: {a: b}\n"
    (chart / "templates" / "config.yaml").write_text(config_map)
    return chart
