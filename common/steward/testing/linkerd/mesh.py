"""`SimulatedMesh`: a Linkerd mesh on a fake Kubernetes API, with workloads that roll and an injector that injects.

    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh:
        await mesh.install("edge-26.6.3")
        mesh.workload("Deployment", "shop", "web", replicas=3)
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {"edge-26.6.3": 3}

Everything may also be changed through the API: whoever patches a pod template, deletes a pod or applies the output of
`linkerd upgrade` sees the same happen as in a real cluster, only faster.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from steward.jsonvalue import Json, JsonObject, rows, table, text, texts
from steward.kube import resources
from steward.kube.resources import Resource
from steward.testing.kubernetes.cluster import Intent, Patch
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.kubernetes.store import Change
from steward.testing.linkerd.certificates import Pair, Trust, webhook_pair
from steward.testing.linkerd.definitions import gateway_api
from steward.testing.linkerd.helm_release import release_secret
from steward.testing.linkerd.manifests import as_helm_leaves_them, crds, rendered
from steward.testing.linkerd.proxy import PROXY
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.simulation.engine import Engine, Key, Pace
from steward.testing.linkerd.simulation.everywhere import DaemonSets, Jobs
from steward.testing.linkerd.simulation.faults import Faults
from steward.testing.linkerd.simulation.ordered import StatefulSets
from steward.testing.linkerd.simulation.pods import Pods
from steward.testing.linkerd.simulation.replicas import Deployments, ReplicaSets
from steward.testing.linkerd.simulation.webhook import SimulatedInjector
from steward.testing.linkerd.values import HIGH_AVAILABILITY, NAMESPACE, Installation, Method, merged
from steward.testing.linkerd.webhooks import INJECTOR, Webhook

_BY_KIND = {
    one.kind: one for one in vars(resources).values() if isinstance(one, Resource) and one is not resources.CORE_EVENTS
}
_WATCHED = (
    resources.DEPLOYMENTS,
    resources.REPLICA_SETS,
    resources.STATEFUL_SETS,
    resources.DAEMON_SETS,
    resources.JOBS,
    resources.PODS,
    resources.NODES,
    resources.SECRETS,
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What was installed last, so that an upgrade can keep it."""

    installation: Installation
    revision: int


class SimulatedMesh:
    """Controllers and injector over one fake cluster."""

    def __init__(self, kubernetes: FakeKubernetes, *, pace: Pace | None = None, nodes: int = 3) -> None:
        self.kubernetes = kubernetes
        self.cluster = kubernetes.cluster
        self.faults = Faults()
        self.installed: Installed | None = None
        self._pods = Pods(self.cluster, pace or Pace(), self.faults)
        self._controllers: dict[str, Callable[[str, str], None]] = {
            "Deployment": Deployments(self._pods).reconcile,
            "ReplicaSet": ReplicaSets(self._pods).reconcile,
            "StatefulSet": StatefulSets(self._pods).reconcile,
            "DaemonSet": DaemonSets(self._pods).reconcile,
            "Job": Jobs(self._pods).reconcile,
        }
        self.injector = SimulatedInjector(self._pods)
        self._engine = Engine(kubernetes.clock, self._reconcile)
        self._pods.engine = self._engine
        self._nodes = nodes
        self._started = False

    async def __aenter__(self) -> "SimulatedMesh":
        self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def pod_control(self) -> Pods:
        """What starts and ends pods; a simulated data plane takes the kubelet's part there."""
        return self._pods

    @property
    def pace(self) -> Pace:
        """How long things take; may be changed while it runs."""
        return self._pods.pace

    @pace.setter
    def pace(self, pace: Pace) -> None:
        self._pods.pace = pace

    def start(self) -> None:
        """Let the controllers run, and make the nodes; once for each mesh."""
        if self._started:
            raise RuntimeError("this mesh has been started already: make another one over another cluster")
        self._started = True
        for resource in _WATCHED:
            kind = self.cluster.kinds.of(resource)
            self.cluster.store.table(kind.table).listeners.append(self._listener(resource))
        self.kubernetes.admit(resources.PODS, self.injector.admit, name=f"{INJECTOR.service}.linkerd.io")
        for number in range(self._nodes):
            self.node(f"node-{number}")
        self._engine.start()

    async def stop(self) -> None:
        """Stop the controllers; the cluster stays as it is."""
        await self._engine.stop()

    async def settled(self) -> None:
        """Return when no controller has anything left to do; pods that can never be ready do not count."""
        await self._engine.settled()
        if self._pods.kubelet is not None:
            await self._pods.kubelet.settled()
            await self._engine.settled()

    async def install(
        self,
        version: str,
        *,
        method: Method = Method.CLI,
        ha: bool = False,
        trust: Trust | None = None,
        overrides: JsonObject | None = None,
    ) -> Trust:
        """Install Linkerd, with the Gateway API below it, and wait until it runs. Returns what it trusts."""
        now = self.kubernetes.clock.now()
        given = trust or (Trust.for_cli(now) if method is Method.CLI else Trust.for_helm(now))
        changed = merged(HIGH_AVAILABILITY if ha else {}, overrides or {})
        self.gateway_api()
        await self._put(Installation.planned(Release(version), given, method, changed))
        return given

    def gateway_api(self) -> None:
        """Apply the definitions of the Gateway API that Linkerd needs below it."""
        self.apply(gateway_api(), manager="kubectl")

    async def upgrade(self, version: str, *, trust: Trust | None = None, wait: bool = True) -> None:
        """Render `version` over what is installed, with new webhook certificates, as any upgrade does."""
        if self.installed is None:
            raise RuntimeError("nothing is installed yet: call install first")
        before = self.installed.installation
        changed = dict(before.changed)
        for kept_apart in ("linkerdVersion", "identityTrustAnchorsPEM"):
            changed.pop(kept_apart, None)
        table(changed, "identity", "issuer").pop("tls", None)
        installation = Installation.planned(Release(version), trust or before.trust, before.method, changed)
        await self._put(installation, wait=wait)

    def certify(self, webhook: Webhook, serving: Pair, *, trusted: Pair | None = None) -> None:
        """Give a webhook the certificate `serving` and let the API server trust `trusted` (else the same)."""
        content: JsonObject = {
            "tls.crt": b64encode(serving.certificate.encode()).decode(),
            "tls.key": b64encode(serving.key.encode()).decode(),
        }
        self.cluster.patch(resources.SECRETS, webhook.secret, Patch("merge", {"data": content}), NAMESPACE)
        resource = _BY_KIND[webhook.kind]
        entries = [dict(entry) for entry in rows(self.cluster.get(resource, webhook.configuration), "webhooks")]
        bundle = b64encode((trusted or serving).certificate.encode()).decode()
        for entry in entries:
            entry["clientConfig"] = {**table(entry, "clientConfig"), "caBundle": bundle}
        self.cluster.patch(resource, webhook.configuration, Patch("merge", {"webhooks": list[Json](entries)}))

    def delete(self, resource: Resource, name: str, namespace: str = "") -> None:
        """Take an object away, with what hangs on it."""
        self.kubernetes.endpoints.undertaker.delete(resource, name, namespace)

    def apply(self, objects: Iterable[JsonObject], *, manager: str) -> None:
        """Server-side apply of any objects, as a person or a tool would."""
        for one in objects:
            resource = self._resource_of(one)
            name, namespace = text(one, "metadata", "name"), text(one, "metadata", "namespace")
            self.cluster.patch(resource, name, Patch("apply", one), namespace, Intent(manager, force=True))

    def node(self, name: str) -> JsonObject:
        """One more node."""
        ready: JsonObject = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        runtime: JsonObject = {"containerRuntimeVersion": "containerd://2.1.4", "kubeletVersion": "v1.36.3"}
        labels: JsonObject = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
        self.cluster.create(resources.NODES, {"metadata": {"name": name, "labels": labels}})
        return self.cluster.set_status(resources.NODES, name, {"conditions": [ready], "nodeInfo": runtime})

    def namespace(
        self, name: str, *, inject: str = "enabled", annotations: Mapping[str, str] | None = None
    ) -> JsonObject:
        """The namespace, made where it is missing; `inject=""` says nothing about injection."""
        found = self.cluster.find(resources.NAMESPACES, name)
        if found is not None:
            return found
        marks: JsonObject = {**({"linkerd.io/inject": inject} if inject else {}), **dict(annotations or {})}
        return self.cluster.create(resources.NAMESPACES, {"metadata": {"name": name, "annotations": marks}})

    def workload(
        self,
        kind: str,
        namespace: str,
        name: str,
        replicas: int = 1,
        annotations: Mapping[str, str] | None = None,
        changes: JsonObject | None = None,
    ) -> JsonObject:
        """A Deployment, StatefulSet, DaemonSet, Job or bare Pod, in a namespace that asks for injection.

        `changes` are merged into the whole object: `{"spec": {"updateStrategy": {"type": "OnDelete"}}}`; see `in_pod`
        for those that belong into the pod template.
        """
        self.namespace(namespace)
        metadata: JsonObject = {"name": name, "annotations": dict[str, Json](annotations or {})}
        container: JsonObject = {"name": "app", "image": f"example/{name}:1", "ports": [{"containerPort": 8080}]}
        template: JsonObject = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        if kind == "Pod":
            body: JsonObject = {"metadata": {**metadata, "labels": {"app": name}}, "spec": template["spec"]}
        else:
            spec: JsonObject = {"template": template}
            if kind != "Job":
                spec["selector"] = {"matchLabels": {"app": name}}
            if kind not in ("Job", "DaemonSet"):
                spec["replicas"] = replicas
            if kind == "StatefulSet":
                spec["serviceName"] = name
            body = {"metadata": metadata, "spec": spec}
        return self.cluster.create(_BY_KIND[kind], merged(body, changes or {}), namespace)

    def restart(self, kind: str, namespace: str, name: str, marker: str) -> JsonObject:
        """What `kubectl rollout restart` does, with any marker instead of the time."""
        return self.change(kind, namespace, name, in_pod({"kubectl.kubernetes.io/restartedAt": marker}))

    def change(self, kind: str, namespace: str, name: str, patch: Json) -> JsonObject:
        """A merge patch on a workload, as a person would make it."""
        return self.cluster.patch(_BY_KIND[kind], name, Patch("merge", patch), namespace)

    def finish(self, namespace: str, pod: str) -> None:
        """Let a pod succeed, as those of Jobs do."""
        self.cluster.set_status(resources.PODS, pod, {"phase": "Succeeded"}, namespace)

    def pods(self, namespace: str = "", *, labels: str = "") -> list[JsonObject]:
        """Pods as they are."""
        return self.cluster.list(resources.PODS, namespace, labels=labels)

    def proxy_versions(self, namespace: str = "") -> Counter[str]:
        """How many pods run which proxy; those without one count under the empty version."""
        return Counter(proxy_version_of(pod) for pod in self.pods(namespace))

    def _resource_of(self, value: JsonObject) -> Resource:
        served = self.cluster.kinds.named(text(value, "apiVersion"), text(value, "kind"))
        return _BY_KIND[text(value, "kind")] if served is None else served.resource

    async def _put(self, installation: Installation, *, wait: bool = True) -> None:
        revision = self.installed.revision + 1 if self.installed else 1
        definitions = crds(installation.release.version, installation.method)
        objects = rendered(installation, self._make_pair)
        manager = "kubectl"
        if installation.method is Method.HELM:
            manager = "helm"
            self.namespace(NAMESPACE, inject="")
            definitions = as_helm_leaves_them(definitions, "linkerd-crds")
            objects = as_helm_leaves_them(objects, "linkerd-control-plane")
            objects += self._release_secrets(installation, revision)
        self.apply([*definitions, *objects], manager=manager)
        self.installed = Installed(installation, revision)
        if wait:
            await self.settled()

    def _release_secrets(self, installation: Installation, revision: int) -> list[JsonObject]:
        """Helm's memory of both charts; the revision before is superseded."""
        now, charts = self.kubernetes.clock.now(), ("linkerd-crds", "linkerd-control-plane")
        before = self.installed
        secrets = [release_secret(chart, installation, revision, now) for chart in charts]
        if before is not None and before.installation.method is Method.HELM:
            secrets += [
                release_secret(chart, before.installation, before.revision, now, status="superseded")
                for chart in charts
            ]
        return secrets

    def _make_pair(self, service: str) -> Pair:
        return webhook_pair(service, self.kubernetes.clock.now(), quick=True)

    def _listener(self, resource: Resource) -> Callable[[Change], None]:
        def tell(change: Change) -> None:
            self._changed(resource, change)

        return tell

    def _changed(self, resource: Resource, change: Change) -> None:
        now = change.after if change.after is not None else change.before
        if now is None:
            return
        if resource == resources.PODS:
            self._pod_changed(now, new=change.before is None, gone=change.after is None)
        elif resource == resources.NODES:
            for one in self.cluster.list(resources.DAEMON_SETS):
                self._engine.mark(_key(one))
        elif resource == resources.SECRETS:
            if text(now, "metadata", "name") == INJECTOR.secret:
                self.injector.certificate_changed()
        else:
            self._workload_changed(now, change)

    def _workload_changed(self, now: JsonObject, change: Change) -> None:
        if change.after is not None and _desired(change.before) != _desired(change.after):
            self._engine.mark(_key(now))
        for owner in rows(now, "metadata", "ownerReferences"):
            self._engine.mark((text(owner, "kind"), text(now, "metadata", "namespace"), text(owner, "name")))

    def _pod_changed(self, pod: JsonObject, *, new: bool, gone: bool) -> None:
        namespace, name = text(pod, "metadata", "namespace"), text(pod, "metadata", "name")
        for owner in rows(pod, "metadata", "ownerReferences"):
            self._engine.mark((text(owner, "kind"), namespace, text(owner, "name")))
            if text(owner, "kind") == "ReplicaSet":
                above = self._pods.owner_of(pod)
                if above is not None:
                    self._engine.mark((above.kind, namespace, above.name))
        if namespace == NAMESPACE:
            self.injector.pod_changed(pod, gone=gone)
        if not gone and (new or text(pod, "metadata", "deletionTimestamp")):
            self._engine.mark(("Pod", namespace, name))

    def _reconcile(self, key: Key) -> None:
        kind, namespace, name = key
        if kind == "Pod":
            self._serve(namespace, name)
        elif kind in self._controllers:
            self._controllers[kind](namespace, name)

    def _serve(self, namespace: str, name: str) -> None:
        """The kubelet's part."""
        pod = self.cluster.find(resources.PODS, name, namespace)
        if pod is None:
            return
        if text(pod, "metadata", "deletionTimestamp"):
            self._pods.end(pod)
        elif not rows(pod, "status", "conditions"):
            self._pods.begin(pod)


def proxy_version_of(pod: JsonObject) -> str:
    """The tag of the proxy's image, or "" where there is no proxy."""
    for kind in ("initContainers", "containers"):
        for one in rows(pod, "spec", kind):
            if text(one, "name") == PROXY:
                return text(one, "image").rpartition(":")[2]
    return ""


def in_pod(annotations: Mapping[str, str] | None = None, spec: JsonObject | None = None) -> JsonObject:
    """Changes for `SimulatedMesh.workload` that belong into the pod template."""
    metadata: JsonObject = {"annotations": dict[str, Json](annotations or {})}
    return {"spec": {"template": {"metadata": metadata, **({"spec": spec} if spec else {})}}}


def _desired(value: JsonObject | None) -> Json:
    """What a controller acts on; statuses are its own doing."""
    if value is None:
        return None
    return [value.get("spec"), dict[str, Json](texts(value, "metadata", "annotations"))]


def _key(value: JsonObject) -> Key:
    return text(value, "kind"), text(value, "metadata", "namespace"), text(value, "metadata", "name")
