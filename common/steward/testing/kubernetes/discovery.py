"""What is served, as clients discover it: `/api`, `/apis`, `/version`, health, and an empty OpenAPI document."""

from itertools import groupby

from steward.jsonvalue import Json, JsonObject
from steward.testing.kubernetes.kinds import Catalogue, Kind

VERSION: JsonObject = {"major": "1", "minor": "36", "gitVersion": "v1.36.3", "platform": "linux/amd64"}
_VERBS: list[Json] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_REVIEWS: dict[tuple[str, str], JsonObject] = {
    ("authorization.k8s.io", "v1"): {
        "name": "selfsubjectaccessreviews",
        "singularName": "selfsubjectaccessreview",
        "namespaced": False,
        "kind": "SelfSubjectAccessReview",
        "verbs": ["create"],
    }
}


def discovered(kinds: Catalogue, path: str, version: JsonObject) -> JsonObject | str | None:
    """The document at a discovery path, None for every other path."""
    parts = path.strip("/").split("/")
    match parts:
        case ["version"]:
            return version
        case ["healthz" | "livez" | "readyz", *_]:
            return "ok"
        case ["openapi", *_]:
            return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": version["gitVersion"]}, "paths": {}}
        case ["api" | "apis", *rest] if len(rest) <= 2:
            return _api(kinds, parts)
        case _:
            return None


def _api(kinds: Catalogue, parts: list[str]) -> JsonObject | None:
    match parts:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["api", "v1"]:
            return _resources(kinds, "", "v1")
        case ["apis"]:
            groups: list[Json] = [_group(kinds, name) for name in _groups(kinds)]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if group in _groups(kinds):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(kinds, group)}
        case ["apis", group, at] if (group, at) in _REVIEWS or any(_is_at(kind, group, at) for kind in kinds):
            return _resources(kinds, group, at)
        case _:
            return None


def _is_at(kind: Kind, group: str, version: str) -> bool:
    return (kind.resource.group, kind.resource.version) == (group, version)


def _groups(kinds: Catalogue) -> list[str]:
    return sorted({kind.resource.group for kind in kinds if kind.resource.group} | {group for group, _ in _REVIEWS})


def _group(kinds: Catalogue, name: str) -> JsonObject:
    versions = sorted({kind.resource.version for kind in kinds if kind.resource.group == name}) or ["v1"]
    listed: list[Json] = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[-1]}


def _resources(kinds: Catalogue, group: str, version: str) -> JsonObject:
    here = sorted((kind for kind in kinds if _is_at(kind, group, version)), key=lambda kind: kind.resource.plural)
    listed: list[Json] = [
        one for _, members in groupby(here, key=lambda kind: kind.resource.plural) for one in _entries(next(members))
    ]
    if (group, version) in _REVIEWS:
        listed.append(_REVIEWS[(group, version)])
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": listed,
    }


def _entries(kind: Kind) -> list[Json]:
    resource = kind.resource
    main: JsonObject = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
        "shortNames": list(kind.short_names),
    }
    entries: list[Json] = [main]
    for subresource, served in (("status", kind.status), ("scale", kind.scale is not None)):
        if served:
            inner: JsonObject = {"name": f"{resource.plural}/{subresource}", "singularName": "", "kind": resource.kind}
            entries.append({**inner, "namespaced": resource.namespaced, "verbs": ["get", "patch", "update"]})
    return entries
