"""The injector of the simulated mesh: called like the real one, and failing like it.

It is asked only as the webhook configuration in the cluster says, it answers only while one of its pods is ready, and
the API server believes it only where the certificate it serves is in the configuration's `caBundle`. A running pod goes
on serving the certificate it started with, so a rendered upgrade opens the same window as in a real cluster.
"""

from base64 import b64decode
from collections.abc import Callable
from functools import lru_cache

from steward.jsonvalue import JsonObject, rows, table, text, texts
from steward.kube.resources import CONFIG_MAPS, MUTATING_WEBHOOKS, NAMESPACES, PODS, SECRETS
from steward.testing.kubernetes.admission import AdmissionRequest, Denied
from steward.testing.kubernetes.selectors import selects
from steward.testing.linkerd.annotations import CONFIG
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.injection import INJECT, Injection, Injector, inject
from steward.testing.linkerd.objects import COMPONENT
from steward.testing.linkerd.proxy import TRUST_ROOTS
from steward.testing.linkerd.simulation.faults import InjectorFault
from steward.testing.linkerd.simulation.pods import Pods, is_ready
from steward.testing.linkerd.values import NAMESPACE, ProxyValues, load
from steward.testing.linkerd.webhooks import INJECTOR


class SimulatedInjector:
    """The admission webhook, and what each injector pod serves."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._cluster = pods.cluster
        self._served: dict[str, str] = {}
        """The certificate each injector pod serves, by uid."""
        self._names: set[str] = set()
        self.skipped: list[tuple[str, str, str]] = []
        """Namespace, name and reason of every pod that was let in without a proxy."""
        self.overlooks: Callable[[JsonObject, str], bool] = lambda _pod, _namespace: False
        """Whether a pod of a namespace is let in without a proxy for no reason at all: a fault."""
        self.deaf = False
        """Every proxy is rendered alike, whatever the annotations say: a fault."""
        self.eager = False
        """Pods that decline get a proxy, too: a fault."""
        self.modeless = False
        """Pods that ask for ingress mode get a proxy like any other: a fault."""

    def admit(self, request: AdmissionRequest) -> JsonObject | None:
        """The callback of the fake API server."""
        configuration = self._cluster.find(MUTATING_WEBHOOKS, INJECTOR.configuration)
        namespace = self._cluster.find(NAMESPACES, request.namespace)
        webhook = next(iter(rows(configuration or {}, "webhooks")), None)
        if webhook is None or namespace is None or not _is_asked(webhook, namespace, request.value):
            return None
        if self.overlooks(request.value, request.namespace):
            self._note(request.value, request.namespace, "overlooked")
            return None
        problem = self._problem(webhook)
        if problem:
            if text(webhook, "failurePolicy") == "Fail":
                raise Denied(f'failed calling webhook "{text(webhook, "name")}": {problem}', code=500)
            self._note(request.value, request.namespace, problem)
            return None
        injection = self._inject(request.value, namespace)
        if injection.skipped:
            self._note(request.value, request.namespace, injection.skipped)
            return None
        return injection.pod

    def pod_changed(self, pod: JsonObject, *, gone: bool) -> None:
        """A pod of the injector reads the certificate when it comes up."""
        if texts(pod, "metadata", "labels").get(COMPONENT) != INJECTOR.component:
            return
        uid, name = text(pod, "metadata", "uid"), text(pod, "metadata", "name")
        if gone:
            self._names.discard(name)
            self._served.pop(uid, None)
            return
        self._names.add(name)
        if is_ready(pod) and uid not in self._served:
            self._served[uid] = self._certificate()

    def certificate_changed(self) -> None:
        """Running pods see the mounted Secret change after a while, if the pace says so."""
        if self._pods.pace.reload is not None:
            self._pods.engine.later(self._pods.pace.reload, self._reload)

    def _reload(self) -> None:
        current = self._certificate()
        for uid in self._served:
            self._served[uid] = current

    def _certificate(self) -> str:
        return text(self._cluster.find(SECRETS, INJECTOR.secret, NAMESPACE) or {}, "data", "tls.crt")

    def _ready_pods(self) -> list[JsonObject]:
        found = (self._cluster.find(PODS, name, NAMESPACE) for name in tuple(self._names))
        ready = [pod for pod in found if pod is not None and is_ready(pod)]
        return sorted(ready, key=lambda pod: int(text(pod, "metadata", "resourceVersion")))

    def _problem(self, webhook: JsonObject) -> str:
        fault = self._pods.faults.injector
        pods = self._ready_pods()
        if not pods:
            return "no endpoints available for service linkerd-proxy-injector"
        if fault is InjectorFault.DOWN:
            return "dial tcp: connect: connection refused"
        bundle = text(webhook, "clientConfig", "caBundle")
        served = {self._served.get(text(pod, "metadata", "uid"), "") for pod in pods}
        # Any of the ready pods may be asked; the worst case is what a test wants to see.
        if fault is InjectorFault.BAD_CERTIFICATE or any(not _trusts(bundle, one) for one in served):
            return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        return ""

    def _inject(self, pod: JsonObject, namespace: JsonObject) -> Injection:
        config = self._cluster.get(CONFIG_MAPS, "linkerd-config", NAMESPACE)
        roots = self._cluster.get(CONFIG_MAPS, TRUST_ROOTS, NAMESPACE)
        running = ""
        for one in rows(self._ready_pods()[0], "spec", "containers"):
            if text(one, "name") == INJECTOR.component:
                running = text(one, "image")
        bundle = text(roots, "data", "ca-bundle.crt")
        if self._pods.faults.injector is InjectorFault.FOREIGN_BUNDLE:
            bundle = Trust.for_cli(self._cluster.clock.now()).anchors
        injector = Injector(
            ProxyValues(_parsed(text(config, "data", "values"))),
            bundle,
            running.rpartition(":")[2],
        )
        seen, around = (_undecorated(pod), _undecorated(namespace)) if self.deaf else (pod, namespace)
        if self.eager:
            seen = _undecorated(pod, wish="enabled")
        elif self.modeless:
            seen, around = _without_mode(seen), _without_mode(around)
        return inject(seen, namespace=around, injector=injector, owner=self._pods.owner_of(pod))

    def _note(self, pod: JsonObject, namespace: str, reason: str) -> None:
        name = text(pod, "metadata", "name") or text(pod, "metadata", "generateName")
        self.skipped.append((namespace, name, reason))


def _is_asked(webhook: JsonObject, namespace: JsonObject, pod: JsonObject) -> bool:
    on_namespace, on_object = table(webhook, "namespaceSelector"), table(webhook, "objectSelector")
    return selects(on_namespace, texts(namespace, "metadata", "labels")) and selects(
        on_object, texts(pod, "metadata", "labels")
    )


def _undecorated(thing: JsonObject, wish: str = "") -> JsonObject:
    """The thing without annotations that configure its proxy."""
    metadata = table(thing, "metadata")
    kept = {key: value for key, value in texts(metadata, "annotations").items() if not key.startswith(CONFIG)}
    asked = {INJECT: wish} if wish else {}
    return {**thing, "metadata": {**metadata, "annotations": {**kept, **asked}}}


def _without_mode(thing: JsonObject) -> JsonObject:
    """The thing, asking for any proxy where it asks for one in ingress mode."""
    metadata, annotations = table(thing, "metadata"), texts(thing, "metadata", "annotations")
    if annotations.get(INJECT) != "ingress":
        return thing
    return {**thing, "metadata": {**metadata, "annotations": {**annotations, INJECT: "enabled"}}}


def _trusts(bundle: str, served: str) -> bool:
    return bool(served) and _decoded(served).strip() in _decoded(bundle)


@lru_cache(maxsize=64)
def _decoded(value: str) -> str:
    return b64decode(value).decode(errors="replace")


@lru_cache(maxsize=16)
def _parsed(values: str) -> JsonObject:
    return load(values)
