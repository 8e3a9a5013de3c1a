"""What Linkerd's proxy injector does to a pod that is created, as a pure function.

injection = inject(pod, namespace=namespace, injector=Injector.of(config_values, bundle))
injection.pod        # the pod with its proxy, or as it was
injection.skipped    # why there is no proxy, or ""
"""

from base64 import b64encode
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import sha256
from json import dumps

from steward.jsonvalue import Json, JsonObject, dig, flag, rows, table, text, texts, whole
from steward.testing.linkerd.annotations import overridden, with_environment
from steward.testing.linkerd.proxy import INIT, PROXY, VALIDATOR, Wanted, network_container, proxy_container, volumes
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import NAMESPACE, ProxyValues, load, merged

INJECT = "linkerd.io/inject"
PROXY_VERSION = "config.linkerd.io/proxy-version"
PROXY_IMAGE = "config.linkerd.io/proxy-image"
NATIVE = (
    "config.linkerd.io/proxy-enable-native-sidecar",
    "config.beta.linkerd.io/proxy-enable-native-sidecar",
    "config.alpha.linkerd.io/proxy-enable-native-sidecar",
)
"""The annotations that choose the kind of sidecar, strongest first."""
WEBHOOKS_LABEL = "config.linkerd.io/admission-webhooks"

_KINDS = ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job", "CronJob")
_INHERITED = ("config.linkerd.io/", "config.alpha.linkerd.io/")


@dataclass(frozen=True, slots=True)
class Owner:
    """The workload that a pod belongs to in the end: the Deployment, not its ReplicaSet."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Injector:
    """What an injector has read: its values and the bundle of trust anchors."""

    values: ProxyValues
    bundle: str
    version: str = ""
    """The release whose program it is, where that differs from the values: they are read anew at each request, so a
    rollout mixes an old program with new values."""

    @property
    def release(self) -> Release:
        """The release whose program renders."""
        return Release(self.version) if self.version else self.values.release

    @classmethod
    def of(cls, config_values: str | JsonObject, bundle: str) -> "Injector":
        """From the key `values` of `linkerd-config` (or the values in it) and the `ca-bundle.crt`."""
        return cls(ProxyValues(load(config_values) if isinstance(config_values, str) else config_values), bundle)


@dataclass(frozen=True, slots=True)
class Injection:
    """The outcome: a pod with a proxy, or the reasons why there is none."""

    pod: JsonObject
    skipped: str = ""

    @property
    def injected(self) -> bool:
        """Whether there is a proxy now that was not there before."""
        return not self.skipped

    def patch(self, before: JsonObject) -> list[Json]:
        """The JSON patch from `before` to the pod with its proxy; empty where it was skipped."""
        if self.skipped:
            return []
        return [
            {"op": "add", "path": f"/{part}", "value": self.pod[part]}
            for part in ("metadata", "spec")
            if self.pod.get(part) != before.get(part)
        ]

    def review_response(self, uid: str, before: JsonObject) -> JsonObject:
        """The AdmissionReview that a webhook answers with."""
        response: JsonObject = {"uid": uid, "allowed": True}
        patch = self.patch(before)
        if patch:
            response["patchType"] = "JSONPatch"
            response["patch"] = b64encode(dumps(patch).encode()).decode()
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def inject(pod: JsonObject, *, namespace: JsonObject, injector: Injector, owner: Owner | None = None) -> Injection:
    """The pod as the injector would let it into `namespace`; the given one is left as it is."""
    reason = _reason_to_skip(pod, namespace, injector)
    if reason:
        return Injection(pod, reason)
    injected = deepcopy(pod)
    at_namespace, at_pod = (texts(thing, "metadata", "annotations") for thing in (namespace, pod))
    settings = at_namespace | at_pod
    values = overridden(injector.values.values, settings)
    if settings.get(INJECT) == "ingress":
        values = merged(values, {"proxy": {"isIngress": True}})
    if injector.release.environment_by_annotation:
        values = with_environment(values, at_namespace, at_pod)
    injector = replace(injector, values=ProxyValues(values))
    wanted = _wanted(pod, settings, injector)
    _add_containers(injected, wanted, injector)
    _add_metadata(injected, text(namespace, "metadata", "name"), settings, wanted, injector)
    _add_owner_label(injected, owner)
    return Injection(injected)


def _reason_to_skip(pod: JsonObject, namespace: JsonObject, injector: Injector) -> str:
    reasons = []
    if flag(pod, "spec", "hostNetwork"):
        reasons.append("hostNetwork is enabled")
    names = [text(one, "name") for one in (*rows(pod, "spec", "containers"), *rows(pod, "spec", "initContainers"))]
    if {PROXY, INIT, VALIDATOR, "istio-proxy"} & set(names):
        reasons.append("pod has a sidecar injected already")
    at_pod, at_namespace = (texts(thing, "metadata", "annotations").get(INJECT) for thing in (pod, namespace))
    wish = at_pod if at_pod is not None else at_namespace
    if wish not in ("enabled", "ingress"):
        where = "workload" if at_pod is not None else "namespace"
        reasons.append(
            f'neither the namespace nor the pod have the annotation "{INJECT}:enabled"'
            if wish is None
            else f'the {where} has the annotation "{INJECT}:{wish}"'
        )
    # The proxy brings a projected token of its own, unless the control plane is told to go without.
    projects = flag(injector.values.values, "identity", "serviceAccountTokenProjection", default=True)
    if dig(pod, "spec", "automountServiceAccountToken") is False and not projects:
        reasons.append(
            'automountServiceAccountToken set to "false", with '
            'Values.identity.serviceAccountTokenProjection set to "false"'
        )
    return ", ".join(reasons)


def _wanted(pod: JsonObject, settings: dict[str, str], injector: Injector) -> Wanted:
    values = injector.values
    name = settings.get(PROXY_IMAGE) or values.image_name
    image = f"{name}:{settings.get(PROXY_VERSION) or values.version}"
    asked = next((settings[key] for key in NATIVE if key in settings), None)
    return Wanted(
        image=image,
        init_image=injector.release.init_image(image),
        native=values.native if asked is None else asked == "true",
        inbound_ports=[
            whole(port, "containerPort")
            for container in rows(pod, "spec", "containers")
            for port in rows(container, "ports")
        ],
        anchors=injector.bundle,
    )


def _add_containers(pod: JsonObject, wanted: Wanted, injector: Injector) -> None:
    spec = table(pod, "spec")
    proxy, init = proxy_container(wanted, injector.values), network_container(wanted, injector.values)
    own_inits: list[Json] = [*rows(spec, "initContainers")]
    containers: list[Json] = [*rows(spec, "containers")]
    # Native sidecars stand before everybody's init containers, so these have a network; a classic sidecar is the
    # first container, so that its start hook can hold the others back, and init containers run without a proxy.
    spec["initContainers"] = [init, proxy, *own_inits] if wanted.native else [*own_inits, init]
    spec["containers"] = containers if wanted.native else [proxy, *containers]
    spec["volumes"] = [*rows(spec, "volumes"), *volumes(injector.values)]


def _add_metadata(
    pod: JsonObject, namespace: str, settings: dict[str, str], wanted: Wanted, injector: Injector
) -> None:
    metadata = pod.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        return
    inherited = {key: value for key, value in settings.items() if key == INJECT or key.startswith(_INHERITED)}
    metadata["annotations"] = {
        **inherited,
        **table(metadata, "annotations"),
        "linkerd.io/created-by": f"linkerd/proxy-injector {injector.release.version}",
        "linkerd.io/proxy-version": wanted.image.rpartition(":")[2],
        "linkerd.io/trust-root-sha256": sha256(injector.bundle.encode()).hexdigest(),
    }
    metadata["labels"] = {
        **table(metadata, "labels"),
        "linkerd.io/control-plane-ns": NAMESPACE,
        "linkerd.io/workload-ns": namespace,
    }


def _add_owner_label(pod: JsonObject, owner: Owner | None) -> None:
    if owner is not None and owner.kind in _KINDS:
        table(pod, "metadata", "labels")[f"linkerd.io/proxy-{owner.kind.lower()}"] = owner.name
