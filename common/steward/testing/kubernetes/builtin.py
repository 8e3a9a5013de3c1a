"""The little that the fake knows about Kubernetes' own kinds: defaults others rely on, and the commonest refusals."""

import base64
from collections.abc import Callable, Iterator

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, texts
from steward.kube.resources import Resource
from steward.testing.kubernetes.refusal import Finding
from steward.testing.kubernetes.selectors import selects

_ROLLING: JsonObject = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
_WITH_TEMPLATE = ("deployments", "statefulsets", "daemonsets", "replicasets")


def fill_in(resource: Resource, value: JsonObject) -> None:
    """Defaults, in place."""
    filler = _FILLERS.get((resource.group, resource.plural))
    if filler:
        filler(value)


def initial_status(resource: Resource, value: JsonObject) -> JsonObject | None:
    """The status an object is created with."""
    if resource.plural == "namespaces":
        return {"phase": "Active"}
    if resource.plural == "pods" and not resource.group:
        return {"phase": "Pending", "qosClass": "BestEffort"}
    if resource.plural == "nodes":
        return table(value, "status")
    return {} if resource.group in ("apps", "batch", "policy") else None


def problems(resource: Resource, value: JsonObject, before: JsonObject | None) -> Iterator[Finding]:
    """What the real validation would say, for the mistakes that matter here."""
    if resource.group == "apps" and resource.plural in _WITH_TEMPLATE:
        yield from _workload_problems(value, before)
    elif resource.plural == "pods" and not resource.group:
        yield from _container_problems(value, "spec")


def _workload_problems(value: JsonObject, before: JsonObject | None) -> Iterator[Finding]:
    selector = table(value, "spec", "selector")
    if not selector:
        yield Finding("spec.selector", "FieldValueRequired", "Required value")
    elif not selects(selector, texts(value, "spec", "template", "metadata", "labels")):
        shown = texts(value, "spec", "template", "metadata", "labels")
        message = f"Invalid value: {shown}: `selector` does not match template `labels`"
        yield Finding("spec.template.metadata.labels", "FieldValueInvalid", message)
    if before is not None and selector != table(before, "spec", "selector"):
        yield Finding("spec.selector", "FieldValueInvalid", "Invalid value: field is immutable")
    yield from _container_problems(value, "spec", "template", "spec")


def _container_problems(value: JsonObject, *path: str) -> Iterator[Finding]:
    where = ".".join(path)
    containers = rows(value, *path, "containers")
    if not containers:
        yield Finding(f"{where}.containers", "FieldValueRequired", "Required value")
    for at, container in enumerate(containers):
        for name in ("name", "image"):
            if not text(container, name):
                yield Finding(f"{where}.containers[{at}].{name}", "FieldValueRequired", "Required value")


def _section(value: JsonObject, name: str) -> JsonObject:
    found = value.setdefault(name, {})
    return found if isinstance(found, dict) else {}


def _deployment(value: JsonObject) -> None:
    spec = _section(value, "spec")
    spec.setdefault("replicas", 1)
    spec.setdefault("strategy", _ROLLING)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _stateful_set(value: JsonObject) -> None:
    spec = _section(value, "spec")
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    spec.setdefault("revisionHistoryLimit", 10)


def _daemon_set(value: JsonObject) -> None:
    spec = _section(value, "spec")
    rolling: JsonObject = {"maxSurge": 0, "maxUnavailable": 1}
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
    spec.setdefault("revisionHistoryLimit", 10)


def _replica_set(value: JsonObject) -> None:
    _section(value, "spec").setdefault("replicas", 1)


def _pod(value: JsonObject) -> None:
    spec = _section(value, "spec")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("serviceAccountName", "default")


def _service(value: JsonObject) -> None:
    spec = _section(value, "spec")
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in rows(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if "port" in port:
            port.setdefault("targetPort", port["port"])


def _secret(value: JsonObject) -> None:
    value.setdefault("type", "Opaque")
    plain = texts(value, "stringData")
    if plain:
        encoded: dict[str, Json] = {name: base64.b64encode(part.encode()).decode() for name, part in plain.items()}
        value["data"] = {**table(value, "data"), **encoded}
    value.pop("stringData", None)


def _namespace(value: JsonObject) -> None:
    metadata = _section(value, "metadata")
    metadata["labels"] = {**table(metadata, "labels"), "kubernetes.io/metadata.name": dig(metadata, "name")}
    _section(value, "spec").setdefault("finalizers", ["kubernetes"])


def _webhooks(value: JsonObject) -> None:
    for webhook in rows(value, "webhooks"):
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("timeoutSeconds", 10)
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})


_FILLERS: dict[tuple[str, str], Callable[[JsonObject], None]] = {
    ("apps", "deployments"): _deployment,
    ("apps", "statefulsets"): _stateful_set,
    ("apps", "daemonsets"): _daemon_set,
    ("apps", "replicasets"): _replica_set,
    ("", "pods"): _pod,
    ("", "services"): _service,
    ("", "secrets"): _secret,
    ("", "namespaces"): _namespace,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): _webhooks,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): _webhooks,
}
