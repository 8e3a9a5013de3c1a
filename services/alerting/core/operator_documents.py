"""Rules and routes as objects of the prometheus-operator, as text that can be compared and written.

A unit is one object or more: the operator leaves out a PrometheusRule whose rules are larger than half a MiB, so many
rules are told in parts. Each object carries its unit in an annotation, and a mark of its content where Prometheus or
Alertmanager shows it again, because neither tells which version of an object it has loaded:

    PrometheusRule       a recording rule whose labels are the object and a digest of the unit
    AlertmanagerConfig   a mute time that no route uses, named by the digest
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from services.alerting.core.units import ANNOTATED
from steward.alerting.channels.operator import ConfigObject
from steward.alerting.rules import Group
from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.resources.base import API_VERSION, Resource

MANAGER = "linkerd-steward"
"""Field manager of everything that Steward writes."""
OURS = ("app.kubernetes.io/managed-by", "linkerd-steward")
UNIT = "steward.linkerd.io/unit"
CONTENT = "steward.linkerd.io/content"
MARK_RECORD = "steward_alerting_rules_info"
MARK_TIME = "content-"
_LARGEST_PART = 256 * 1024
"""Bytes of JSON: half of what the operator takes as YAML."""
_LONGEST_NAME = 140
"""With namespace and uid the operator makes a key of a ConfigMap of it, of at most 253 characters."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What every object of one unit has: the unit's name, labels by which the operator finds it, its owner."""

    unit: str
    labels: Mapping[str, str]
    owner: Resource | None = None
    """Policy or channel in the same namespace; with it the objects go."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One version of one object. `object`: namespace/name."""

    object: str
    content: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What Prometheus or Alertmanager shows once a unit is loaded."""

    marks: frozenset[Mark]
    receivers: frozenset[str]
    """As the operator names them: namespace/object/receiver."""


def rule_objects(namespace: str, name: str, groups: Sequence[Group], belonging: Belonging) -> str:
    """The PrometheusRules of one unit."""
    members = [group.to_prometheus() for group in groups]
    digest = _digest(list[Json](members))
    objects: list[Json] = []
    for number, part in enumerate(_parts(members), start=1):
        own = _rule_name(name, number)
        mark: JsonObject = {
            "name": f"linkerd-steward/{namespace}/{own}/content",
            "rules": [
                {
                    "record": MARK_RECORD,
                    "expr": "vector(1)",
                    "labels": {"object": f"{namespace}/{own}", "content": digest},
                }
            ],
        }
        objects.append(_object(namespace, own, {"groups": _by_name([*part, mark])}, digest, belonging))
    return _text(objects)


def route_object(config: ConfigObject, belonging: Belonging) -> str:
    """The AlertmanagerConfig of one channel, or Steward's own."""
    digest = _digest(config.spec)
    # A time that never mutes anything, and that every version takes.
    mark: JsonObject = {
        "name": f"{MARK_TIME}{digest}",
        "timeIntervals": [{"times": [{"startTime": "00:00", "endTime": "24:00"}]}],
    }
    times: list[Json] = [*rows(config.spec, "muteTimeIntervals"), mark]
    spec: JsonObject = {**config.spec, "muteTimeIntervals": times}
    return _text([_object(config.namespace, config.name, spec, digest, belonging)])


def objects_of(content: str) -> tuple[JsonObject, ...]:
    """The objects of a unit; kind and version are those of the carrier."""
    found = orjson.loads(content)
    return tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def place_of(found: JsonObject) -> str:
    """Its namespace/name."""
    return f"{text(found, 'metadata', 'namespace')}/{text(found, 'metadata', 'name')}"


def unit_of(found: JsonObject) -> str:
    """The unit that a live object belongs to; empty where it is none that we made, whatever its labels say."""
    return text(found, "metadata", "annotations", UNIT) if _applied_by_us(found) else ""


def content_of(found: Iterable[JsonObject]) -> str:
    """The content of a unit as its live objects say it, without what others added to them."""
    return _text([_as_written(each) for each in found])


def expected(content: str) -> Expected:
    """What there is to see once this content is in force."""
    objects = objects_of(content)
    return Expected(
        frozenset(Mark(place_of(each), text(each, "metadata", "annotations", CONTENT)) for each in objects),
        frozenset(
            f"{place_of(each)}/{text(receiver, 'name')}"
            for each in objects
            for receiver in rows(each, "spec", "receivers")
        ),
    )


def _object(namespace: str, name: str, spec: JsonObject, digest: str, belonging: Belonging) -> JsonObject:
    label, value = OURS
    metadata: JsonObject = {
        "name": name,
        "namespace": namespace,
        "labels": {**belonging.labels, label: value},
        "annotations": {UNIT: belonging.unit, CONTENT: digest},
    }
    if belonging.owner is not None:
        metadata["ownerReferences"] = [_reference(belonging.owner)]
    return {"metadata": metadata, "spec": spec}


def _reference(owner: Resource) -> JsonObject:
    """It does not block the owner's deletion, for which a right would be needed."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind_name,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }


def _as_written(found: JsonObject) -> JsonObject:
    metadata = table(found, "metadata")
    annotations = table(metadata, "annotations")
    kept: JsonObject = {
        "name": text(metadata, "name"),
        "namespace": text(metadata, "namespace"),
        "labels": {name: value for name, value in table(metadata, "labels").items() if name in _own_labels(found)},
        "annotations": {name: annotations[name] for name in (UNIT, CONTENT) if name in annotations},
    }
    owners: list[Json] = [each for each in rows(metadata, "ownerReferences") if text(each, "apiVersion") == API_VERSION]
    if owners:
        kept["ownerReferences"] = owners
    spec = table(found, "spec")
    if "groups" in spec:
        spec = {**spec, "groups": _by_name(rows(spec, "groups"))}
    return {"metadata": kept, "spec": spec}


def _by_name(groups: Iterable[JsonObject]) -> list[Json]:
    """To the API server they are a set, in whose order it has a say; to Prometheus they all run side by side."""
    return [*sorted(groups, key=lambda each: text(each, "name"))]


def _own_labels(found: JsonObject) -> set[str]:
    return {
        name.removeprefix("f:")
        for each in _applied_by_us(found)
        for name in table(each, "fieldsV1", "f:metadata", "f:labels")
    }


def _applied_by_us(found: JsonObject) -> list[JsonObject]:
    return [
        each
        for each in rows(found, "metadata", "managedFields")
        if (text(each, "manager"), text(each, "operation")) == (MANAGER, "Apply")
    ]


def _parts(groups: Iterable[JsonObject]) -> Iterator[list[JsonObject]]:
    part: list[JsonObject] = []
    size = 0
    for group in groups:
        length = len(orjson.dumps(group))
        if part and size + length > _LARGEST_PART:
            yield part
            part, size = [], 0
        part.append(group)
        size += length
    if part:
        yield part


def _rule_name(name: str, number: int) -> str:
    """Told apart by dots: behind a hyphen comes the name of a policy, behind a dot what is none."""
    if name == ANNOTATED:
        return "linkerd-steward.annotations" if number == 1 else f"linkerd-steward.annotations.{number}"
    if len(name) > _LONGEST_NAME - 30:
        name = f"{name[: _LONGEST_NAME - 50].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"linkerd-steward-{name}" if number == 1 else f"linkerd-steward.{number}.{name}"


def _digest(value: Json) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]


def _text(value: Json) -> str:
    """What is equal is equal text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
