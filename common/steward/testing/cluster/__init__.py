"""A real Kubernetes control plane for tests, and the most real Linkerd that the machine can give it.

    binaries.py       etcd, API server, controller manager, scheduler, kubectl, KWOK and helm from pinned Go modules
    control_plane.py  starts them on loopback with throwaway certificates; kills and revives one; leaves nothing behind
    artifacts.py      the `linkerd` executable and the Helm charts of each version, from the most real source there is
    injector.py       Linkerd's webhooks behind the real API server, where no real ones answer
    workloads.py      namespaces and workloads that a mesh upgrade has to deal with
    gate.py           a proxy in front of the API server that counts writes and fails on request

Linux only: the processes die with their parent, and every ClusterIP is an address of the loopback device.
"""
