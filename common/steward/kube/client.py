"""`Kube`: the API server as a few typed verbs over raw JSON, with time-outs and retries on every one of them.

What is sent again after a failure (`steward.kube.retries`):

- reads, dry runs, server-side applies, merge patches, deletions, and replacements with a resource version: always;
- creates and JSON patches: only where they certainly did not happen (429, or the connection was refused). Otherwise
  `ServerUnavailable.outcome_unknown` tells the caller to look before it acts again;
- evictions: never.

A replacement or preconditioned merge that is repeated after an unknown outcome may meet its own first attempt: it then
raises `Conflict` with `earlier_attempt_unknown`, and reading the object again shows which it was.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from steward.clock import Clock, SystemClock
from steward.jsonvalue import Json, JsonObject, flag, text
from steward.kube.errors import NotFound
from steward.kube.exchange import APPLY, JSON, JSON_PATCH, MERGE, Caller, Exchange
from steward.kube.listing import Listing, Page, Paging, read_pages
from steward.kube.metrics import RequestObserver, Unobserved
from steward.kube.pace import WatchPace
from steward.kube.resources import ACCESS_REVIEWS, PODS, Resource
from steward.kube.retries import Repeat, RetryPolicy
from steward.kube.transport import ClusterSource, Impersonation, Transport
from steward.kube.watching import WatchEvent, WatchFrom, watch_events


@dataclass(frozen=True, slots=True)
class KubeOptions:
    """How Steward speaks to an API server; the defaults suit every service."""

    timeout: timedelta = timedelta(seconds=30)
    """For one attempt of one request. The API server itself gives up after 60 s."""
    page_size: int = 500
    """As client-go: about 3 MB a page of pods."""
    manager: str = "linkerd-steward"
    """Field manager of every write that names no other."""
    field_validation: str = "Strict"
    """An unknown field in what we write is our mistake and must not be dropped in silence."""
    user_agent: str = "linkerd-steward"
    impersonate: Impersonation | None = None
    """Whose rights count instead of our own."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    watch: WatchPace = field(default_factory=WatchPace)


class Kube:
    """One cluster. Objects go in and come out as JSON; errors are those of `steward.kube.errors`."""

    def __init__(self, transport: Transport, clock: Clock, options: KubeOptions, observer: RequestObserver) -> None:
        self.clock = clock
        self.options = options
        self._transport = transport
        self._caller = Caller(transport, clock, options.retry, observer, options.timeout)

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        clock: Clock | None = None,
        observer: RequestObserver | None = None,
        options: KubeOptions | None = None,
    ) -> "Kube":
        """Settings from a kubeconfig, or without one from the pod's service account. Nothing is sent yet."""
        chosen = options or KubeOptions()
        transport = await Transport.open(ClusterSource(kubeconfig, context, chosen.impersonate), chosen.user_agent)
        return cls(transport, clock or SystemClock(), chosen, observer or Unobserved())

    async def __aenter__(self) -> "Kube":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def address(self) -> str:
        """The API server's address."""
        return self._transport.address

    @property
    def transport(self) -> Transport:
        """For what is not a request, such as port-forwarding."""
        return self._transport

    async def close(self) -> None:
        """Close every connection, watches included."""
        await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json = None,
        content_type: str = JSON,
        timeout: timedelta | None = None,
    ) -> JsonObject:
        """Any request; what only reads, and what a server-side apply says, is repeated, the rest only if not done."""
        repeat = Repeat.ALWAYS if method in ("GET", "HEAD") or content_type == APPLY else Repeat.IF_NOT_DONE
        return await self._caller.json(
            Exchange(
                act=f"{method} {path}",
                method=method,
                path=path,
                timeout=timeout,
                query=query or {},
                body=body,
                content_type=content_type,
                repeat=repeat,
            )
        )

    async def send(self, exchange: Exchange) -> JsonObject:
        """A request with a name and a repeat policy of its own."""
        return await self._caller.json(exchange)

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = ""
    ) -> JsonObject:
        """The object, or `NotFound`."""
        path = resource.path(namespace, name, subresource)
        return await self._caller.json(Exchange(f"get {_named(resource, namespace, name)}", "GET", path))

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> JsonObject | None:
        """The object, or None where it (or its whole resource) does not exist."""
        try:
            return await self.get(resource, name, namespace)
        except NotFound:
            return None

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing:
        """All objects, read page by page; begun again where the server forgot the version of the first page."""
        paging = Paging(resource, namespace, labels, fields, self.options.page_size)
        return await read_pages(self._caller, paging)

    def pages(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Page, None]:
        """The same page by page, for lists that should not be held whole; raises `Gone` where it must begin again."""
        return Paging(resource, namespace, labels, fields, self.options.page_size).pages(self._caller)

    def watch(self, resource: Resource, start: WatchFrom) -> AsyncGenerator[WatchEvent, None]:
        """Events of one watch request until the server ends it; `Reflector` is what services use."""
        return watch_events(self._transport, resource, start, self.options.timeout)

    async def create(
        self, resource: Resource, body: JsonObject, namespace: str | None = None, *, dry_run: bool = False
    ) -> JsonObject:
        """Create the object; see the module about an unknown outcome."""
        where = namespace or _namespace_of(resource, body)
        name = text(body, "metadata", "name") or text(body, "metadata", "generateName") + "*"
        return await self._caller.json(
            Exchange(
                f"create {_named(resource, where, name)}",
                "POST",
                resource.path(where),
                query=self._write_query(dry_run=dry_run),
                body=_typed(resource, body),
                repeat=Repeat.ALWAYS if dry_run else Repeat.IF_NOT_DONE,
            )
        )

    async def replace(
        self, resource: Resource, body: JsonObject, *, subresource: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Put the whole object; with `metadata.resourceVersion` only if nobody changed it meanwhile."""
        name, where = text(body, "metadata", "name"), _namespace_of(resource, body)
        guarded = bool(text(body, "metadata", "resourceVersion"))
        return await self._caller.json(
            Exchange(
                f"replace {_named(resource, where, name)}",
                "PUT",
                resource.path(where, name, subresource),
                query=self._write_query(dry_run=dry_run),
                body=_typed(resource, body),
                repeat=Repeat.ALWAYS if guarded or dry_run else Repeat.IF_NOT_DONE,
            )
        )

    async def apply(
        self,
        resource: Resource,
        body: JsonObject,
        *,
        manager: str = "",
        force: bool = False,
        dry_run: bool = False,
        subresource: str = "",
    ) -> JsonObject:
        """Server-side apply: create or update exactly the fields in `body`; another owner's field is a `Conflict`."""
        name, where = text(body, "metadata", "name"), _namespace_of(resource, body)
        query = {**self._write_query(dry_run=dry_run), "force": "true" if force else "false"}
        if manager:
            query["fieldManager"] = manager
        return await self._caller.json(
            Exchange(
                f"apply {_named(resource, where, name)}",
                "PATCH",
                resource.path(where, name, subresource),
                query=query,
                body=_typed(resource, body),
                content_type=APPLY,
            )
        )

    async def merge(
        self,
        resource: Resource,
        name: str,
        patch: JsonObject,
        namespace: str | None = None,
        *,
        subresource: str = "",
        resource_version: str | None = None,
    ) -> JsonObject:
        """JSON merge patch; with a resource version only if nobody changed the object since."""
        body = patch
        if resource_version is not None:
            metadata = patch.get("metadata")
            body = {
                **patch,
                "metadata": {**(metadata if isinstance(metadata, dict) else {}), "resourceVersion": resource_version},
            }
        return await self._caller.json(
            Exchange(
                f"patch {_named(resource, namespace, name)}",
                "PATCH",
                resource.path(namespace, name, subresource),
                query=self._write_query(dry_run=False),
                body=body,
                content_type=MERGE,
            )
        )

    async def json_patch(
        self,
        resource: Resource,
        name: str,
        operations: Sequence[JsonObject],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> JsonObject:
        """JSON patch (RFC 6902); a failed `test` operation is `Invalid`."""
        return await self._caller.json(
            Exchange(
                f"patch {_named(resource, namespace, name)}",
                "PATCH",
                resource.path(namespace, name, subresource),
                query=self._write_query(dry_run=False),
                body=list(operations),
                content_type=JSON_PATCH,
                repeat=Repeat.IF_NOT_DONE,
            )
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> bool:
        """Ask for the deletion; False where there was nothing to delete. Finalizers may keep the object for a while."""
        conditions: JsonObject = {}
        if uid is not None:
            conditions["uid"] = uid
        if resource_version is not None:
            conditions["resourceVersion"] = resource_version
        body: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if conditions:
            body["preconditions"] = conditions
        act = f"delete {_named(resource, namespace, name)}"
        try:
            await self._caller.json(Exchange(act, "DELETE", resource.path(namespace, name), body=body))
        except NotFound as error:
            return error.earlier_attempt_unknown
        return True

    async def evict(self, namespace: str, pod: str, *, uid: str | None = None) -> None:
        """Ask the pod to go, as its disruption budget allows; `EvictionRefused` where it does not."""
        body: JsonObject = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        }
        if uid is not None:
            body["deleteOptions"] = {"preconditions": {"uid": uid}}
        path = PODS.path(namespace, pod, "eviction")
        act = f"evict pods '{namespace}/{pod}'"
        await self._caller.json(Exchange(act, "POST", path, body=body, repeat=Repeat.NEVER))

    async def log(self, namespace: str, pod: str, container: str, since: timedelta) -> str:
        """What a container wrote within the time until now."""
        query = {"container": container, "sinceSeconds": str(max(1, round(since.total_seconds())))}
        act = f"read the log of pods '{namespace}/{pod}'"
        answer = await self._caller.answer(Exchange(act, "GET", PODS.path(namespace, pod, "log"), query))
        return answer.body.decode(errors="replace")

    async def scale(self, resource: Resource, name: str, namespace: str, replicas: int) -> JsonObject:
        """Set the number of replicas through the scale subresource."""
        return await self.merge(resource, name, {"spec": {"replicas": replicas}}, namespace, subresource="scale")

    async def access(
        self, verb: str, resource: Resource, namespace: str | None = None, *, name: str = "", subresource: str = ""
    ) -> bool:
        """Whether the identity in use may do this (SelfSubjectAccessReview)."""
        wanted = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "namespace": namespace or "",
            "name": name,
            "subresource": subresource,
        }
        attributes: JsonObject = {key: value for key, value in wanted.items() if value}
        body: JsonObject = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"resourceAttributes": attributes},
        }
        act = f"review access to {verb} {resource}"
        review = await self._caller.json(Exchange(act, "POST", ACCESS_REVIEWS.path(), body=body))
        return flag(review, "status", "allowed")

    async def server_version(self) -> str:
        """As the server says it: `v1.36.3`."""
        return text(await self._caller.json(Exchange("get the server's version", "GET", "/version")), "gitVersion")

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server knows the resource: a CRD may not be installed."""
        path = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        try:
            found = await self._caller.json(Exchange(f"discover {resource}", "GET", path))
        except NotFound:
            return False
        members = found.get("resources")
        return isinstance(members, list) and any(text(member, "name") == resource.plural for member in members)

    def _write_query(self, *, dry_run: bool) -> dict[str, str]:
        query = {"fieldManager": self.options.manager, "fieldValidation": self.options.field_validation}
        return {**query, "dryRun": "All"} if dry_run else query


def _typed(resource: Resource, body: JsonObject) -> JsonObject:
    """Items of a list come without `apiVersion` and `kind`, and custom resources are not accepted without."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _named(resource: Resource, namespace: str | None, name: str) -> str:
    return f"{resource} {f'{namespace}/{name}' if namespace else name!r}"


def _namespace_of(resource: Resource, body: JsonObject) -> str | None:
    return text(body, "metadata", "namespace") or None if resource.namespaced else None
