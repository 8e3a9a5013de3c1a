"""The shipped scrape configuration in a real Prometheus: adjusted to a test's API server, and what it finds there."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from aiohttp import web

from steward.jsonvalue import JsonObject, rows, strings, table, text, texts
from steward.testing.monitoring.prometheus import Prometheus
from steward.testing.monitoring.waiting import eventually
from tests.deploy.kustomize import DEPLOY
from tests.deploy.scraped_mesh import Pod

SHIPPED = DEPLOY / "components/alerting/prometheus.yml"
OF_CONTROLLERS = 'own_label{namespace="shop"} 1\n'
"""Stands for every metric of a controller, or of Steward, that says which namespace it is about."""
_PAGE = 'page{version="own",error="own",tls="own"} 1\n'


@dataclass(frozen=True, slots=True)
class Api:
    """How Prometheus reaches the API server; one without token and authority is a fake one, which speaks plainly."""

    kubeconfig: Path
    token: Path | None = None
    authority: Path | None = None


def adjusted(api: Api, rules: Path) -> str:
    """The shipped configuration with the addresses and files of a test, and scrapes every second; else as it is."""
    found = shipped()
    table(found, "global")["scrape_interval"] = "1s"
    found["rule_files"] = [str(rules / "*.yaml")]
    for job in rows(found, "scrape_configs"):
        for discovery in rows(job, "kubernetes_sd_configs"):
            discovery["kubeconfig_file"] = str(api.kubeconfig)
        if "scrape_interval" in job:
            job["scrape_interval"] = "1s"
        if text(job, "job_name") == "apiserver":
            _ask(job, api)
    return yaml.safe_dump(found)


def shipped() -> JsonObject:
    """As a value."""
    found: JsonObject = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return found


def _ask(job: JsonObject, api: Api) -> None:
    if api.token is None or api.authority is None:
        job["scheme"] = "http"
        del job["authorization"], job["tls_config"]
        return
    table(job, "authorization")["credentials_file"] = str(api.token)
    table(job, "tls_config")["ca_file"] = str(api.authority)


@asynccontextmanager
async def serving(pages: Mapping[tuple[str, int], str]) -> AsyncIterator[None]:
    """Pages at `/metrics`, by address and port."""

    async def answer(request: web.Request) -> web.Response:
        place = request.transport.get_extra_info("sockname") if request.transport else ("", 0)
        return web.Response(text=pages[place[0], place[1]], content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        for address, port in pages:
            await web.TCPSite(runner, address, port, reuse_address=True).start()
        yield


def pages_of(pods: Iterable[Pod]) -> dict[tuple[str, int], str]:
    """A page for every port of every pod that could be taken for one with metrics, even if it must not be."""
    return {
        (pod.address, port): _PAGE if name == "linkerd-admin" else _PAGE + OF_CONTROLLERS
        for pod in pods
        for _, ports in (*pod.containers, *pod.sidecars)
        for name, port in ports
        if name.endswith(("admin", "admin-http", "metrics"))
    }


async def found_by(prometheus: Prometheus, wanted: int) -> dict[tuple[str, str, int], JsonObject]:
    """What it scrapes of the mesh, by job, address and port, once there is as much as wanted and each was asked."""

    async def complete() -> dict[tuple[str, str, int], JsonObject]:
        answer = await prometheus.get("/api/v1/targets", {"state": "active"})
        found = {_place(each): each for each in rows(answer, "data", "activeTargets") if _of_mesh(each)}
        asked = all(text(each, "health") in ("up", "down") for each in found.values())
        return found if len(found) >= wanted and asked else {}

    return await eventually(f"{wanted} targets", complete)


def _of_mesh(target: JsonObject) -> bool:
    return text(target, "labels", "job") not in ("prometheus", "alertmanager", "apiserver")


def _place(target: JsonObject) -> tuple[str, str, int]:
    host, _, port = texts(target, "labels")["instance"].rpartition(":")
    return text(target, "labels", "job"), host, int(port)


async def label_names(prometheus: Prometheus) -> set[str]:
    """Every label that any series has."""
    answer = await prometheus.get("/api/v1/labels")
    return set(strings(answer, "data"))
