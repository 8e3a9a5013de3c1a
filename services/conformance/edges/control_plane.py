"""What Linkerd's controllers tell, asked of each replica: by its own address in the cluster, else by a port-forward."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeAlias

from services.conformance.core.evidence import NotTold, Told
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.client import Kube
from steward.kube.errors import KubeError
from steward.kube.portforward import PodPort, port_forward
from steward.kube.resources import PODS, SERVICES
from steward.linkerd import marks

if TYPE_CHECKING:
    from steward.proxy_api.client import ProxyApi

Ask: TypeAlias = "Callable[[ProxyApi], Awaitable[JsonObject]]"

_DESTINATION_PORT = 8086
_POLICY_PORT = 8090


@dataclass(frozen=True, slots=True)
class Controllers:
    """Destination and policy, which live in the same pods."""

    kube: Kube
    namespace: str
    direct: bool = True
    """Whether pods can be reached by their own addresses, as from within the cluster."""

    async def destinations(self, authority: str) -> Told | NotTold:
        """What each replica of destination tells of an authority."""

        async def ask(api: "ProxyApi") -> JsonObject:
            return (await api.endpoints(authority)).answer

        return await self._each(_DESTINATION_PORT, ask)

    async def profile(self, address: str) -> Told | NotTold:
        """The profile of `ip:port` or of an authority."""
        return await self._each(_DESTINATION_PORT, lambda api: api.profile(address))

    async def outbound_policy(self, namespace: str, authority: str) -> Told | NotTold:
        """What proxies of a namespace are told about a target."""
        resolved = await self._resolved(authority)
        if isinstance(resolved, NotTold):
            return resolved
        host, port = resolved
        # The controller asks for the namespace alone: routes of consumers are those of the caller's namespace.
        workload = f"{namespace}:linkerd-steward"
        return await self._each(_POLICY_PORT, lambda api: api.outbound_policy(workload, host, port))

    async def inbound_policy(self, namespace: str, pod: str, port: int) -> Told | NotTold:
        """What the proxy of a pod is told about one of its ports."""
        return await self._each(_POLICY_PORT, lambda api: api.inbound_policy(f"{namespace}:{pod}", port))

    async def _each(self, port: int, ask: Ask) -> Told | NotTold:
        """One question to every replica. One that is silent is left out where another one answers."""
        answers: dict[str, JsonObject] = {}
        problem = NotTold("Unavailable", f"no pod of destination in namespace {self.namespace!r} is ready")
        for name, ip in (await self._replicas()).items():
            try:
                # An error that passed through the forward's task group would come out as a group of them.
                async with self._way(name, ip, port) as target:
                    answer = await _asked(target, ask)
            except KubeError as error:
                answer = NotTold("Unavailable", str(error))
            if isinstance(answer, NotTold):
                problem = NotTold(answer.code, f"{name}: {answer.message}")
            else:
                answers[name] = answer
        return Told(answers) if answers else problem

    async def _replicas(self) -> Mapping[str, str]:
        selector = f"{marks.COMPONENT}=destination"
        pods = (await self.kube.list(PODS, self.namespace, labels=selector)).items
        return {text(pod, "metadata", "name"): text(pod, "status", "podIP") for pod in pods if _is_ready(pod)}

    @asynccontextmanager
    async def _way(self, pod: str, ip: str, port: int) -> AsyncIterator[str]:
        if self.direct and ip:
            yield f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
            return
        async with port_forward(self.kube, PodPort(self.namespace, pod, port)) as way:
            yield f"127.0.0.1:{way.local_port}"

    async def _resolved(self, authority: str) -> tuple[str, int] | NotTold:
        """Address and port of `name.namespace.svc.domain:port`, of a pod's own name, or of an address."""
        host, _, port = authority.rpartition(":")
        if not port.isdigit():
            return NotTold("InvalidArgument", f"{authority!r} has no port")
        try:
            return str(ip_address(host.strip("[]"))), int(port)
        except ValueError:
            pass
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0]
        found = await self.kube.find(SERVICES, name, namespace) if namespace else None
        address = text(found, "spec", "clusterIP") if found else ""
        if not address or address == "None":
            return NotTold("NotFound", f"there is no Service {name!r} with an address in namespace {namespace!r}")
        return address, int(port)


async def _asked(target: str, ask: Ask) -> JsonObject | NotTold:
    # gRPC is a sixth of the service's memory: whoever runs no probes need not load it.
    from steward.proxy_api.answers import ProxyApiError
    from steward.proxy_api.client import ProxyApi

    try:
        async with ProxyApi(target) as api:
            return await ask(api)
    except ProxyApiError as error:
        return NotTold(error.code, error.message)


def _is_ready(pod: JsonObject) -> bool:
    conditions = rows(pod, "status", "conditions")
    ready = any(text(each, "type") == "Ready" and text(each, "status") == "True" for each in conditions)
    return ready and not text(pod, "metadata", "deletionTimestamp")
