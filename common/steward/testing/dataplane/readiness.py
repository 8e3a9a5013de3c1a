"""Readiness probes over HTTP: the kubelet asks from the node, and so meets the pod's inbound policy."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from steward.jsonvalue import JsonObject, dig, rows, text, whole
from steward.testing.dataplane.control.world import container_ports
from steward.testing.linkerd.proxy import PROXY

_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the pod wants to be asked."""

    port: int
    path: str
    period: timedelta


def wanted_of(pod: JsonObject) -> Wanted | None:
    """The first HTTP readiness probe of the pod's own containers."""
    for container in rows(pod, "spec", "containers"):
        if text(container, "name") == PROXY:
            continue
        port = dig(container, "readinessProbe", "httpGet", "port")
        number = container_ports(pod).get(port, 0) if isinstance(port, str) else port
        if isinstance(number, int) and number:
            path = text(container, "readinessProbe", "httpGet", "path", default="/")
            period = whole(container, "readinessProbe", "periodSeconds", default=10)
            return Wanted(number, path, timedelta(seconds=period))
    return None


async def is_alive(ip: str, wanted: Wanted) -> bool:
    """Whether the answer is a success or a redirect."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(ip, wanted.port)
            try:
                head = f"GET {wanted.path} HTTP/1.1\r\nHost: {ip}:{wanted.port}\r\nUser-Agent: kube-probe/1.36\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    words = status.split()
    return len(words) > 1 and words[1].isdigit() and 200 <= int(words[1]) < 400
