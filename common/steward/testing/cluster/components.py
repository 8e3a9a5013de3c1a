"""The command line of each component of the throwaway control plane. Nothing here starts anything."""

import json
from dataclasses import dataclass
from pathlib import Path

from steward.jsonvalue import JsonObject
from steward.testing.cluster.binaries import Binaries

SERVICE_RANGE = "127.96.0.0/16"
"""Accepted by the API server although it is loopback: a ClusterIP can be listened on by a process of the test."""
_POD_RANGE = "10.128.0.0/14"  # nobody dials these
_ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Ports:
    """One free port of 127.0.0.1 for each listener."""

    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    scheduler: int
    kubelet: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are: the cluster's folder, the binaries, the ports."""

    directory: Path
    binaries: Binaries
    ports: Ports

    def pki(self, name: str) -> Path:
        """A certificate or key file."""
        return self.directory / "pki" / name

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig file of a component."""
        return self.directory / f"{user}.kubeconfig"

    def binary(self, name: str) -> str:
        """The executable."""
        return str(self.binaries.path(name))


def etcd(layout: Layout) -> list[str]:
    """One member, without fsync: what it stores is thrown away."""
    client = f"http://127.0.0.1:{layout.ports.etcd}"
    peer = f"http://127.0.0.1:{layout.ports.etcd_peer}"
    return [
        layout.binary("etcd"),
        "--name=test",
        f"--data-dir={layout.directory}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=test={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--quota-backend-bytes=2147483648",
    ]


def api_server(layout: Layout) -> list[str]:
    """The API server with RBAC, aggregation headers and ServiceAccount tokens, on loopback."""
    return [
        layout.binary("kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{layout.ports.etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={layout.ports.api_server}",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={layout.directory}/apiserver-certificates",
        f"--tls-cert-file={layout.pki('apiserver.crt')}",
        f"--tls-private-key-file={layout.pki('apiserver.key')}",
        f"--client-ca-file={layout.pki('ca.crt')}",
        f"--service-account-key-file={layout.pki('service-accounts.crt')}",
        f"--service-account-signing-key-file={layout.pki('service-accounts.key')}",
        f"--service-account-issuer={_ISSUER}",
        f"--requestheader-client-ca-file={layout.pki('ca.crt')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={layout.pki('front-proxy.crt')}",
        f"--proxy-client-key-file={layout.pki('front-proxy.key')}",
        f"--kubelet-client-certificate={layout.pki('kubelet-client.crt')}",
        f"--kubelet-client-key={layout.pki('kubelet-client.key')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
    ]


def controller_manager(layout: Layout) -> list[str]:
    """All controllers, with limits raised so that tests wait for the cluster and not for a rate limiter."""
    kubeconfig = layout.kubeconfig("kube-controller-manager")
    return [
        layout.binary("kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports.controller_manager}",
        f"--cert-dir={layout.directory}/controller-manager-certificates",
        f"--service-account-private-key-file={layout.pki('service-accounts.key')}",
        f"--root-ca-file={layout.pki('ca.crt')}",
        f"--cluster-signing-cert-file={layout.pki('ca.crt')}",
        f"--cluster-signing-key-file={layout.pki('ca.key')}",
        "--use-service-account-credentials=true",
        "--controllers=*",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--concurrent-deployment-syncs=10",
        "--concurrent-replicaset-syncs=20",
        f"--cluster-cidr={_POD_RANGE}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
    ]


def scheduler(layout: Layout) -> list[str]:
    """The scheduler; its configuration file is written here."""
    kubeconfig = str(layout.kubeconfig("kube-scheduler"))
    configuration: JsonObject = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 1000, "burst": 2000},
    }
    path = layout.directory / "scheduler.json"
    path.write_text(json.dumps(configuration))
    return [
        layout.binary("kube-scheduler"),
        f"--config={path}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports.scheduler}",
        f"--cert-dir={layout.directory}/scheduler-certificates",
    ]


def kwok(layout: Layout) -> list[str]:
    """KWOK plays every node and the life of every pod that is scheduled to one."""
    return [
        layout.binary("kwok"),
        f"--kubeconfig={layout.kubeconfig('kwok')}",
        f"--config={layout.binaries.kwok_configuration}",
        "--manage-all-nodes=true",
        f"--cidr={_POD_RANGE}",
        "--node-ip=127.0.0.1",
        f"--node-port={layout.ports.kubelet}",
        f"--server-address=127.0.0.1:{layout.ports.kubelet}",
        f"--tls-cert-file={layout.pki('kubelet.crt')}",
        f"--tls-private-key-file={layout.pki('kubelet.key')}",
        "--node-lease-duration-seconds=40",
    ]
