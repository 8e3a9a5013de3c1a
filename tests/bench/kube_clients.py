"""The processes behind `kube_reflector`: a server full of pods, our reflector, and the peer's typed list."""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text

_PER_NAMESPACE = 500


@dataclass(frozen=True, slots=True)
class SeenPod:
    """What an inventory keeps of a meshed pod."""

    uid: str
    phase: str
    image: str
    owner: str
    node: str


def seen_pod(pod: JsonObject) -> SeenPod:
    """The trim of the bench."""
    proxy = next((one for one in rows(pod, "spec", "containers") if text(one, "name") == "linkerd-proxy"), {})
    return SeenPod(
        uid=text(pod, "metadata", "uid"),
        phase=sys.intern(text(pod, "status", "phase")),
        image=sys.intern(text(proxy, "image")),
        owner=sys.intern(text(pod, "metadata", "ownerReferences", 0, "name")),
        node=sys.intern(text(pod, "spec", "nodeName")),
    )


def meshed_pod(number: int) -> JsonObject:
    """A pod of about 5 kB, as the injector leaves one."""
    owner = f"web-{number // 50}"
    variables: list[JsonObject] = [
        {"name": f"LINKERD2_PROXY_{index}", "value": f"value {index}"} for index in range(30)
    ]
    mounts: list[JsonObject] = [{"name": "token", "mountPath": "/var/run/secrets/tokens", "readOnly": True}]
    proxy: JsonObject = {
        "name": "linkerd-proxy",
        "image": "cr.l5d.io/linkerd/proxy:edge-26.6.3",
        "env": [*variables],
        "volumeMounts": [*mounts],
        "resources": {"requests": {"cpu": "100m", "memory": "20Mi"}},
    }
    app: JsonObject = {"name": "web", "image": f"registry.example/web:{number % 7}", "ports": [{"containerPort": 8080}]}
    conditions: list[JsonObject] = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-06-18T12:00:00Z"}
        for kind in ("Ready", "Initialized", "ContainersReady", "PodScheduled")
    ]
    reference: JsonObject = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}"}
    return {
        "metadata": {
            "name": f"{owner}-{number:06d}",
            "labels": {"app": "web", "pod-template-hash": "6d4cf56db6", "linkerd.io/control-plane-ns": "linkerd"},
            "annotations": {"linkerd.io/proxy-version": "edge-26.6.3", "linkerd.io/trust-root-sha256": "0" * 64},
            "ownerReferences": [reference],
        },
        "spec": {"nodeName": f"node-{number % 100}", "containers": [proxy, app]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [*conditions]},
    }


async def serve(pods: int) -> None:
    """A fake API server with that many pods, until SIGTERM."""
    from steward.kube.resources import NAMESPACES, PODS
    from steward.testing.kubernetes.server import FakeKubernetes

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with FakeKubernetes() as fake:
        for number in range(pods):
            namespace = f"team-{number // _PER_NAMESPACE}"
            if number % _PER_NAMESPACE == 0:
                fake.cluster.create(NAMESPACES, {"metadata": {"name": namespace}})
            pod = meshed_pod(number)
            status = pod.pop("status")
            made = fake.cluster.create(PODS, pod, namespace)
            made["status"] = status
        _say(str(fake.kubeconfig()))
        await stop.wait()


async def ours(kubeconfig: str) -> None:
    """Our reflector, synced."""
    from steward.kube.client import Kube
    from steward.kube.reflector import Reflector
    from steward.kube.resources import PODS

    clock = SystemClock()
    before, started = resident(), clock.monotonic()
    async with await Kube.connect(kubeconfig=Path(kubeconfig)) as kube:
        pods = Reflector(kube, PODS, trim=seen_pod)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(pods.run())
            await pods.synced.wait()
            report(clock.monotonic() - started, resident() - before, len(pods))
            running.cancel()


async def peer(kubeconfig: str) -> None:
    """The peer's typed list, in pages as we read them."""
    import kubernetes_asyncio.client  # noqa: TID251  (the peer that is measured)
    import kubernetes_asyncio.config  # noqa: TID251

    clock = SystemClock()
    before, started = resident(), clock.monotonic()
    await kubernetes_asyncio.config.load_kube_config(config_file=kubeconfig)
    async with kubernetes_asyncio.client.ApiClient() as api:
        core = kubernetes_asyncio.client.CoreV1Api(api)
        page = await core.list_pod_for_all_namespaces(limit=500)
        pods = page.items
        while page.metadata._continue:  # noqa: SLF001  (that is how the generated client names it)
            page = await core.list_pod_for_all_namespaces(limit=500, _continue=page.metadata._continue)  # noqa: SLF001
            pods += page.items
    report(clock.monotonic() - started, resident() - before, len(pods))


def resident() -> float:
    """Megabytes of this process."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def report(seconds: float, megabytes: float, objects: int) -> None:
    """One line of JSON for the parent."""
    _say(json.dumps({"seconds": seconds, "megabytes": megabytes, "objects": objects}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(which: str, argument: str) -> None:
    """Run one of the processes."""
    if which == "serve":
        await serve(int(argument))
    elif which == "ours":
        await ours(argument)
    else:
        await peer(argument)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
