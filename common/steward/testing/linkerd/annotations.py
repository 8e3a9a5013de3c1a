"""What annotations of a pod or its namespace change in the values that its proxy is rendered from."""

from collections.abc import Mapping
from json import JSONDecodeError, loads

from steward.jsonvalue import Json, JsonObject, rows, text
from steward.testing.linkerd.values import merged

CONFIG = "config.linkerd.io/"
_PATHS: Mapping[str, tuple[str, ...]] = {
    "access-log": ("proxy", "accessLog"),
    "default-inbound-policy": ("proxy", "defaultInboundPolicy"),
    "opaque-ports": ("proxy", "opaquePorts"),
    "proxy-admin-shutdown": ("proxy", "enableShutdownEndpoint"),
    "proxy-cpu-limit": ("proxy", "resources", "cpu", "limit"),
    "proxy-cpu-request": ("proxy", "resources", "cpu", "request"),
    "proxy-inbound-connect-timeout": ("proxy", "inboundConnectTimeout"),
    "proxy-inbound-discovery-cache-unused-timeout": ("proxy", "inboundDiscoveryCacheUnusedTimeout"),
    "proxy-log-format": ("proxy", "logFormat"),
    "proxy-log-level": ("proxy", "logLevel"),
    "proxy-memory-limit": ("proxy", "resources", "memory", "limit"),
    "proxy-memory-request": ("proxy", "resources", "memory", "request"),
    "proxy-metrics-hostname-labels": ("proxy", "metrics", "hostnameLabels"),
    "proxy-outbound-connect-timeout": ("proxy", "outboundConnectTimeout"),
    "proxy-outbound-discovery-cache-unused-timeout": ("proxy", "outboundDiscoveryCacheUnusedTimeout"),
    "shutdown-grace-period": ("proxy", "shutdownGracePeriod"),
    "skip-inbound-ports": ("proxyInit", "ignoreInboundPorts"),
    "skip-outbound-ports": ("proxyInit", "ignoreOutboundPorts"),
    "skip-subnets": ("proxyInit", "skipSubnets"),
}
_ENVIRONMENT = f"{CONFIG}proxy-additional-env"
_TRUTHS = frozenset({"proxy-admin-shutdown", "proxy-metrics-hostname-labels"})


def overridden(values: JsonObject, annotations: Mapping[str, str]) -> JsonObject:
    """The values with what the annotations say in their place; annotations that nobody knows change nothing."""
    for name, path in _PATHS.items():
        said = annotations.get(CONFIG + name)
        if said is not None:
            value: Json = (said == "true") if name in _TRUTHS else said
            values = merged(values, _nested(path, value))
    return values


def with_environment(values: JsonObject, *annotated: Mapping[str, str]) -> JsonObject:
    """The values with the variables that annotations add, one JSON list each: later ones win, by name."""
    merged_by_name = {text(each, "name"): each for each in rows(values, "proxy", "additionalEnv")}
    for annotations in annotated:
        try:
            added = loads(annotations.get(_ENVIRONMENT, "[]"))
        except JSONDecodeError:
            continue
        merged_by_name |= {text(each, "name"): each for each in rows({"added": added}, "added")}
    together: list[Json] = [*merged_by_name.values()]
    return merged(values, {"proxy": {"additionalEnv": together}}) if together else values


def _nested(path: tuple[str, ...], value: Json) -> JsonObject:
    first, *rest = path
    return {first: _nested(tuple(rest), value) if rest else value}
