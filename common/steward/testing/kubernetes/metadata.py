"""What the API server itself writes into and demands of `metadata`."""

import re
import secrets
import uuid
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import cast

from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.kube.resources import DEPLOYMENTS
from steward.testing.kubernetes.kinds import Kind
from steward.testing.kubernetes.refusal import Finding, Refusal, bad_request, conflict, invalid

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_KEY = re.compile(r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_RANDOM_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_FREE_NAMES = ("rbac.authorization.k8s.io",)
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName")


def stamp(now: datetime) -> str:
    """As Kubernetes writes times."""
    return _stamp(now.replace(microsecond=0))


@lru_cache(maxsize=8)
def _stamp(second: datetime) -> str:
    return second.strftime("%Y-%m-%dT%H:%M:%SZ")


def of(value: JsonObject) -> JsonObject:
    """The metadata to be changed in place."""
    found = value.setdefault("metadata", {})
    if not isinstance(found, dict):
        raise bad_request("metadata must be an object")
    return found


def begin(kind: Kind, value: JsonObject, namespace: str, now: datetime) -> None:
    """Make `value` a newly created object of `namespace`."""
    metadata = of(value)
    named = text(metadata, "namespace")
    if named and named != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if kind.resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if text(metadata, "resourceVersion"):
        raise Refusal(500, "", "resourceVersion should not be set on objects to be created")
    prefix = text(metadata, "generateName")
    if not text(metadata, "name") and prefix:
        metadata["name"] = prefix + "".join(secrets.choice(_RANDOM_LETTERS) for _ in range(5))
    for name in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "generation"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = stamp(now)
    if kind.generation:
        metadata["generation"] = 1
    check(kind, value)


def carry_over(kind: Kind, before: JsonObject, after: JsonObject) -> None:
    """Refuse an update of an older state, then restore what clients cannot change."""
    old, new = table(before, "metadata"), of(after)
    name = text(old, "name")
    version, uid = text(new, "resourceVersion"), text(new, "uid")
    if version and version != text(old, "resourceVersion"):
        raise conflict(kind.resource, name)
    if uid and uid != text(old, "uid"):
        raise conflict(
            kind.resource,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {text(old, 'uid')}",
        )
    for member in (*_KEPT, "name", "namespace", "resourceVersion"):
        if member in old:
            new[member] = old[member]
        else:
            new.pop(member, None)


def carry_over_owners(before: JsonObject, after: JsonObject) -> None:
    """Clients may reset the owners with an empty list, or hand fields over; without a word the owners stay."""
    old, new = table(before, "metadata"), of(after)
    given = rows(new, "managedFields")
    if "managedFields" in new and (not given or given == [{}]):
        new.pop("managedFields")
    elif not given and "managedFields" in old:
        new["managedFields"] = old["managedFields"]


def must_name_version(kind: Kind, after: JsonObject) -> None:
    """Custom resources, leases and CRDs take no unconditional replacement."""
    if (kind.custom or kind.conditional_only) and not text(after, "metadata", "resourceVersion"):
        shown = "0" if kind.custom else '""'
        why = f"Invalid value: {shown}: must be specified for an update"
        finding = Finding("metadata.resourceVersion", "FieldValueInvalid", why)
        raise invalid(kind.resource, text(after, "metadata", "name"), [finding])


def count_generation(kind: Kind, before: JsonObject, after: JsonObject) -> None:
    """One more where the desired state changed."""
    if kind.generation and _desired(kind, before) != _desired(kind, after):
        metadata = cast("JsonObject", after["metadata"])
        old = table(before, "metadata").get("generation")
        metadata["generation"] = (old if isinstance(old, int) else 0) + 1


def check(kind: Kind, value: JsonObject) -> None:
    """Names and labels as the API server wants them."""
    found = list(_problems(kind, table(value, "metadata")))
    if found:
        raise invalid(kind.resource, text(value, "metadata", "name"), found)


def _problems(kind: Kind, metadata: JsonObject) -> Iterator[Finding]:
    name = text(metadata, "name")
    if not name:
        yield Finding("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
    elif kind.resource.group not in _FREE_NAMES and not _is_name(kind, name):
        rule = "label" if kind.resource.plural == "namespaces" else "subdomain"
        what = f"a lowercase RFC 1123 {rule} must consist of lower case alphanumeric characters"
        yield Finding("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {what}')
    for key, value in table(metadata, "labels").items():
        if not _LABEL_KEY.match(key):
            yield _bad("labels", key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
        elif not _is_label_value(value):
            yield _bad("labels", value, "a valid label must be an empty string or consist of alphanumeric characters")
    yield from _annotation_problems(metadata)


def _annotation_problems(metadata: JsonObject) -> Iterator[Finding]:
    for key, value in table(metadata, "annotations").items():
        if not _LABEL_KEY.match(key):
            yield _bad("annotations", key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
        elif not isinstance(value, str):
            yield _bad("annotations", value, "must be of type string")


def _bad(member: str, shown: Json, why: str) -> Finding:
    return Finding(f"metadata.{member}", "FieldValueInvalid", f'Invalid value: "{shown}": {why}')


def _is_label_value(value: Json) -> bool:
    return isinstance(value, str) and len(value) <= 63 and bool(_LABEL_VALUE.match(value))


def _is_name(kind: Kind, name: str) -> bool:
    if kind.resource.plural in ("namespaces", "services") and not kind.resource.group:
        return len(name) <= 63 and bool(_LABEL.match(name))
    return len(name) <= 253 and bool(_SUBDOMAIN.match(name))


def _desired(kind: Kind, value: JsonObject) -> JsonObject:
    without = ("metadata", "status") if kind.status else ("metadata",)
    desired: JsonObject = {name: member for name, member in value.items() if name not in without}
    if kind.resource == DEPLOYMENTS:
        # Of all kinds only this one counts its annotations as desired state.
        desired["annotations"] = table(value, "metadata", "annotations")
    return desired
