"""The pod behind a Service, and which of its ports a port of the Service stands for; as `kubectl port-forward` does."""

from dataclasses import dataclass

from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.jsonvalue import JsonObject, dig, rows, text, texts, whole
from steward.kube.client import Kube
from steward.kube.portforward import PodPort
from steward.kube.resources import PODS, SERVICES


@dataclass(frozen=True, slots=True)
class ServicePort:
    """The near end."""

    namespace: str
    service: str
    port: int


async def pod_behind(kube: Kube, wanted: ServicePort, what: str, remedy: str) -> PodPort:
    """A port of a ready pod; `what` is who listens there. Raise Refusal, saying which part of the way is missing."""
    namespace = wanted.namespace
    service = await kube.find(SERVICES, wanted.service, namespace)
    if service is None:
        raise Refusal(
            f"there is no Service {wanted.service!r} in namespace {namespace!r} to reach {what} through",
            remedy,
            ExitCode.UNREACHABLE,
        )
    port = next((each for each in rows(service, "spec", "ports") if whole(each, "port") == wanted.port), None)
    if port is None:
        raise Refusal(
            f"Service '{namespace}/{wanted.service}' has no port {wanted.port} to reach {what} through",
            remedy,
            ExitCode.UNREACHABLE,
        )
    pod = await _ready_pod(kube, wanted, service)
    return PodPort(namespace, text(pod, "metadata", "name"), _number(port, pod))


async def _ready_pod(kube: Kube, wanted: ServicePort, service: JsonObject) -> JsonObject:
    selector = ",".join(f"{key}={value}" for key, value in sorted(texts(service, "spec", "selector").items()))
    pods = await kube.list(PODS, wanted.namespace, labels=selector)
    for pod in pods.items:
        if any(
            text(each, "type") == "Ready" and text(each, "status") == "True"
            for each in rows(pod, "status", "conditions")
        ):
            return pod
    raise Refusal(
        f"none of the {len(pods.items)} pods behind Service '{wanted.namespace}/{wanted.service}' is ready",
        f"kubectl -n {wanted.namespace} get pods -l {selector}",
        ExitCode.UNREACHABLE,
    )


def _number(port: JsonObject, pod: JsonObject) -> int:
    """The port of the pod: as the Service says it, by number or by the name that a container gives it."""
    target = dig(port, "targetPort")
    if isinstance(target, str):
        for group in ("containers", "initContainers"):
            for container in rows(pod, "spec", group):
                for each in rows(container, "ports"):
                    if text(each, "name") == target:
                        return whole(each, "containerPort")
    return target if isinstance(target, int) and not isinstance(target, bool) else whole(port, "port")
