"""From a path to the thing it names."""

from dataclasses import dataclass
from urllib.parse import unquote

from steward.testing.kubernetes.kinds import Catalogue, Kind
from steward.testing.kubernetes.refusal import no_such_path


@dataclass(frozen=True, slots=True)
class Route:
    """A collection (no name), an object, or a subresource of one."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def route(kinds: Catalogue, path: str) -> Route:
    """`/api/v1/...` and `/apis/<group>/<version>/...`; 404 for what is not served."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.find(group, version, rest[0])
    if kind is None or len(rest) > 3 or bool(namespace) > kind.resource.namespaced:
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    if name and kind.resource.namespaced and not namespace:
        raise no_such_path()
    return Route(kind, namespace, name, rest[2] if len(rest) > 2 else "")
