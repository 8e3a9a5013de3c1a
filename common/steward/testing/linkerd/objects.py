"""The few shapes that all stand-in objects share: metadata with Linkerd's labels, Secrets, kinds in order."""

from base64 import b64decode, b64encode
from collections.abc import Mapping

from steward.jsonvalue import Json, JsonObject, text, texts
from steward.testing.linkerd.values import NAMESPACE

COMPONENT = "linkerd.io/control-plane-component"
CONTROL_PLANE_NS = "linkerd.io/control-plane-ns"
CREATED_BY = "linkerd.io/created-by"


def labels_of(component: str = "") -> dict[str, Json]:
    """Labels of an object of the control plane."""
    labels: dict[str, Json] = {CONTROL_PLANE_NS: NAMESPACE}
    if component:
        labels[COMPONENT] = component
    return labels


def thing(api_version: str, kind: str, name: str, *, namespaced: bool = True) -> JsonObject:
    """An object with nothing but its name."""
    metadata: JsonObject = {"name": name}
    if namespaced:
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def labelled(thing: JsonObject, labels: Mapping[str, Json], annotations: Mapping[str, str] | None = None) -> JsonObject:
    """`thing` with these labels and annotations."""
    metadata = thing["metadata"]
    if isinstance(metadata, dict):
        metadata["labels"] = dict(labels)
        if annotations:
            metadata["annotations"] = dict(annotations)
    return thing


def secret(name: str, data: Mapping[str, str], *, kind: str = "") -> JsonObject:
    """A Secret with `data` encoded as the API wants it."""
    result = thing("v1", "Secret", name)
    result["data"] = {key: b64encode(value.encode()).decode() for key, value in data.items()}
    if kind:
        result["type"] = kind
    return result


def opened(secret: JsonObject) -> dict[str, str]:
    """The decoded content of a Secret; what is no text is left out."""
    content: dict[str, str] = {}
    for key, value in texts(secret, "data").items():
        try:
            content[key] = b64decode(value, validate=True).decode()
        except ValueError:
            continue
    return content


def identity(thing: JsonObject) -> tuple[str, str, str]:
    """Kind, namespace and name: what makes two objects the same one."""
    return text(thing, "kind"), text(thing, "metadata", "namespace"), text(thing, "metadata", "name")
