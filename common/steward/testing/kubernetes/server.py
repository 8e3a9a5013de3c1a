"""`FakeKubernetes`: a Kubernetes API server in this process, on loopback, with faults on demand.

    async with FakeKubernetes() as kubernetes:
        kube = await Kube.connect(kubeconfig=kubernetes.kubeconfig())

It keeps the promises that `tests/contracts/kubernetes` checks against a real kube-apiserver as well. What it does not
do: CEL rules and admission policies are not evaluated, webhooks are Python callbacks (`admit`), no controller runs (but
garbage collection and namespace deletion happen at once), bodies are JSON only.
"""

import asyncio
import json
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from steward.clock import Clock, SystemClock
from steward.jsonvalue import JsonObject
from steward.kube.resources import Resource
from steward.testing.kubernetes.access import Access, Rule
from steward.testing.kubernetes.admission import Admit, Webhook
from steward.testing.kubernetes.aggregation import Aggregation
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.deletion import Undertaker
from steward.testing.kubernetes.discovery import VERSION
from steward.testing.kubernetes.endpoints import Endpoints
from steward.testing.kubernetes.faults import AuditEntry, Faults, WriteHook
from steward.testing.kubernetes.forwarding import PodPorts
from steward.testing.kubernetes.front import Front
from steward.testing.kubernetes.refusal import expired
from steward.testing.kubernetes.store import Store

_AUDIT_KEPT = 200_000


class FakeKubernetes:
    """One simulated cluster with its API server."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        history: int = 10_000,
        bookmark_every: timedelta = timedelta(seconds=60),
        graceful_pods: bool = False,
        version: str = "v1.36.3",
    ) -> None:
        self.clock = clock or SystemClock()
        self.cluster = ClusterState(clock=self.clock, store=Store(history=history))
        self.access = Access()
        self.faults = Faults()
        self.audit: deque[AuditEntry] = deque(maxlen=_AUDIT_KEPT)
        undertaker = Undertaker(self.cluster, graceful_pods=graceful_pods)
        about: JsonObject = {**VERSION, "gitVersion": version}
        self.endpoints = Endpoints(self.cluster, undertaker, self.access, about, bookmark_every)
        self._ports = PodPorts(self.cluster)
        self._aggregation = Aggregation(self.cluster, self.access, self.clock)
        self._front = Front(
            self.endpoints, self.access, self.faults, self.audit, self.clock, self._ports, self._aggregation
        )
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None
        self._port = 0
        self._directory = tempfile.TemporaryDirectory(prefix="fake-kubernetes-")

    async def __aenter__(self) -> "FakeKubernetes":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        """Where it listens, also after a restart."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._front.watches)

    async def start(self) -> None:
        """Listen; after `stop` on the same port with the same state."""
        self._front.stopped = asyncio.Event()
        self._server = web.Server(self._front.handle)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Break every connection and refuse new ones; the state stays."""
        self._front.stopped.set()
        for watch in tuple(self._front.watches):
            watch.end()
        if self._server is not None:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, token: str = "") -> Path:
        """A kubeconfig file for the administrator, or for the user of a token."""
        user: dict[str, str] = {"token": token} if token else {}
        path = Path(self._directory.name) / f"{token or 'admin'}.kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": user}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def add_user(self, token: str, user: str, rules: Sequence[Rule]) -> Path:
        """An identity with exactly these rights; returns its kubeconfig."""
        self.access.add(token, user, rules)
        return self.kubeconfig(token)

    def admit(
        self, resource: Resource, admit: Admit, *, name: str = "test", operations: Sequence[str] = ("CREATE",)
    ) -> None:
        """Ask `admit` about every object of `resource`, dry runs included: a simulated injector."""
        self.cluster.webhooks.append(Webhook(name, resource, admit, tuple(operations)))

    def on_write(self, hook: WriteHook) -> None:
        """Tell `hook` of each mutating request just before and just after it is carried out."""
        self._front.hooks.append(hook)

    def listen(self, namespace: str, pod: str, port: int, local_port: int) -> None:
        """Let a listener of the test on loopback stand for a port of a pod, so that it can be forwarded."""
        self._ports.listeners[(namespace, pod, port)] = local_port

    def aggregate(self, namespace: str, service: str, local_port: int | None) -> None:
        """Let a TLS listener on loopback stand for a Service that an APIService names; None: nobody is behind it."""
        if local_port is None:
            self._aggregation.listeners.pop((namespace, service), None)
        else:
            self._aggregation.listeners[(namespace, service)] = local_port

    def log(self, namespace: str, pod: str, container: str, read: Callable[[], str]) -> None:
        """Let what `read` returns be the log of a container; all of it, however far back somebody asks."""
        self.endpoints.logs[(namespace, pod, container)] = read

    def cut_watches(self) -> None:
        """End every open watch as if its time were over."""
        for watch in tuple(self._front.watches):
            watch.end()

    def expire_watches(self) -> None:
        """Forget all history and tell every open watch so: 410 inside its 200 answer."""
        self.cluster.store.compact()
        for watch in tuple(self._front.watches):
            watch.end(expired(f"too old resource version: 1 ({self.cluster.store.version})"))
