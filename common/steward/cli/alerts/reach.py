"""How a command reaches Alertmanager and Prometheus.

Each is found by its flag, by STEWARD_ALERTMANAGER or STEWARD_PROMETHEUS, or through a port-forward to the pod behind
alerting's Service. What cannot be reached is a Refusal with the remedy.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from steward.cli.behind_service import ServicePort, pod_behind
from steward.cli.connection import cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Session
from steward.kube.client import Kube
from steward.kube.errors import KubeError
from steward.kube.portforward import Forwarding, PodPort, port_forward
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import Address, JsonApi, MonitoringError, Refused
from steward.monitoring.prometheus import Prometheus

SERVICE = "linkerd-steward-alerting"
ALERTMANAGER_PORT = 9093
PROMETHEUS_PORT = 9090
_AUTHORITIES = (401, 403)


@dataclass(frozen=True, slots=True)
class Alertmanagers:
    """Where Alertmanager is."""

    alertmanager: Annotated[
        str,
        typer.Option(
            "--alertmanager",
            help="Address of Alertmanager (STEWARD_ALERTMANAGER); without one, a port-forward is opened.",
            metavar="URL",
        ),
    ] = ""
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the bearer token that it wants.", metavar="FILE")
    ] = None
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", help="File with the authority of its certificate.", metavar="FILE")
    ] = None


@dataclass(frozen=True, slots=True)
class Monitors(Alertmanagers):
    """Where both are; the token and the authority are for both."""

    prometheus: Annotated[
        str,
        typer.Option(
            "--prometheus",
            help="Address of Prometheus (STEWARD_PROMETHEUS); without one, a port-forward is opened.",
            metavar="URL",
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Way:
    """An API that answers. `pod` is the one behind a port-forward of ours; None where an address was named."""

    api: JsonApi
    pod: PodPort | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    flag: str
    url: str
    port: int
    token_file: Path | None
    ca_file: Path | None

    @property
    def remedy(self) -> str:
        return (
            f"name its address with {self.flag} or STEWARD_{self.name.upper()}; "
            f"without one, port {self.port} of Service {SERVICE!r} is forwarded"
        )


@asynccontextmanager
async def alertmanager(session: Session, where: Alertmanagers, kube: Kube | None = None) -> AsyncIterator[Alertmanager]:
    """Alertmanager; `kube` where an API server is open already."""
    async with way_to_alertmanager(session, where, kube) as way:
        yield Alertmanager(way.api)


@asynccontextmanager
async def way_to_alertmanager(session: Session, where: Alertmanagers, kube: Kube | None = None) -> AsyncIterator[Way]:
    """Alertmanager's API as it is, and the pod that it runs in."""
    url = where.alertmanager or session.environment.alertmanager
    place = _Place("Alertmanager", "--alertmanager", url, ALERTMANAGER_PORT, where.token_file, where.ca_file)
    async with _way(session, place, kube) as way:
        yield way


@asynccontextmanager
async def prometheus(session: Session, where: Monitors, kube: Kube | None = None) -> AsyncIterator[Prometheus]:
    """Prometheus."""
    url = where.prometheus or session.environment.prometheus
    place = _Place("Prometheus", "--prometheus", url, PROMETHEUS_PORT, where.token_file, where.ca_file)
    async with _way(session, place, kube) as way:
        yield Prometheus(way.api)


@asynccontextmanager
async def _way(session: Session, place: _Place, kube: Kube | None) -> AsyncGenerator[Way]:
    forwarding: Forwarding | None = None
    pod: PodPort | None = None
    async with AsyncExitStack() as stack:
        url = _checked(place)
        if not url:
            api = await stack.enter_async_context(cluster(session)) if kube is None else kube
            wanted = ServicePort(await steward_namespace(api), SERVICE, place.port)
            pod = await pod_behind(api, wanted, place.name, place.remedy)
            forwarding = await stack.enter_async_context(port_forward(api, pod))
            url = f"http://127.0.0.1:{forwarding.local_port}"
        address = Address(url, place.token_file, place.ca_file)
        try:
            yield Way(await stack.enter_async_context(JsonApi.open(address, place.name)), pod)
        except MonitoringError as error:
            raise _explained(error, place, forwarding) from error


def _explained(error: MonitoringError, place: _Place, forwarding: Forwarding | None) -> Refusal | KubeError:
    if forwarding is not None and forwarding.problem is not None:
        return forwarding.problem
    if not isinstance(error, Refused):
        return Refusal(str(error), place.remedy, ExitCode.UNREACHABLE)
    if error.status in _AUTHORITIES:
        return Refusal(str(error), "give a bearer token with --token-file", ExitCode.FORBIDDEN)
    return Refusal(str(error))


def _checked(place: _Place) -> str:
    """The address that was named, where it can be one; a password in it must not reach any message."""
    parts = urlsplit(place.url)
    if not place.url or (parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc):
        return place.url
    if "@" in parts.netloc:
        why = f"the address of {place.name} holds a user or a password"
        raise Refusal(why, "leave it out, and give a bearer token with --token-file", ExitCode.USAGE)
    raise Refusal(f"{place.url!r} is no address of {place.name}", "write it like http://127.0.0.1:9093", ExitCode.USAGE)
