"""Causes that stand in objects: no proxy, a skipped port, another trust bundle, a ServiceProfile, a version."""

from itertools import pairwise

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes.reading import (
    cautious,
    growth_of,
    meshed_pods,
    objects_of,
    pages_of,
    pod_name,
    proxy_of,
    without_proxy,
)
from services.conformance.core.probe import Cause
from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, dig, rows, strings, text, texts
from steward.linkerd.marks import PROXY_CONTAINER, PROXY_VERSION
from steward.linkerd.mesh_config import BUNDLE
from steward.linkerd.version import Version

ANCHORS = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"
SKIP_INBOUND = "config.linkerd.io/skip-inbound-ports"
SKIP_OUTBOUND = "config.linkerd.io/skip-outbound-ports"
_ROUTED = "outbound_tcp_route_open_total"


def anchors_of(pod: JsonObject) -> str | None:
    """The trust anchors that were written into a pod when it was injected; None where it only refers to them."""
    for variable in rows(proxy_of(pod) or {}, "env"):
        if text(variable, "name") == ANCHORS:
            value = variable.get("value")
            return value.strip() if isinstance(value, str) else None
    return None


def not_injected(stage: Stage, evidence: Evidence) -> str | None:
    missing = without_proxy(meshed_pods(stage, evidence))
    return f"no container {PROXY_CONTAINER} in {', '.join(missing)}" if missing else None


NOT_INJECTED = Cause(
    code="NOT_INJECTED",
    rung=Rung.OBJECT,
    seen=cautious(not_injected),
    message="Pods that should be in the mesh came up without a proxy.",
    expected=f"every pod of the meshed namespace has a container {PROXY_CONTAINER}",
    disproof="The pods have the container, among their init containers too.",
    remedy="See that the injector is available and its webhook's caBundle and namespaceSelector fit; restart the pods.",
    command="kubectl get pods -n <namespace> -o yaml | grep -c 'name: linkerd-proxy'",
)


def _undefined(_stage: Stage, evidence: Evidence) -> str | None:
    told = []
    for service in objects_of(evidence, why.SERVICE):
        name = text(service, "metadata", "name")
        labels = {"route_name": "undefined-port", "parent_name": name}
        opened = growth_of(evidence, why.CLIENT_BEFORE, why.CLIENT_AFTER, _ROUTED, **labels)
        if opened:
            pages = pages_of(evidence, why.CLIENT_AFTER).values()
            dialled = sorted({port for page in pages for port in page.values(_ROUTED, "parent_port", **labels)})
            has = ", ".join(str(dig(port, "port")) for port in rows(service, "spec", "ports"))
            told.append(f"{opened:g} connections to port {', '.join(dialled)} of {name}, which has {has or 'none'}")
    return "; ".join(told) or None


UNDEFINED_PORT = Cause(
    code="UNDEFINED_PORT",
    rung=Rung.OBJECT,
    seen=cautious(_undefined),
    message="Clients dial a port that the Service does not have: accepted, and reset at once, without any error text.",
    expected="the Service has the port that its clients dial",
    disproof='outbound_tcp_route_open_total{route_name="undefined-port"} stands still when the call is made.',
    remedy="Give the Service that port, or let clients dial one that it has.",
    command="kubectl get service -n <namespace> <service> -o jsonpath='{.spec.ports}'",
)


def _skipped(pod: JsonObject) -> str:
    annotations = texts(pod, "metadata", "annotations")
    written = [f"{key}: {annotations[key]}" for key in (SKIP_INBOUND, SKIP_OUTBOUND) if key in annotations]
    for container in rows(pod, "spec", "initContainers"):
        arguments = strings(container, "args")
        written += [f"{option} {value}" for option, value in pairwise(arguments) if option.endswith("-ports-to-ignore")]
    return "; ".join(written)


def _ignored_ports(pod: JsonObject) -> set[int]:
    words = _skipped(pod).replace(":", " ").replace(",", " ").replace(";", " ").split()
    ports: set[int] = set()
    for word in words:
        low, _, high = word.partition("-")
        if low.isdigit():
            ports.update(range(int(low), int(high if high.isdigit() else low) + 1))
    return ports


def skipped_port(port: int) -> Cause:
    """The port of a probe passes by the proxies."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        pods = objects_of(evidence, why.CLIENT_PODS, why.SERVER_PODS)
        found = [f"{pod_name(pod)} ({_skipped(pod)})" for pod in pods if port in _ignored_ports(pod)]
        return f"port {port} is skipped by {', '.join(sorted(found))}" if found else None

    return Cause(
        code="SKIPPED_PORT",
        rung=Rung.OBJECT,
        seen=cautious(seen),
        message="The port passes by the proxy.",
        expected=f"port {port} is in no list of skipped ports",
        disproof="No annotation and no argument of linkerd-init names the port.",
        remedy="Take the port out of the skip annotations and of the chart's ignore lists; mark it opaque instead.",
        command="kubectl get pod <pod> -o jsonpath='{.spec.initContainers[?(@.name==\"linkerd-init\")].args}'",
    )


def _anchor_drift(stage: Stage, evidence: Evidence) -> str | None:
    current = next((text(roots, "data", BUNDLE).strip() for roots in evidence.objects(why.ROOTS)), "")
    drifted = [
        pod_name(pod) for pod in meshed_pods(stage, evidence) if (anchors_of(pod) or current) != current and current
    ]
    return f"injected with another trust bundle: {', '.join(sorted(drifted))}" if drifted else None


ANCHOR_DRIFT = Cause(
    code="ANCHOR_DRIFT",
    rung=Rung.OBJECT,
    seen=cautious(_anchor_drift),
    message="Proxies trust another bundle of anchors than the control plane has now.",
    expected="the bundle in each pod equals the ConfigMap linkerd-identity-trust-roots",
    disproof="The environment of the proxies names the same certificates as the ConfigMap.",
    remedy="Restart the workloads after a change of trust anchors, before the old anchor is removed.",
    command="linkerd check --proxy",
)


def _sp_shadows(stage: Stage, evidence: Evidence) -> str | None:
    services = {text(each, "metadata", "name") for each in evidence.objects(why.SERVICE)}
    fronts = {stage.service(name) for name in services}
    found = {text(each, "metadata", "name") for each in evidence.objects(why.PROFILES)} & fronts
    return f"ServiceProfile {', '.join(sorted(found))}" if found else None


SP_SHADOWS = Cause(
    code="SP_SHADOWS",
    rung=Rung.OBJECT,
    seen=cautious(_sp_shadows),
    message="A ServiceProfile takes the place of routes, retries, timeouts and failure accrual of its Service.",
    expected="no ServiceProfile of this Service",
    disproof="There is no ServiceProfile with the Service's full name, in the client's namespace or the server's.",
    remedy="Delete the ServiceProfile, and wait until the target was idle for 5 seconds.",
    command="kubectl get serviceprofiles -A",
)


def _version_skew(stage: Stage, evidence: Evidence) -> str | None:
    if stage.linkerd is None:
        return None
    versions = {
        pod_name(pod): Version.maybe(texts(pod, "metadata", "annotations").get(PROXY_VERSION))
        for pod in meshed_pods(stage, evidence)
    }
    skewed = {pod: version for pod, version in versions.items() if version is not None and version != stage.linkerd}
    if not skewed:
        return None
    told = ", ".join(f"{pod} {version}" for pod, version in sorted(skewed.items()))
    return f"the control plane is {stage.linkerd}; {told}"


VERSION_SKEW = Cause(
    code="VERSION_SKEW",
    rung=Rung.OBJECT,
    seen=cautious(_version_skew),
    message="Proxies are of another version than the control plane.",
    expected="the proxies have the control plane's version",
    disproof="linkerd check --proxy finds every proxy up to date.",
    remedy="Restart the workloads, so that they get the control plane's proxy.",
    command="linkerd version --proxy",
)


def _env_noise(_stage: Stage, evidence: Evidence) -> str | None:
    pods = objects_of(evidence, why.CLIENT_PODS, why.SERVER_PODS)
    if why.CLIENT_PODS in evidence and why.SERVER_PODS in evidence and not pods:
        return "the pods of the probe are gone"
    unready = [f"{pod_name(pod)} {text(pod, 'status', 'phase')}" for pod in pods if not _ready(pod)]
    return f"not ready: {', '.join(sorted(unready))}" if unready else None


def _ready(pod: JsonObject) -> bool:
    conditions = rows(pod, "status", "conditions")
    return any(text(each, "type") == "Ready" and text(each, "status") == "True" for each in conditions)


ENV_NOISE = Cause(
    code="ENV_NOISE",
    rung=Rung.OBJECT,
    seen=cautious(_env_noise),
    message="Pods of the probe itself are not ready.",
    expected="all pods of the cast are ready",
    disproof="The pods named here are ready, and the feature fails all the same.",
    remedy="Look at the pods' events, quota and nodes; the feature itself is not proven broken.",
    command="kubectl describe pods -n <namespace>",
)
