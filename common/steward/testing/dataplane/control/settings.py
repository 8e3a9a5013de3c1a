"""How a proxy was set up, read from its pod: what the injector wrote into the environment."""

from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import CONFIG_MAPS
from steward.testing.dataplane.config import Labels, ProxySettings
from steward.testing.dataplane.control.world import (
    OPAQUE_PORTS,
    World,
    account_of,
    annotations_of,
    container_ports,
    labels_of,
    name_of,
    namespace_of,
    port_numbers,
    proxy_of,
)
from steward.testing.linkerd.proxy import INGRESS_MODE, TRUST_ROOTS
from steward.testing.linkerd.values import NAMESPACE

_CONFIG = "config.linkerd.io/"
_ANCHORS = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"
_ACCESS_LOG = "LINKERD2_PROXY_ACCESS_LOG"
_COLLECTOR = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC"


def settings_of(world: World, pod: JsonObject) -> ProxySettings:
    """Of a pod that has a proxy and an address."""
    annotations, named = annotations_of(pod), container_ports(pod)
    values = world.values
    environment = environment_of(pod)
    proxy = proxy_of(pod) or {}
    node = text(pod, "spec", "nodeName")

    def ports(key: str, default: frozenset[int]) -> frozenset[int]:
        declared = annotations.get(_CONFIG + key)
        return default if declared is None else port_numbers(declared, named)

    declared = annotations.get(OPAQUE_PORTS)
    return ProxySettings(
        pod=name_of(pod),
        namespace=namespace_of(pod),
        ip=text(pod, "status", "podIP"),
        version=text(proxy, "image").rpartition(":")[2],
        node=node,
        zone=world.zone_of(node),
        account=account_of(pod),
        owner=_owner(pod),
        skip_inbound=ports("skip-inbound-ports", values.skip_inbound),
        skip_outbound=ports("skip-outbound-ports", values.skip_outbound),
        opaque_ports=values.opaque_ports if declared is None else port_numbers(declared, named),
        trust_anchors=anchors_of(world, pod),
        metrics_hostname_labels=annotations.get(_CONFIG + "proxy-metrics-hostname-labels") == "true",
        access_log=environment.get(_ACCESS_LOG, ""),
        native_sidecar=any(text(one, "name") == text(proxy, "name") for one in rows(pod, "spec", "initContainers")),
        trace_collector=environment.get(f"{_COLLECTOR}_ADDR", ""),
        trace_identity=environment.get(f"{_COLLECTOR}_NAME", ""),
        ingress=environment.get(INGRESS_MODE) == "true",
        environment=tuple(sorted(environment.items())),
    )


def environment_of(pod: JsonObject) -> dict[str, str]:
    """The proxy's variables, as far as they have a value of their own; of two with one name the later."""
    return {text(one, "name"): text(one, "value") for one in rows(proxy_of(pod) or {}, "env") if "value" in one}


def anchors_of(world: World, pod: JsonObject) -> str:
    """The bundle that the proxy trusts: baked in at injection, or the ConfigMap's as it was mounted."""
    for one in rows(proxy_of(pod) or {}, "env"):
        if text(one, "name") == _ANCHORS and text(one, "value"):
            return text(one, "value")
    return bundle_of(world)


def bundle_of(world: World) -> str:
    """The anchors that the mesh trusts now."""
    return text(world.find(CONFIG_MAPS, TRUST_ROOTS, NAMESPACE) or {}, "data", "ca-bundle.crt")


def _owner(pod: JsonObject) -> Labels:
    prefix = "linkerd.io/proxy-"
    found = {key.removeprefix(prefix): value for key, value in labels_of(pod).items() if key.startswith(prefix)}
    return tuple(sorted(found.items()))
