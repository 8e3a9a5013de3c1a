"""How the API server and NATS are reached: context, impersonation, flags, environment, port-forward."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from pydantic import SecretStr

from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.cli.connection import NATS_SECRET, NATS_SERVICE, NATS_USERS, named_bus
from steward.cli.environment import Environment
from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.events.upgrades import UpgradeFinished
from steward.jsonvalue import JsonObject
from steward.kube.resources import NAMESPACES, PODS, SECRETS, SERVICES
from steward.testing.command import Command, StewardCluster
from steward.testing.events import build, enveloped
from steward.testing.kubernetes.access import Rule
from steward.testing.nats import NatsServer, NatsUser

SECRET_PASSWORD = "correct-horse-battery"


@asynccontextmanager
async def front(api: str, nats_port: int) -> AsyncIterator[tuple[str, list[web.BaseRequest]]]:
    """Before an API server: pods/portforward leads to NATS, as through a kubelet; everything else passes on."""
    seen: list[web.BaseRequest] = []

    async def pass_on(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        if request.path.endswith("/portforward"):
            return await _carry(request, nats_port)
        async with aiohttp.ClientSession() as session:
            kind = request.headers.get("Content-Type", "application/json")
            upstream = await session.request(
                request.method, api + request.path_qs, data=await request.read(), headers={"Content-Type": kind}
            )
            return web.Response(status=upstream.status, body=await upstream.read(), content_type="application/json")

    runner = web.ServerRunner(web.Server(pass_on))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def _carry(request: web.BaseRequest, port: int) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
    await socket.prepare(request)
    notice = (4222).to_bytes(2, "little")
    await socket.send_bytes(b"\x00" + notice)
    await socket.send_bytes(b"\x01" + notice)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def downward() -> None:
        while chunk := await reader.read(65536):
            await socket.send_bytes(b"\x00" + chunk)
        await socket.close()

    task = asyncio.create_task(downward())
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data[1:])
                await writer.drain()
    finally:
        task.cancel()
        writer.close()
    return socket


def kubeconfig(path: Path, server: str) -> Path:
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "c", "user": {}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
            }
        )
    )
    return path


async def _installed_nats(cluster: StewardCluster, *, ready: bool = True, password: str = SECRET_PASSWORD) -> None:
    namespace: JsonObject = {"metadata": {"name": "linkerd-steward", "labels": {"linkerd.io/extension": "steward"}}}
    await cluster.kube.create(NAMESPACES, namespace)
    where = {"namespace": "linkerd-steward"}
    await cluster.kube.create(
        SERVICES,
        {
            "metadata": {"name": NATS_SERVICE, **where},
            "spec": {"selector": {"app.kubernetes.io/name": "nats"}, "ports": [{"port": 4222}]},
        },
    )
    await cluster.kube.create(
        PODS,
        {
            "metadata": {"name": "nats-0", "labels": {"app.kubernetes.io/name": "nats"}, **where},
            "spec": {"containers": [{"name": "nats", "image": "nats"}]},
        },
    )
    status: JsonObject = {"status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}
    await cluster.kube.merge(PODS, "nats-0", status, "linkerd-steward", subresource="status")
    encoded = base64.b64encode(password.encode()).decode()
    data: JsonObject = dict.fromkeys(NATS_USERS, encoded)
    await cluster.kube.create(SECRETS, {"metadata": {"name": NATS_SECRET, **where}, "data": data})


async def test_nats_is_reached_through_a_port_forward_with_the_secret_s_credentials(
    cli: Command, cluster: StewardCluster
) -> None:
    await _installed_nats(cluster)
    users = [NatsUser("cli", SECRET_PASSWORD), NatsUser("test", "test")]
    async with NatsServer(users=users) as nats, front(cluster.fake.url, nats.port) as (url, seen):
        settings = BusSettings(servers=(nats.url,), user="test", password=SecretStr("test"))
        bus = await Bus.connect(settings, name="test", clock=SystemClock())
        await bus.reconcile()
        await bus.publish(enveloped(build(UpgradeFinished)))
        await bus.close()
        path = kubeconfig(cli.home / "config", url)
        answer = await cli("events", "tail", "--no-follow", "-o", "json", "--kubeconfig", str(path), "--verbose")
        assert answer.code == 0, answer.err
        assert json.loads(answer.out)["type"] == UpgradeFinished.type()
        assert SECRET_PASSWORD not in answer.out + answer.err
        assert any(request.path.endswith("/pods/nats-0/portforward") for request in seen)


@pytest.mark.usefixtures("cluster")
async def test_without_a_service_the_remedy_is_named(cli: Command) -> None:
    answer = await cli("events", "tail")
    assert answer.code == 5
    assert "there is no Service 'nats' in namespace 'linkerd-steward' to reach NATS through" in answer.err
    assert "--nats or STEWARD_NATS" in answer.err


async def test_without_a_ready_pod_the_pods_are_named(cli: Command, cluster: StewardCluster) -> None:
    await _installed_nats(cluster, ready=False)
    answer = await cli("dead-letters", "list")
    assert answer.code == 5
    assert "none of the 1 pods behind Service 'linkerd-steward/nats' is ready" in answer.err
    assert "kubectl -n linkerd-steward get pods -l app.kubernetes.io/name=nats" in answer.err


async def test_a_server_that_does_not_answer_is_unreachable(cli: Command) -> None:
    variables = {"STEWARD_BUS__CONNECT_TIMEOUT": "PT0.2S"}
    answer = await cli("events", "tail", "--nats", "nats://127.0.0.1:1", **variables)
    assert answer.code == 5
    assert "nats://127.0.0.1:1" in answer.err
    assert "--nats or STEWARD_NATS" in answer.err


async def test_a_server_that_refuses_us_is_told_apart(cli: Command) -> None:
    async with NatsServer(users=[NatsUser("cli", SECRET_PASSWORD)]) as nats:
        answer = await cli("events", "tail", "--nats", nats.url)
        assert answer.code == 6
        assert "STEWARD_BUS__" in answer.err


@pytest.mark.parametrize(
    ("flag", "environment", "servers"),
    [
        ("nats://a:1", Environment(nats="nats://b:2"), ("nats://a:1",)),
        ("", Environment(nats="nats://b:2,nats://c:3"), ("nats://b:2", "nats://c:3")),
        ("", Environment(bus={"STEWARD_BUS__SERVERS": "nats://d:4"}), ("nats://d:4",)),
        ("", Environment(nats="nats://b:2", bus={"STEWARD_BUS__SERVERS": "nats://d:4"}), ("nats://b:2",)),
    ],
)
def test_the_nearest_word_names_the_servers(flag: str, environment: Environment, servers: tuple[str, ...]) -> None:
    settings = named_bus(environment, flag)
    assert settings is not None
    assert settings.servers == servers


def test_nobody_names_the_servers() -> None:
    assert named_bus(Environment(bus={"STEWARD_BUS__USER": "me"}), "") is None


@pytest.mark.parametrize("url", ["http://a", "nats://user:secret@a", ""])
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    if not url:
        assert named_bus(Environment(), url) is None
        return
    with pytest.raises(ConfigurationError) as raised:
        named_bus(Environment(), url)
    assert "secret" not in str(raised.value)


async def test_another_identity_is_asked_for_in_every_request(cli: Command, cluster: StewardCluster) -> None:
    async with front(cluster.fake.url, 0) as (url, seen):
        path = kubeconfig(cli.home / "config", url)
        answer = await cli(
            "upgrade", "list", "--as", "jane", "--as-group=[ops,dev]", "--as-group", "more", "--kubeconfig", str(path)
        )
    assert answer.code == 0, answer.err
    assert seen
    for request in seen:
        assert request.headers.getall("Impersonate-User") == ["jane"]
        assert request.headers.getall("Impersonate-Group") == ["ops", "dev", "more"]


@pytest.mark.usefixtures("cluster")
async def test_a_group_without_a_user_is_refused(cli: Command) -> None:
    answer = await cli("upgrade", "list", "--as-group", "ops")
    assert answer.code == 2
    assert "--as-group needs --as" in answer.err


async def test_an_empty_list_of_groups_impersonates_nobody(cli: Command, cluster: StewardCluster) -> None:
    async with front(cluster.fake.url, 0) as (url, seen):
        path = kubeconfig(cli.home / "config", url)
        answer = await cli("upgrade", "list", "--as-group=[]", f"--kubeconfig={path}")
    assert answer.code == 0
    assert all("Impersonate-User" not in request.headers for request in seen)


async def test_an_identity_without_rights_is_told_what_it_lacks(cli: Command, cluster: StewardCluster) -> None:
    path = cluster.fake.add_user("weak", "weak", [Rule(verbs=("get",))])
    answer = await cli("upgrade", "list", KUBECONFIG=str(path))
    assert answer.code == 6
    assert "upgraderuns" in answer.err
    assert "--as, --context" in answer.err


@pytest.mark.usefixtures("cluster")
async def test_an_unknown_context_lists_the_known_ones(cli: Command) -> None:
    answer = await cli("upgrade", "list", "--context", "nosuch")
    assert answer.code == 2
    assert "has no context 'nosuch': it has fake" in answer.err


async def test_global_flags_count_before_and_behind_the_command(cli: Command, cluster: StewardCluster) -> None:
    path = str(cluster.fake.kubeconfig())
    for arguments in (
        ("--kubeconfig", path, "upgrade", "list"),
        ("upgrade", "--kubeconfig", path, "list"),
        ("upgrade", "list", "--kubeconfig", path),
        ("--kubeconfig", "/missing", "upgrade", "list", "--kubeconfig", path),
    ):
        answer = await cli(*arguments, KUBECONFIG="")
        assert answer.code == 0, answer.err
