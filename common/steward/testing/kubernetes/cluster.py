"""The state of the simulated cluster and the verbs that change it, without any HTTP.

Controllers of a test (a simulated mesh, a rollout) call these verbs directly: they are synchronous, atomic, and do what
the same request over the wire would do, refusals included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from steward.clock import Clock, SystemClock
from steward.jsonvalue import Json, JsonObject, dig, strings, table, text
from steward.kube.resources import CRDS, NAMESPACES, Resource
from steward.testing.kubernetes import builtin, custom, metadata
from steward.testing.kubernetes.admission import AdmissionRequest, Webhook, admitted
from steward.testing.kubernetes.kinds import Catalogue, Kind
from steward.testing.kubernetes.lists import BuiltInShapes, SchemaShapes, Shapes
from steward.testing.kubernetes.ownership import Scope, Writer, applied, note_creation, note_update
from steward.testing.kubernetes.patches import json_patched, merge_patched, strategic_patched
from steward.testing.kubernetes.refusal import (
    Finding,
    Refusal,
    already_exists,
    bad_request,
    forbidden,
    invalid,
    not_found,
    unsupported_media,
)
from steward.testing.kubernetes.schema import defaulted, findings, pruned, unknown_fields
from steward.testing.kubernetes.selectors import by_fields, by_labels
from steward.testing.kubernetes.store import Store, copied

_BUILT_IN = BuiltInShapes()
_FIRST_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class Intent:
    """How a write is meant: everything beside the object itself."""

    manager: str = "steward-testing"
    dry_run: bool = False
    strict: bool = False
    force: bool = False
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of one of the types `merge`, `strategic`, `json`, `apply`."""

    type: str
    body: Json


@dataclass(slots=True)
class ClusterState:
    """Objects, kinds, admission and the rules between them."""

    clock: Clock = field(default_factory=SystemClock)
    store: Store = field(default_factory=Store)
    kinds: Catalogue = field(default_factory=Catalogue)
    webhooks: list[Webhook] = field(default_factory=list)
    on_removed: list[Callable[[Kind, JsonObject], None]] = field(default_factory=list)
    """Told of every object that is really gone; garbage collection hangs here."""

    def __post_init__(self) -> None:
        for name in _FIRST_NAMESPACES:
            self.create(NAMESPACES, {"metadata": {"name": name}})

    def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """The object as stored: copy it before changing it."""
        found = self.find(resource, name, namespace)
        if found is None:
            raise not_found(resource, name)
        return found

    def find(self, resource: Resource, name: str, namespace: str = "") -> JsonObject | None:
        """The same, or None."""
        return self.store.get(self.kinds.of(resource).table, (namespace, name))

    def list(self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "") -> list[JsonObject]:
        """Objects in the order of namespace and name."""
        on_labels, on_fields = by_labels(labels), by_fields(fields)
        found = self.store.select(self.kinds.of(resource).table, namespace)
        return [one for one in found if on_labels(one) and on_fields(one)]

    def create(
        self, resource: Resource, body: JsonObject, namespace: str = "", intent: Intent | None = None
    ) -> JsonObject:
        """As POST."""
        intent = intent or Intent()
        kind = self.kinds.of(resource)
        value = copied(body)
        self._begin(kind, value, namespace or text(value, "metadata", "namespace"))
        value = self._admitted(kind, value, None, intent)
        value = self._held_to_schema(kind, value, None, intent)
        note_creation(value, self._writer(kind, "Update", intent), self.shapes(kind), self._scope(kind, intent))
        return self._stored_first(kind, value, intent)

    def replace(self, resource: Resource, body: JsonObject, intent: Intent | None = None) -> JsonObject:
        """As PUT; name and namespace come from the body."""
        intent = intent or Intent()
        kind = self.kinds.of(resource)
        before = self.get(resource, text(body, "metadata", "name"), text(body, "metadata", "namespace"))
        metadata.must_name_version(kind, body)
        return self._update(kind, before, copied(body), intent)

    def patch(
        self, resource: Resource, name: str, patch: Patch, namespace: str = "", intent: Intent | None = None
    ) -> JsonObject:
        """As PATCH."""
        intent = intent or Intent()
        kind = self.kinds.of(resource)
        if patch.type == "apply":
            return self._apply(kind, name, namespace, patch, intent)
        before = self.get(resource, name, namespace)
        return self._update(kind, before, _patched(kind, before, patch), intent)

    def set_status(self, resource: Resource, name: str, status: JsonObject, namespace: str = "") -> JsonObject:
        """What a controller of the test does most: merge `status` into the status subresource."""
        intent = Intent(subresource="status")
        return self.patch(resource, name, Patch("merge", {"status": status}), namespace, intent)

    def shapes(self, kind: Kind) -> Shapes:
        """How lists of this kind merge."""
        return SchemaShapes(kind.schema) if kind.schema is not None else _BUILT_IN

    def remove(self, kind: Kind, value: JsonObject) -> JsonObject:
        """Take an object away for good, and tell those who wait for it."""
        last = self.store.remove(kind.table, value)
        if kind.resource == CRDS:
            self.kinds.drop(text(value, "spec", "group"), text(value, "spec", "names", "plural"))
        for tell in tuple(self.on_removed):
            tell(kind, last)
        return last

    def put(self, kind: Kind, value: JsonObject) -> JsonObject:
        """Store a changed object, or remove it where it only waited for its last finalizer."""
        if text(value, "metadata", "deletionTimestamp") and not self._is_held(kind, value):
            return self.remove(kind, value)
        stored = self.store.put(kind.table, value)
        if kind.resource == CRDS:
            for each in custom.kinds_of(stored):
                self.kinds.add(each)
        return stored

    def _is_held(self, kind: Kind, value: JsonObject) -> bool:
        if strings(value, "metadata", "finalizers"):
            return True
        return kind.resource == NAMESPACES and bool(strings(value, "spec", "finalizers"))

    def _begin(self, kind: Kind, value: JsonObject, namespace: str) -> None:
        self._name_type(kind, value)
        if kind.resource.namespaced:
            self._must_accept(kind, namespace, text(value, "metadata", "name"))
        metadata.begin(kind, value, namespace, self.clock.now())
        name = text(value, "metadata", "name")
        if self.store.get(kind.table, (namespace if kind.resource.namespaced else "", name)):
            raise already_exists(kind.resource, name)
        builtin.fill_in(kind.resource, value)
        if kind.status:
            first = None if kind.custom else builtin.initial_status(kind.resource, value)
            value.pop("status", None)
            if first is not None:
                value["status"] = first
        if kind.resource == CRDS:
            custom.check_definition(value)
            custom.established(value, metadata.stamp(self.clock.now()))

    def _must_accept(self, kind: Kind, namespace: str, name: str) -> None:
        if not namespace:
            raise bad_request("an empty namespace may not be set during creation")
        home = self.store.get(("", "namespaces"), ("", namespace))
        if home is None:
            raise not_found(NAMESPACES, namespace)
        if text(home, "metadata", "deletionTimestamp"):
            why = f"namespace {namespace} is being terminated"
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind.resource, name, message, [Finding("metadata.namespace", "NamespaceTerminating", why)])

    def _name_type(self, kind: Kind, value: JsonObject) -> None:
        for name, wanted in (("apiVersion", kind.resource.api_version), ("kind", kind.resource.kind)):
            if value.setdefault(name, wanted) != wanted:
                raise bad_request(
                    f"the {name} in the data ({text(value, name)}) does not match the expected one ({wanted})"
                )

    def _stored_first(self, kind: Kind, value: JsonObject, intent: Intent) -> JsonObject:
        return value if intent.dry_run else self.put(kind, value)

    def _update(self, kind: Kind, before: JsonObject, after: JsonObject, intent: Intent) -> JsonObject:
        self._name_type(kind, after)
        metadata.carry_over(kind, before, after)
        metadata.carry_over_owners(before, after)
        after = self._confined(kind, before, after, intent)
        after = self._finished(kind, before, after, intent)
        note_update(before, after, self._writer(kind, "Update", intent), self.shapes(kind), self._scope(kind, intent))
        return self._stored_again(kind, before, after, intent)

    def _apply(self, kind: Kind, name: str, namespace: str, patch: Patch, intent: Intent) -> JsonObject:
        config = self._configuration(kind, name, namespace, patch)
        before = self.store.get(kind.table, (namespace, name))
        writer, scope = self._writer(kind, "Apply", intent), self._scope(kind, intent)
        if before is not None:
            live = copied(before)
            after = applied(live, config, writer, self.shapes(kind), force=intent.force, scope=scope)
            metadata.of(after).update(_preconditions(config))
            metadata.carry_over(kind, before, after)
            after = self._finished(kind, before, after, intent)
            return self._stored_again(kind, before, after, intent)
        if intent.subresource or _preconditions(config):
            raise not_found(kind.resource, name)
        where: JsonObject = {"name": name, "namespace": namespace} if kind.resource.namespaced else {"name": name}
        skeleton: JsonObject = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind, "metadata": where}
        value = applied(skeleton, config, writer, self.shapes(kind), force=True, scope=scope)
        owners = table(value, "metadata").get("managedFields")
        self._begin(kind, value, namespace)
        value = self._admitted(kind, value, None, intent)
        value = self._held_to_schema(kind, value, None, intent)
        if owners:
            metadata.of(value)["managedFields"] = owners
        return self._stored_first(kind, value, intent)

    def _configuration(self, kind: Kind, name: str, namespace: str, patch: Patch) -> JsonObject:
        if not isinstance(patch.body, dict):
            raise bad_request("an apply configuration must be an object")
        config = copied(patch.body)
        for member, wanted in (("apiVersion", kind.resource.api_version), ("kind", kind.resource.kind)):
            if text(config, member) != wanted:
                raise bad_request(f"invalid object: {member} must be set to {wanted!r} in an apply configuration")
        if text(config, "metadata", "name", default=name) != name:
            raise bad_request(
                f"metadata.name {text(config, 'metadata', 'name')!r} does not match the name of the request"
            )
        if dig(config, "metadata", "managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if kind.schema is not None:
            for path in unknown_fields(config, kind.schema):
                where = f"{namespace}/{name}" if namespace else f"/{name}"
                what = f"{where}; {kind.resource.api_version}, Kind={kind.resource.kind}"
                message = f"failed to create typed patch object ({what}): .{path}: field not declared in schema"
                raise Refusal(500, "", message)
        return config

    def _finished(self, kind: Kind, before: JsonObject, after: JsonObject, intent: Intent) -> JsonObject:
        after = self._admitted(kind, after, before, intent)
        after = self._held_to_schema(kind, after, before, intent)
        metadata.count_generation(kind, before, after)
        metadata.check(kind, after)
        return after

    def _stored_again(self, kind: Kind, before: JsonObject, after: JsonObject, intent: Intent) -> JsonObject:
        if after == before or intent.dry_run:
            return after
        if kind.resource == CRDS:
            custom.check_definition(after)
            custom.established(after, metadata.stamp(self.clock.now()))
        return self.put(kind, after)

    def _confined(self, kind: Kind, before: JsonObject, after: JsonObject, intent: Intent) -> JsonObject:
        """Without what this endpoint ignores: the status here, everything else there."""
        if intent.subresource == "status":
            confined = copied(before)
            confined["status"] = after.get("status", {})
            return confined
        if kind.status:
            after.pop("status", None)
            if "status" in before:
                after["status"] = copied({"status": before["status"]})["status"]
        return after

    def _admitted(self, kind: Kind, value: JsonObject, before: JsonObject | None, intent: Intent) -> JsonObject:
        if not self.webhooks:
            return value
        operation = "CREATE" if before is None else "UPDATE"
        namespace = text(value, "metadata", "namespace")
        return admitted(
            self.webhooks,
            AdmissionRequest(operation, kind.resource, namespace, value, before, intent.subresource, intent.dry_run),
        )

    def _held_to_schema(self, kind: Kind, value: JsonObject, before: JsonObject | None, intent: Intent) -> JsonObject:
        name = text(value, "metadata", "name")
        if kind.schema is None:
            found: Sequence[Finding] = list(builtin.problems(kind.resource, value, before))
        else:
            if intent.strict and (unknown := list(unknown_fields(value, kind.schema))):
                raise _strictly_refused(kind, unknown)
            value = cast("JsonObject", defaulted(pruned(value, kind.schema), kind.schema))
            found = list(findings(value, kind.schema))
        if found:
            raise invalid(kind.resource, name, found)
        return value

    def _writer(self, kind: Kind, operation: str, intent: Intent) -> Writer:
        now = metadata.stamp(self.clock.now())
        return Writer(intent.manager, operation, kind.resource.api_version, now, intent.subresource)

    def _scope(self, kind: Kind, intent: Intent) -> Scope:
        if intent.subresource == "status":
            return Scope(only=("status",))
        return Scope(without=("status",)) if kind.status else Scope()


def _patched(kind: Kind, before: JsonObject, patch: Patch) -> JsonObject:
    live = copied(before)
    if patch.type == "json":
        return json_patched(live, patch.body)
    if not isinstance(patch.body, dict):
        raise bad_request("the body of a merge patch must be an object")
    if patch.type == "merge":
        return cast("JsonObject", merge_patched(live, patch.body))
    if kind.custom:
        raise unsupported_media(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
    return cast("JsonObject", strategic_patched(live, patch.body))


def _strictly_refused(kind: Kind, unknown: Sequence[str]) -> Refusal:
    listed = ", ".join(f'unknown field "{path}"' for path in unknown)
    name, version = kind.resource.kind, kind.resource.version
    return bad_request(f'{name} in version "{version}" cannot be handled as a {name}: strict decoding error: {listed}')


def _preconditions(config: JsonObject) -> JsonObject:
    found = table(config, "metadata")
    return {name: found[name] for name in ("uid", "resourceVersion") if name in found}
