"""A server on loopback that has the pages of a whole mesh, and the jobs by which a Prometheus scrapes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from aiohttp import web

from steward.alerting.families import Exposer, Family, MetricCatalogue, catalogue
from steward.clock import Clock, SystemClock
from steward.linkerd.version import Version
from steward.testing.linkerd_pages.faults import Fault, changed
from steward.testing.linkerd_pages.page import Series, rendered
from steward.testing.linkerd_pages.portrait import PORTRAITS, Container, at_rest, is_shown

PLAIN = "text/plain"
_CONTROLLERS = {
    "destination": (Exposer.DESTINATION, "linkerd-destination"),
    "sp-validator": (Exposer.SP_VALIDATOR, "linkerd-destination"),
    "policy": (Exposer.POLICY, "linkerd-destination"),
    "identity": (Exposer.IDENTITY, "linkerd-identity"),
    "proxy-injector": (Exposer.PROXY_INJECTOR, "linkerd-proxy-injector"),
}


@dataclass(frozen=True, slots=True)
class MeshPod:
    """A pod with a proxy."""

    namespace: str
    name: str
    workload: str
    calls: str = ""
    """The Service that it calls, as `name.namespace`."""


PODS = (
    *(
        MeshPod("linkerd", f"{each}-5d8f9c7b6-x2x7q", each)
        for each in sorted({each for _, each in _CONTROLLERS.values()})
    ),
    *(MeshPod("shop", f"web-6c9d5f4b8-{replica}", "web", "api.shop") for replica in ("k4k9c", "m8m2p")),
    *(MeshPod("shop", f"api-7f8b9d6c5-{replica}", "api") for replica in ("k4k9c", "m8m2p")),
)
"""A control plane and two applications."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One job: where it scrapes what, and the labels that each target gets."""

    job: str
    targets: tuple[tuple[str, Mapping[str, str]], ...] = field(hash=False)
    """Path of each page, and its labels."""


class SyntheticLinkerd:
    """The pages of one version; by default with two applications in `shop`, of which `web` calls `api`.

    mesh = SyntheticLinkerd(Version.parse("edge-26.8.3"))
    async with mesh:
        mesh.break_it(Fault.EXPIRED_LEAVES)
    """

    def __init__(
        self,
        version: Version,
        *,
        pods: Iterable[MeshPod] = PODS,
        clock: Clock | None = None,
        known: MetricCatalogue | None = None,
    ) -> None:
        self.version = version
        self._pods = tuple(pods)
        self.port = 0
        self._clock = clock or SystemClock()
        self._known = known or catalogue()
        self._born = self._clock.now().timestamp() - 3600
        self._began = self._clock.monotonic()
        self._faults: dict[Fault, float] = {}
        self._renamed: dict[str, str] = {}
        self._containers = self._cast()
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def faults(self) -> frozenset[Fault]:
        """What is wrong now."""
        return frozenset(self._faults)

    def break_it(self, fault: Fault) -> None:
        """From the next scrape on it is so."""
        self._faults[fault] = self._clock.monotonic()

    def mend(self) -> None:
        """Nothing is wrong any more."""
        self._faults.clear()

    def rename(self, family: str, name: str = "") -> None:
        """Have a family under another name on all pages, or without one not at all."""
        self._renamed[family] = name

    def name_all(self) -> None:
        """Every family has its own name again."""
        self._renamed.clear()

    def remove(self, component: str) -> None:
        """A controller that is not there: its page is 404, as an address is where nobody listens."""
        self._containers = {path: each for path, each in self._containers.items() if each.component != component}

    def scrapes(self, *, prefix: str = "") -> tuple[Scrape, ...]:
        """The jobs, named as viz's are; with `linkerd/` as the prefix as those of PodMonitors are."""
        everything = self._cast()
        proxies = {path: each for path, each in everything.items() if each.exposer is Exposer.PROXY}
        others = {path: each for path, each in everything.items() if each.component}
        api_server = {path: each for path, each in everything.items() if each.exposer is Exposer.API_SERVER}
        return (
            Scrape(f"{prefix}linkerd-proxy", tuple((path, _proxy_labels(each)) for path, each in proxies.items())),
            Scrape(
                f"{prefix}linkerd-controller",
                tuple((path, _controller_labels(each, by_operator=bool(prefix))) for path, each in others.items()),
            ),
            Scrape("apiserver", tuple((path, {}) for path in api_server)),
        )

    def page(self, path: str) -> str | None:
        """What the container at `path` says now; None where there is none."""
        container = self._containers.get(path)
        if container is None:
            return None
        families = [each for each in self._known.exposed(self.version) if self._shown(each, container)]
        return "".join(self._family(each, container) for each in families)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        page = self.page(f"/{request.match_info['path']}")
        if page is None:
            return web.Response(status=404)
        return web.Response(text=page, content_type=PLAIN)

    def _shown(self, family: Family, container: Container) -> bool:
        return is_shown(family, container.exposer, self._known.edge(self.version))

    def _family(self, family: Family, container: Container) -> str:
        now, moment = self._clock.now().timestamp(), self._clock.monotonic()
        portrait = PORTRAITS.get(family.name, at_rest)
        healthy = portrait(container, family, now)
        series = healthy
        for fault, since in self._faults.items():
            series = tuple(
                each if each in healthy else _since(each, moment - since, moment - self._began)
                for each in changed(fault, container, family, series, now)
            )
        name = self._renamed.get(family.name, family.name)
        return rendered(replace(family, name=name), series, moment - self._began) if name else ""

    def _cast(self) -> dict[str, Container]:
        found = {"/apiserver": self._container(Exposer.API_SERVER, MeshPod("", "", ""))}
        for pod in self._pods:
            made = self._container(Exposer.PROXY, pod)
            found[f"/proxy/{pod.namespace}/{pod.name}"] = replace(made, calls=pod.calls)
            for component, (exposer, workload) in _CONTROLLERS.items():
                if pod.namespace == "linkerd" and pod.workload == workload:
                    path = f"/{component}" if f"/{component}" not in found else f"/{component}/{pod.name}"
                    found[path] = self._container(exposer, pod, component)
        return found

    def _container(self, exposer: Exposer, pod: MeshPod, component: str = "") -> Container:
        number = str(self._known.edge(self.version) or self.version)
        return Container(exposer, pod.namespace, pod.name, pod.workload, component, number, self._born)


def _since(series: Series, broken_for: float, age: float) -> Series:
    """A series that began to grow when something broke: its counter must not seem to have grown before."""
    return Series(series.labels, series.value - series.rate * (age - broken_for), series.rate)


def _proxy_labels(container: Container) -> Mapping[str, str]:
    return {
        "namespace": container.namespace,
        "pod": container.pod,
        "deployment": container.workload,
        "control_plane_ns": "linkerd",
        "workload_ns": container.namespace,
    }


def _controller_labels(container: Container, *, by_operator: bool) -> Mapping[str, str]:
    labels = {"component": container.component}
    if by_operator:
        labels |= {"namespace": container.namespace, "pod": container.pod, "container": container.component}
    return labels
