"""The data plane: `linkerd-data-plane`, shown by `--proxy`."""

from collections.abc import Callable

from steward.jsonvalue import JsonObject, rows, text, texts
from steward.kube.resources import NAMESPACES, SERVICES
from steward.testing.linkerd.cli.checks.check import Check, Section
from steward.testing.linkerd.cli.checks.versions import healthy, matching, up_to_date, with_proxy
from steward.testing.linkerd.cli.seen import Seen

_ANNOTATIONS_ONLY = ("config.linkerd.io/", "config.alpha.linkerd.io/")


def _proxies(seen: Seen) -> list[JsonObject]:
    return with_proxy(seen.meshed_pods)


def _namespace(seen: Seen) -> str:
    name = seen.options.namespace
    return "" if not name or seen.named(NAMESPACES, name) else f'The "{name}" namespace does not exist'


def _misplaced(kind: str, things: Callable[[Seen], list[JsonObject]]) -> Callable[[Seen], str]:
    """Settings written as labels, where only annotations count."""

    def find(seen: Seen) -> str:
        wrong = [
            f"* {text(thing, 'metadata', 'name')}/{text(thing, 'metadata', 'namespace')}\n\t\t{label}={value}"
            for thing in things(seen)
            for label, value in texts(thing, "metadata", "labels").items()
            if label == "linkerd.io/inject" or label.startswith(_ANNOTATIONS_ONLY)
        ]
        return f"Some labels on data plane {kind} should be annotations:\n\t" + "\n\t".join(wrong) if wrong else ""

    return find


def _services(seen: Seen) -> list[JsonObject]:
    found = seen.all(SERVICES, seen.options.namespace)
    return [one for one in found if text(one, "metadata", "namespace") != seen.options.control_plane]


def _service_annotations(seen: Seen) -> str:
    wrong = [
        f"* {text(one, 'metadata', 'name')}/{text(one, 'metadata', 'namespace')}\n\t\t{key}={value}"
        for one in _services(seen)
        for key, value in texts(one, "metadata", "annotations").items()
        if key == "mirror.linkerd.io/exported"
    ]
    title = "Some annotations on data plane services should be labels:\n\t"
    return title + "\n\t".join(wrong) if wrong else ""


def _opaque_ports(seen: Seen) -> str:
    """A Service and the pods behind it must agree on which ports are opaque."""
    for service in _services(seen):
        marked = texts(service, "metadata", "annotations").get("config.linkerd.io/opaque-ports")
        selector = texts(service, "spec", "selector")
        if marked is None or not selector:
            continue
        for pod in _proxies(seen):
            labels = texts(pod, "metadata", "labels")
            same_home = text(pod, "metadata", "namespace") == text(service, "metadata", "namespace")
            if not same_home or any(labels.get(key) != value for key, value in selector.items()):
                continue
            if texts(pod, "metadata", "annotations").get("config.linkerd.io/opaque-ports") is None and _exposes(
                pod, marked
            ):
                return (
                    f"\t* service {text(service, 'metadata', 'name')} expects target port {marked} to be opaque; "
                    f"add it to pod {text(pod, 'metadata', 'name')} config.linkerd.io/opaque-ports annotation"
                )
    return ""


def _exposes(pod: JsonObject, marked: str) -> bool:
    ports = {
        str(port.get("containerPort"))
        for container in rows(pod, "spec", "containers")
        for port in rows(container, "ports")
    }
    return bool(ports & {word.strip() for word in marked.split(",")})


DATA_PLANE = Section(
    "linkerd-data-plane",
    (
        Check("data plane namespace exists", "l5d-data-plane-exists", _namespace, fatal=True),
        Check(
            "data plane proxies are ready",
            "l5d-data-plane-ready",
            lambda seen: healthy(_proxies(seen), seen.options.namespace),
            fatal=True,
            retried=True,
        ),
        Check("data plane is up-to-date", "l5d-data-plane-version", up_to_date(_proxies), warning=True),
        Check("data plane and cli versions match", "l5d-data-plane-cli-version", matching(_proxies), warning=True),
        Check(
            "data plane pod labels are configured correctly",
            "l5d-data-plane-pod-labels",
            _misplaced("pods", _proxies),
            warning=True,
        ),
        Check(
            "data plane service labels are configured correctly",
            "l5d-data-plane-services-labels",
            _misplaced("services", _services),
            warning=True,
        ),
        Check(
            "data plane service annotations are configured correctly",
            "l5d-data-plane-services-annotations",
            _service_annotations,
            warning=True,
        ),
        Check("opaque ports are properly annotated", "linkerd-opaque-ports-definition", _opaque_ports, warning=True),
    ),
)
