"""The same mesh as Prometheus sees it under several scrape configurations: which labels its series get."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

from steward.alerting.monitoring import ScrapeKind


class World(StrEnum):
    """How the mesh is scraped."""

    VIZ = "viz"
    """By viz's own configuration: short jobs, controllers without a namespace."""
    POD_MONITOR = "pod-monitor"
    """By PodMonitors: jobs with a namespace, labels of the target on everything."""
    COLLIDING = "colliding"
    """By PodMonitors, and the pods have labels that are called like labels of the metrics."""
    STRANGE = "strange"
    """By jobs that have nothing to do with Linkerd: another mesh, somebody's copy."""

    @property
    def scrape(self) -> ScrapeKind:
        """How that is called."""
        return ScrapeKind.POD_MONITOR if self in (World.POD_MONITOR, World.COLLIDING) else ScrapeKind.VIZ


@dataclass(frozen=True, slots=True)
class Target:
    """Where a series comes from: `proxy:shop/web-1`, `destination:0`, `exporter:0`, `api-server:0` and so on."""

    kind: str
    name: str

    @classmethod
    def parse(cls, said: str) -> "Target":
        """Raise ValueError where it is none."""
        kind, colon, name = said.partition(":")
        if not colon or not name:
            raise ValueError(f"{said!r} is no target: like proxy:shop/web-1 or destination:0")
        return cls(kind, name)

    @property
    def instance(self) -> str:
        """Address of the page."""
        return f"10.{crc32(f'{self.kind}:{self.name}'.encode()) % 250}.0.1:4191"

    def labels(self, world: World) -> dict[str, str]:
        """What the scrape adds."""
        if world is World.STRANGE:
            return {**self.labels(World.VIZ), "job": "somebody-else"}
        prefix = "" if world is World.VIZ else "linkerd/"
        match self.kind:
            case "proxy":
                return self._of_proxy(world, f"{prefix}linkerd-proxy")
            case "mirror":
                return self._of_pod(world, f"{prefix}linkerd-multicluster-controller", "linkerd-multicluster")
            case "exporter":
                job = "linkerd-steward" if world is World.VIZ else "steward/linkerd-steward-alerting"
                return {
                    name: value for name, value in self._of_pod(world, job, "steward").items() if name != "component"
                }
            case "api-server" | "prometheus" | "alertmanager":
                return {"job": self.kind.replace("api-server", "apiserver"), "instance": self.instance}
            case _:
                return self._of_pod(world, f"{prefix}linkerd-controller", "linkerd")

    def _of_pod(self, world: World, job: str, namespace: str) -> dict[str, str]:
        here = {"job": job, "instance": self.instance, "component": self.kind}
        if world is World.VIZ:
            return here
        pod = f"{self.kind}-{self.name}"
        return {**here, "namespace": namespace, "pod": pod, "container": self.kind, "endpoint": "admin"}

    def _of_proxy(self, world: World, job: str) -> dict[str, str]:
        namespace, _, pod = self.name.partition("/")
        workload = pod.rpartition("-")[0]
        labels = {"job": job, "instance": self.instance, "namespace": namespace, "pod": pod, "deployment": workload}
        labels |= {"app": workload, "control_plane_ns": "linkerd", "workload_ns": namespace}
        if world is World.COLLIDING:
            labels |= {"version": f"{workload}-7", "component": "web", "name": workload, "hostname": "h", "serial": "1"}
        return labels


def scraped(target: Target, own: Mapping[str, str], world: World) -> dict[str, str]:
    """All labels of a series: where the target has a label of the same name, the metric's own steps aside."""
    added = target.labels(world)
    kept = {(f"exported_{name}" if name in added else name): value for name, value in own.items()}
    return {**kept, **added}
