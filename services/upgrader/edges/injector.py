"""Would a pod that is created at this moment get the proxy it should? Asked by a dry run, so nothing is left behind.

After an upgrade the injector serves the old certificate until it has reloaded the new one, and with failurePolicy
Ignore every pod that is created meanwhile comes up without a proxy and without an error. This is how one finds out
before it happens to somebody's pods.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.upgrader.core.observations import Injection, InjectionsSeen
from steward.cancellation import ended, heeded
from steward.jsonvalue import JsonObject, texts
from steward.kube.client import Kube
from steward.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from steward.kube.resources import CONFIG_MAPS, NAMESPACES, PODS
from steward.linkerd import marks
from steward.linkerd.control_plane import trust_hash
from steward.linkerd.mesh_config import CONFIG_MAP, TRUST_ROOTS, parse_config
from steward.linkerd.pods import trim

_AT_ONCE = 3
# What the API server says of a webhook that it could not ask, or that gave no usable answer, where its failure policy
# is Fail. It is a refusal of the pod, although it comes with the code of a server's error.
_WEBHOOK_FAILED = "failed calling webhook"


@dataclass(frozen=True, slots=True)
class Injector:
    """The injector, as whoever creates a pod meets it."""

    kube: Kube
    namespace: str

    async def probe(self, namespaces: Sequence[str]) -> InjectionsSeen:
        """One pod in each namespace, as a dry run. Raise KubeError or UnreadableConfig where that cannot be done."""
        config, roots = await asyncio.gather(
            self.kube.get(CONFIG_MAPS, CONFIG_MAP, self.namespace),
            self.kube.find(CONFIG_MAPS, TRUST_ROOTS, self.namespace),
        )
        limit = asyncio.Semaphore(_AT_ONCE)
        with heeded():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(namespace, limit)) for namespace in namespaces]
                await ended(tasks)
        probes = tuple(each for each in (task.result() for task in tasks) if each is not None)
        return InjectionsSeen(probes, parse_config(config).proxy_version, trust_hash(roots))

    async def _one(self, namespace: str, limit: asyncio.Semaphore) -> Injection | None:
        """What came of it; None in a namespace that has fixed a version of its own, which proves nothing."""
        async with limit:
            try:
                found = await self.kube.get(NAMESPACES, namespace)
                annotations = texts(found, "metadata", "annotations")
                if marks.PIN_VERSION in annotations or marks.PIN_IMAGE in annotations:
                    return None
                answer = await self.kube.create(PODS, _pod(namespace), namespace, dry_run=True)
            except (Forbidden, Invalid, NotFound, Conflict) as error:
                return Injection(namespace, admitted=False, proxy=False, message=error.message)
            except KubeError as error:
                if _WEBHOOK_FAILED not in error.message:
                    raise
                return Injection(namespace, admitted=False, proxy=False, message=error.message)
        return _seen(namespace, answer)


def _seen(namespace: str, answer: JsonObject) -> Injection:
    proxy = trim(answer).proxy
    if proxy is None:
        message = f"the API server admitted a pod in {namespace!r}, and the injector gave it no proxy"
        return Injection(namespace, admitted=True, proxy=False, message=message)
    return Injection(namespace, admitted=True, proxy=True, version=proxy.label, trust=proxy.trust)


def _pod(namespace: str) -> JsonObject:
    """A pod that the strictest pod security standard admits, as long as the proxy does not make it a lesser one."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "linkerd-steward-dry-run-",
            "namespace": namespace,
            "annotations": {marks.INJECT: "enabled"},
            "labels": {"app.kubernetes.io/managed-by": "linkerd-steward"},
        },
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "dry-run",
                    "image": "registry.k8s.io/pause:3.10",
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "16Mi"},
                        "limits": {"cpu": "10m", "memory": "16Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
