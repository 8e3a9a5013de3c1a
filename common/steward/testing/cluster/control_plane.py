"""A throwaway Kubernetes control plane: real etcd, API server, controllers and scheduler, with KWOK for nodes.

Every ClusterIP lies inside 127/8, so that the API server's calls to webhooks stay on this machine and a process of the
test can listen on a Service's own address.
"""

import json
import shutil
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from steward.clock import Clock, SystemClock
from steward.errors import ConfigurationError
from steward.jsonvalue import JsonObject, rows, text
from steward.testing.cluster import components
from steward.testing.cluster.api import Api, ApiRefused
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.cluster.pki import Authority, KeyPair, Validity, signing_key
from steward.testing.processes import Program, free_ports, until

_READY_WITHIN = timedelta(seconds=180)
_PODS_A_NODE = "1000"
_ZONES = ("zone-a", "zone-b", "zone-c")
_API_SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "127.96.0.1",
)


class Cluster(Protocol):
    """What every test may ask of a cluster, throwaway or the user's own."""

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file with full rights."""
        ...

    @property
    def access(self) -> Kubeconfig:
        """The same, parsed."""
        ...

    @property
    def api(self) -> Api:
        """The API server as the administrator."""
        ...

    @property
    def throwaway(self) -> bool:
        """Whether a test may kill its components and leave things lying about."""
        ...

    def kubeconfig_of(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig file with the rights of a ServiceAccount, by way of a TokenRequest."""
        ...


def service_account_kubeconfig(cluster: Cluster, directory: Path, namespace: str, name: str) -> Path:
    """Ask for a token of the ServiceAccount and write a kubeconfig with it."""
    token = cluster.api.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}},
    )
    access = cluster.access.as_token(text(token, "status", "token"))
    return access.write(directory / f"{namespace}-{name}.kubeconfig")


class GivenCluster:
    """The cluster that `KUBECONFIG` names. Its components are not ours to kill."""

    throwaway = False

    def __init__(self, kubeconfig: Path, binaries: Binaries, directory: Path) -> None:
        self.kubeconfig = kubeconfig
        self.access = Kubeconfig.read(kubeconfig, binaries.path("kubectl"))
        self.api = Api(self.access)
        self._directory = directory

    def kubeconfig_of(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig file with the rights of a ServiceAccount."""
        return service_account_kubeconfig(self, self._directory, namespace, service_account)

    def stop(self) -> None:
        """Let go of the connections; the cluster stays."""
        self.api.close()


@dataclass(frozen=True, slots=True)
class _Certificates:
    """Certificates of the control plane as files in one folder, and those of users as values."""

    directory: Path
    authority: Authority
    users: dict[str, KeyPair]

    @classmethod
    def create(cls, directory: Path, clock: Clock) -> "_Certificates":
        directory.mkdir(parents=True)
        validity = Validity.around(clock.now())
        authority = Authority.create("steward-test-cluster", validity)
        authority.pair.write(directory, "ca")
        authority.server("localhost", validity, alternatives=_API_SERVER_NAMES).write(directory, "apiserver")
        authority.server("localhost", validity, alternatives=("127.0.0.1",)).write(directory, "kubelet")
        authority.client("front-proxy-client", validity).write(directory, "front-proxy")
        masters = ("system:masters",)
        authority.client("kube-apiserver-kubelet-client", validity, groups=masters).write(directory, "kubelet-client")
        private, public = signing_key()
        KeyPair(public, private).write(directory, "service-accounts")
        users = {
            "admin": authority.client("admin", validity, groups=masters),
            "kwok": authority.client("kwok", validity, groups=masters),
            "kube-controller-manager": authority.client("system:kube-controller-manager", validity),
            "kube-scheduler": authority.client("system:kube-scheduler", validity),
        }
        return cls(directory, authority, users)


class ControlPlane:
    """The throwaway cluster. `with ControlPlane(binaries, directory) as cluster:` is up in about four seconds."""

    throwaway = True

    def __init__(
        self,
        binaries: Binaries,
        directory: Path,
        *,
        nodes: int = 3,
        detached: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._binaries = binaries
        self.directory = directory
        self._nodes = nodes
        self._detached = detached
        self._clock = clock or SystemClock()
        self._programs: dict[str, Program] = {}
        self._access: Kubeconfig | None = None
        self._api: Api | None = None

    @property
    def access(self) -> Kubeconfig:
        """How the administrator reaches the API server."""
        if self._access is None:
            raise ConfigurationError("the control plane was not started: call start() or use it as a context manager")
        return self._access

    @property
    def api(self) -> Api:
        """The API server as the administrator."""
        if self._api is None:
            self._api = Api(self.access)
        return self._api

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig file."""
        return self.directory / "admin.kubeconfig"

    def kubeconfig_of(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig file with the rights of a ServiceAccount."""
        return service_account_kubeconfig(self, self.directory, namespace, service_account)

    def start(self) -> Self:
        """Bring everything up and wait until pods can be scheduled."""
        if self.directory.exists():
            shutil.rmtree(self.directory)
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._start()
            undo.pop_all()
        return self

    def stop(self) -> None:
        """End all components, clients first, and remove what they kept."""
        if self._api is not None:
            self._api.close()
            self._api = None
        for program in reversed(list(self._programs.values())):
            # Nothing here is worth an orderly end: with a watch open the API server would take a minute for one.
            program.end(signal.SIGKILL)
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)

    def kill(self, component: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one component. SIGTERM leaves an API server with open watches alive for up to a minute."""
        self._program(component).end(how, within=timedelta(seconds=75))

    def revive(self, component: str) -> None:
        """Start a component that was killed; returns when the API server is ready."""
        self._program(component).start()
        self._until_ready()

    def running(self) -> dict[str, bool]:
        """Which components are alive."""
        return {name: program.running() for name, program in self._programs.items()}

    def pid(self, component: str) -> int:
        """The process of a component."""
        return self._program(component).pid

    def log(self, component: str, lines: int = 40) -> str:
        """The tail of a component's log."""
        return self._program(component).tail(lines)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    @classmethod
    def attach(cls, binaries: Binaries, directory: Path) -> "ControlPlane":
        """The cluster that an earlier process left running in `directory`."""
        control_plane = cls(binaries, directory, detached=True)
        if not control_plane._state.exists():
            raise ConfigurationError(f"no test cluster in {directory}: start one with `up`")
        state: JsonObject = json.loads(control_plane._state.read_text())
        control_plane._access = Kubeconfig.read(control_plane.kubeconfig, binaries.path("kubectl"))
        for row in rows(state, "programs"):
            name = text(row, "name")
            log = directory / "logs" / f"{name}.log"
            argv = [str(argument) for argument in row["argv"]] if isinstance(row["argv"], list) else []
            program = Program(name, argv, log, detached=True, pid=int(text(row, "pid")), started=text(row, "started"))
            control_plane._programs[name] = program
        return control_plane

    @property
    def _state(self) -> Path:
        return self.directory / "state.json"

    def _start(self) -> None:
        certificates = _Certificates.create(self.directory / "pki", self._clock)
        ports = components.Ports(*free_ports(6))
        server = f"https://127.0.0.1:{ports.api_server}"
        for user, pair in certificates.users.items():
            access = Kubeconfig(server, certificates.authority.pair.certificate, pair)
            access.write(self.directory / f"{user}.kubeconfig")
            if user == "admin":
                self._access = access
        layout = components.Layout(self.directory, self._binaries, ports)
        self._run("etcd", components.etcd(layout))
        self._run("kube-apiserver", components.api_server(layout))
        self._until_ready()
        self._run("kube-controller-manager", components.controller_manager(layout))
        self._run("kube-scheduler", components.scheduler(layout))
        self._run("kwok", components.kwok(layout))
        self._furnish()
        self._remember()

    def _run(self, name: str, argv: list[str]) -> None:
        program = Program(name, argv, self.directory / "logs" / f"{name}.log", detached=self._detached)
        self._programs[name] = program
        program.start()

    def _until_ready(self) -> None:
        until("ready API server", self.api.ready, list(self._programs.values()), within=_READY_WITHIN)

    def _furnish(self) -> None:
        """What a cluster has and nobody else makes here: nodes, and endpoints of the API server's own Service."""
        programs = list(self._programs.values())
        until("default ServiceAccount", self._has_default_service_account, programs, within=_READY_WITHIN)
        self.api.create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", _KUBERNETES_SLICE)
        self.api.create("/api/v1/namespaces/default/endpoints", _KUBERNETES_ENDPOINTS)
        for number in range(self._nodes):
            self.api.create("/api/v1/nodes", _node(number))
        self.api.until("all nodes ready", "/api/v1/nodes", lambda nodes: all(map(_schedulable, nodes)))

    def _has_default_service_account(self) -> bool:
        try:
            return self.api.find("/api/v1/namespaces/default/serviceaccounts/default") is not None
        except ApiRefused:
            return False

    def _remember(self) -> None:
        programs = [
            {"name": p.name, "argv": list(p.argv), "pid": str(p.pid), "started": p.started}
            for p in self._programs.values()
        ]
        self._state.write_text(json.dumps({"programs": programs}, indent=1))

    def _program(self, component: str) -> Program:
        if component not in self._programs:
            raise ConfigurationError(f"no component {component!r}; there are {', '.join(self._programs)}")
        return self._programs[component]


# The API server refuses to publish a loopback address as its own endpoint, so its endpoint reconciler is off, and
# Linkerd's CLI refuses a cluster that has no EndpointSlice at all. Nobody dials this address (TEST-NET-1).
_KUBERNETES_SLICE: JsonObject = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "addressType": "IPv4",
    "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
    "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
    "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
}
_KUBERNETES_ENDPOINTS: JsonObject = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
    "subsets": [
        {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]},
    ],
}


def _node(number: int) -> JsonObject:
    name = f"kwok-{number:03d}"
    capacity: JsonObject = {"cpu": "64", "memory": "256Gi", "pods": _PODS_A_NODE}
    labels: JsonObject = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "kwok",
        "topology.kubernetes.io/zone": _ZONES[number % len(_ZONES)],
    }
    annotations: JsonObject = {"node.alpha.kubernetes.io/ttl": "0", "kwok.x-k8s.io/node": "fake"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "status": {"allocatable": capacity, "capacity": capacity},
    }


def _schedulable(node: JsonObject) -> bool:
    ready = any(
        text(condition, "type") == "Ready" and text(condition, "status") == "True"
        for condition in rows(node, "status", "conditions")
    )
    return ready and not any(text(taint, "effect") == "NoSchedule" for taint in rows(node, "spec", "taints"))
