"""How the stand-in `linkerd` finds its cluster and identifies itself."""

import asyncio
import json
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from steward.jsonvalue import JsonObject, text
from steward.kube.resources import PODS
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.certificates import YEAR, Authority, Validity
from steward.testing.linkerd.cli.api import ApiRefused, Asked, Cluster, NotConfigured, login
from steward.testing.linkerd.cli.flags import Parsed, UsageError, duration, spelled
from steward.testing.linkerd.cli.stored import Refused, overrides_of
from steward.testing.linkerd.values import dump
from tests.common.testing_linkerd.command_line import cluster_of

VALIDITY = Validity.around(datetime.now(UTC), YEAR)  # noqa: TID251  (Python's own TLS looks at the real clock)


def kubeconfig(path: Path, cluster: JsonObject, user: JsonObject) -> Path:
    document: JsonObject = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(dump(document))
    return path


@asynccontextmanager
async def a_server(folder: Path, authority: Authority) -> AsyncIterator[str]:
    """Answers over TLS with what it was told: the client's name and its headers."""

    async def answer(request: web.BaseRequest) -> web.Response:
        certificate = request.get_extra_info("peercert") or {}
        headers = [[name, value] for name, value in request.headers.items()]
        return web.json_response({"client": str(certificate.get("subject", "")), "headers": headers})

    serving = authority.issue_leaf("localhost", VALIDITY, addresses=["127.0.0.1"])
    (folder / "server.pem").write_text(serving.certificate + serving.key)
    (folder / "ca.pem").write_text(authority.pair.certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(folder / "server.pem")
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def asked_of(address: Asked) -> JsonObject:
    def ask() -> JsonObject:
        with closing(Cluster(login(address))) as cluster:
            return cluster.get("/version")

    return await asyncio.to_thread(ask)


async def test_a_client_certificate_identifies_over_tls(tmp_path: Path) -> None:
    authority = Authority.self_signed("test", VALIDITY)
    mine = authority.issue_leaf("me", VALIDITY)
    encoded = {
        name: b64encode(pem.encode()).decode()
        for name, pem in (("ca", authority.pair.certificate), ("crt", mine.certificate), ("key", mine.key))
    }
    async with a_server(tmp_path, authority) as server:
        path = kubeconfig(
            tmp_path / "config",
            {"server": server, "certificate-authority-data": encoded["ca"]},
            {"client-certificate-data": encoded["crt"], "client-key-data": encoded["key"]},
        )
        said = await asked_of(Asked(kubeconfig=str(path), user="jane", groups=("a", "b")))
    assert "'me'" in text(said, "client")
    headers = said["headers"]
    assert isinstance(headers, list)
    assert ["Impersonate-User", "jane"] in headers
    assert [header for header in headers if header and header[0] == "Impersonate-Group"] == [  # type: ignore[index]
        ["Impersonate-Group", "a"],
        ["Impersonate-Group", "b"],
    ]


async def test_a_foreign_server_is_not_believed_unless_told_so(tmp_path: Path) -> None:
    async with a_server(tmp_path, Authority.self_signed("test", VALIDITY)) as server:
        path = kubeconfig(tmp_path / "config", {"server": server}, {})
        with pytest.raises(ApiRefused, match=r"(?i)certificate"):
            await asked_of(Asked(kubeconfig=str(path)))
        path = kubeconfig(tmp_path / "config", {"server": server, "insecure-skip-tls-verify": True}, {})
        assert text(await asked_of(Asked(kubeconfig=str(path))), "client") == ""


async def test_tokens_come_from_the_file_or_from_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    answer = json.dumps({"status": {"token": "from-plugin"}})
    plugin: JsonObject = {"command": sys.executable, "args": ["-c", f"print({answer!r})"]}
    (tmp_path / "ca.pem").touch()
    authority = Authority.self_signed("test", VALIDITY)
    async with a_server(tmp_path, authority) as server:
        for user, token in (
            ({"tokenFile": str(tmp_path / "token")}, "from-file"),
            ({"exec": plugin}, "from-plugin"),
            ({"token": "plain"}, "plain"),
        ):
            path = kubeconfig(tmp_path / "config", {"server": server, "certificate-authority": "ca.pem"}, dict(user))
            said = await asked_of(Asked(kubeconfig=str(path)))
            assert ["Authorization", f"Bearer {token}"] in said["headers"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("{", "flow node", id="no YAML"),
        pytest.param("a: b", 'context "" does not exist', id="no context"),
        pytest.param(
            "contexts: [{name: c, context: {cluster: x}}]\ncurrent-context: c", "no configuration", id="empty"
        ),
    ],
)
def test_a_broken_kubeconfig_is_named(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(NotConfigured, match=problem):
        login(Asked(kubeconfig=str(tmp_path / "config")))


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with cluster_of(None), pytest.raises(NotConfigured, match="No such file"):
        login(Asked(kubeconfig=str(tmp_path / "nothing")))


async def test_lists_are_read_page_by_page(fake_kubernetes: FakeKubernetes) -> None:
    for number in range(601):
        pod: JsonObject = {"metadata": {"name": f"p{number}"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        fake_kubernetes.cluster.create(PODS, pod, "default")

    def ask() -> int:
        with closing(Cluster(login(Asked(kubeconfig=str(fake_kubernetes.kubeconfig()))))) as cluster:
            return len(cluster.list(PODS))

    assert await asyncio.to_thread(ask) == 601


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("a.b=c", {"a": {"b": "c"}}),
        ("a=1,b=true,c=null", {"a": 1, "b": True, "c": None}),
        (r"networks=10.0.0.0/8\,127.0.0.0/8", {"networks": "10.0.0.0/8,127.0.0.0/8"}),
        (r"podAnnotations.example\.com/x=007", {"podAnnotations": {"example.com/x": "007"}}),
    ],
)
def test_values_are_set_as_helm_sets_them(assignment: str, expected: JsonObject) -> None:
    assert overrides_of(Parsed({"set": [assignment]})) == expected


def test_a_value_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has no value"):
        overrides_of(Parsed({"set": ["a.b"]}))
    with pytest.raises(Refused, match="No such file"):
        overrides_of(Parsed({"values": [str(tmp_path / "nothing.yaml")]}))


@pytest.mark.parametrize("written", ["5m0s", "10s", "1m30s", "1h0m0s", "500ms", "0s"])
def test_durations_are_written_as_go_writes_them(written: str) -> None:
    assert spelled(duration(written)) == written


@pytest.mark.parametrize("written", ["", "5", "m", "1m 5s"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="invalid duration"):
        duration(written)
