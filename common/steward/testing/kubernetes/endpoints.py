"""One request against the cluster's state: which verb it is, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from steward.jsonvalue import Json, JsonObject, table, text, whole
from steward.kube.resources import ACCESS_REVIEWS, PODS
from steward.testing.kubernetes.access import Access, verb_of
from steward.testing.kubernetes.cluster import ClusterState, Intent, Patch
from steward.testing.kubernetes.deletion import Deletion, Undertaker
from steward.testing.kubernetes.discovery import discovered
from steward.testing.kubernetes.faults import Asked
from steward.testing.kubernetes.refusal import (
    Finding,
    Refusal,
    bad_request,
    method_not_allowed,
    no_such_path,
    success,
    unsupported_media,
)
from steward.testing.kubernetes.routes import Route, route
from steward.testing.kubernetes.selectors import both, by_fields, by_labels
from steward.testing.kubernetes.store import copied
from steward.testing.kubernetes.subresources import evicted, rescaled, scale_of
from steward.testing.kubernetes.watch import Watch, WatchRequest

_PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_REVIEWS = ACCESS_REVIEWS.path()
_SERVER_KEEPS_WATCHES_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Reply:
    """A code with JSON or text, or an open watch."""

    code: int
    body: Json = None
    watch: Watch | None = None


@dataclass(slots=True)
class Endpoints:
    """Answers requests; knows nothing of sockets."""

    cluster: ClusterState
    undertaker: Undertaker
    access: Access
    version: JsonObject
    bookmark_every: timedelta
    logs: dict[tuple[str, str, str], Callable[[], str]] = field(default_factory=dict)
    """What a container of a pod wrote."""

    def answer(self, asked: Asked) -> Reply:
        """The reply, or a Refusal."""
        if asked.path == _REVIEWS:
            return Reply(201, self.access.reviewed(asked.user, _object(asked.body)))
        if asked.method == "GET":
            document = discovered(self.cluster.kinds, asked.path, self.version)
            if document is not None:
                return Reply(200, document)
        found = route(self.cluster.kinds, asked.path)
        verb = verb_of(asked.method, name=found.name, watches=asked.watches)
        self.access.must_allow(asked.user, verb, found.kind.resource, found.namespace, found.subresource)
        if found.subresource == "log" and found.kind.resource == PODS and asked.method == "GET":
            return Reply(200, self._log(asked, found))
        return self._on_object(asked, found) if found.name else self._on_collection(asked, found)

    def _on_collection(self, asked: Asked, found: Route) -> Reply:
        resource = found.kind.resource
        match asked.method:
            case "GET":
                return self._watch(asked, found) if asked.watches else self._list(asked, found)
            case "POST":
                body = _object(asked.body)
                if resource.namespaced and not found.namespace:
                    raise method_not_allowed()
                return Reply(201, self.cluster.create(resource, body, found.namespace, _intent(asked, "")))
            case "DELETE":
                return self._delete_collection(asked, found)
            case _:
                raise method_not_allowed()

    def _on_object(self, asked: Asked, found: Route) -> Reply:
        resource = found.kind.resource
        value = self.cluster.find(resource, found.name, found.namespace)
        if found.subresource == "scale":
            return self._scale(asked, found)
        if found.subresource == "eviction" and asked.method == "POST":
            how = _deletion(table(asked.body, "deleteOptions") if isinstance(asked.body, dict) else {}, asked)
            pod = self.cluster.get(resource, found.name, found.namespace)
            return Reply(201, evicted(self.cluster, self.undertaker, pod, how))
        if found.subresource and not (found.subresource == "status" and found.kind.status):
            raise no_such_path()
        match asked.method:
            case "GET":
                return Reply(200, value or self.cluster.get(resource, found.name, found.namespace))
            case "PUT":
                return Reply(200, self._replace(asked, found))
            case "PATCH":
                changed = self._patch(asked, found)
                return Reply(200 if value is not None else 201, changed)
            case "DELETE":
                return self._delete(asked, found)
            case _:
                raise method_not_allowed()

    def _log(self, asked: Asked, found: Route) -> str:
        self.cluster.get(PODS, found.name, found.namespace)
        container = asked.query.get("container", "")
        read = self.logs.get((found.namespace, found.name, container))
        if read is None:
            raise bad_request(f"container {container} is not valid for pod {found.name}")
        return read()

    def _list(self, asked: Asked, found: Route) -> Reply:
        version = asked.query.get("resourceVersion", "")
        if version.isdigit() and int(version) > self.cluster.store.version:
            message = f"Too large resource version: {version}, current: {self.cluster.store.version}"
            raise Refusal(504, "Timeout", message, retry_after=1)
        match = both(by_labels(asked.query.get("labelSelector", "")), by_fields(asked.query.get("fieldSelector", "")))
        limit, token = int(asked.query.get("limit") or 0), asked.query.get("continue", "")
        store = self.cluster.store
        page = (
            store.next_page(token, limit)
            if token
            else store.first_page(found.kind.table, found.namespace, match, limit)
        )
        metadata: JsonObject = {"resourceVersion": str(page.version)}
        if page.token:
            metadata["continue"] = page.token
            if "labelSelector" not in asked.query and "fieldSelector" not in asked.query:
                metadata["remainingItemCount"] = page.remaining
        resource = found.kind.resource
        items = page.items if found.kind.custom else [_untyped(item) for item in page.items]
        body: JsonObject = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        return Reply(200, {**body, "items": cast("list[Json]", items)})

    def _watch(self, asked: Asked, found: Route) -> Reply:
        if asked.query.get("sendInitialEvents"):
            message = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            details: JsonObject = {"causes": [Finding("sendInitialEvents", "FieldValueForbidden", message).cause()]}
            raise Refusal(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {message}', details=details)
        match = both(by_labels(asked.query.get("labelSelector", "")), by_fields(asked.query.get("fieldSelector", "")))
        seconds, version = asked.query.get("timeoutSeconds", ""), asked.query.get("resourceVersion", "")
        if version and not version.isdigit():
            why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise Refusal(500, "", f'resourceVersion: Invalid value: "{version}": {why}')
        request = WatchRequest(
            kind=found.kind,
            namespace=found.namespace,
            match=match,
            version=version,
            bookmarks=asked.query.get("allowWatchBookmarks", "") in ("1", "true", "True"),
            lasting=timedelta(seconds=int(seconds)) if seconds.isdigit() else _SERVER_KEEPS_WATCHES_FOR,
            bookmark_every=self.bookmark_every,
        )
        return Reply(200, watch=Watch(self.cluster.store, request))

    def _replace(self, asked: Asked, found: Route) -> JsonObject:
        body = copied(_object(asked.body))
        metadata = body.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise bad_request("metadata must be an object")
        if metadata.setdefault("name", found.name) != found.name:
            raise bad_request(
                f"the name of the object ({text(metadata, 'name')}) does not match the name on the URL ({found.name})"
            )
        if found.kind.resource.namespaced and metadata.setdefault("namespace", found.namespace) != found.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return self.cluster.replace(found.kind.resource, body, _intent(asked, found.subresource))

    def _patch(self, asked: Asked, found: Route) -> JsonObject:
        kind = _PATCH_TYPES.get(asked.content_type)
        if kind is None:
            raise unsupported_media(", ".join(_PATCH_TYPES))
        if kind == "apply" and not asked.query.get("fieldManager"):
            finding = Finding("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
            message = f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: {finding.message}'
            raise Refusal(422, "Invalid", message, details={"causes": [finding.cause()]})
        patch = Patch(kind, asked.body)
        return self.cluster.patch(
            found.kind.resource, found.name, patch, found.namespace, _intent(asked, found.subresource)
        )

    def _scale(self, asked: Asked, found: Route) -> Reply:
        value = self.cluster.get(found.kind.resource, found.name, found.namespace)
        if asked.method == "GET":
            return Reply(200, scale_of(found.kind, value))
        if asked.method not in ("PUT", "PATCH"):
            raise method_not_allowed()
        return Reply(200, rescaled(self.cluster, found.kind, value, asked.body, _intent(asked, "")))

    def _delete(self, asked: Asked, found: Route) -> Reply:
        how = _deletion(asked.body if isinstance(asked.body, dict) else {}, asked)
        value, gone = self.undertaker.delete(found.kind.resource, found.name, found.namespace, how)
        if gone and found.kind.resource.plural not in ("pods", "namespaces"):
            return Reply(200, success(found.kind.resource, found.name, table(value, "metadata").get("uid")))
        return Reply(200, value)

    def _delete_collection(self, asked: Asked, found: Route) -> Reply:
        how = _deletion(asked.body if isinstance(asked.body, dict) else {}, asked)
        resource = found.kind.resource
        labels, fields = asked.query.get("labelSelector", ""), asked.query.get("fieldSelector", "")
        doomed = self.cluster.list(resource, found.namespace, labels=labels, fields=fields)
        for one in doomed:
            self.undertaker.delete(resource, text(one, "metadata", "name"), text(one, "metadata", "namespace"), how)
        version: JsonObject = {"resourceVersion": str(self.cluster.store.version)}
        body: JsonObject = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": version}
        return Reply(200, {**body, "items": cast("list[Json]", doomed)})


def _object(body: Json) -> JsonObject:
    if not isinstance(body, dict):
        raise bad_request("the body of the request must be a JSON object")
    return body


def _untyped(item: JsonObject) -> JsonObject:
    return {name: member for name, member in item.items() if name not in ("kind", "apiVersion")}


def _intent(asked: Asked, subresource: str) -> Intent:
    return Intent(
        manager=asked.query.get("fieldManager") or asked.agent.partition("/")[0] or "unknown",
        dry_run=asked.query.get("dryRun") == "All",
        strict=asked.query.get("fieldValidation") == "Strict",
        force=asked.query.get("force") in ("true", "True", "1"),
        subresource=subresource,
    )


def _deletion(options: JsonObject, asked: Asked) -> Deletion:
    grace = options.get("gracePeriodSeconds", asked.query.get("gracePeriodSeconds"))
    return Deletion(
        propagation=text(options, "propagationPolicy") or asked.query.get("propagationPolicy", "Background"),
        uid=text(options, "preconditions", "uid"),
        resource_version=text(options, "preconditions", "resourceVersion"),
        dry_run=asked.query.get("dryRun") == "All" or options.get("dryRun") == ["All"],
        grace_seconds=whole({"seconds": grace}, "seconds")
        if isinstance(grace, int)
        else int(grace)
        if isinstance(grace, str)
        else None,
    )
