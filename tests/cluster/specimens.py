"""Custom resources made from the models: the least that is valid, and one in which every member is filled in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from itertools import count
from typing import get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from steward.events.conformance import Feature
from steward.jsonvalue import Json, JsonObject
from steward.resources import (
    ConformanceRun,
    ConformanceSuite,
    ReleaseCatalog,
    Resource,
    UpgradePlan,
    UpgradePolicy,
    UpgradeRun,
)
from steward.resources.base import ObjectMeta
from steward.resources.feature_pattern import FEATURE_PATTERN
from steward.resources.rules import BOUND, CHANNEL, DIGEST, LOGICAL, RANGE, RELEASE, STEP_NAME
from steward.resources.upgrade_plan import GateTemplate, Step
from steward.resources.upgrade_policy import Wave

MINIMAL: dict[type[Resource], JsonObject] = {
    ReleaseCatalog: {},
    UpgradePlan: {
        "from": {"range": ">=25.10.7 <26.6.3"},
        "to": {"range": ">=26.6.3"},
        "steps": [{"name": "preflight", "type": "Preflight"}],
    },
    UpgradePolicy: {},
    UpgradeRun: {"target": "edge-26.8.3"},
    ConformanceSuite: {},
    ConformanceRun: {},
}

FEATURE = next(each.pattern for each in get_args(Feature)[1].metadata if hasattr(each, "pattern"))
_WRITTEN = {
    RANGE: ">=25.10.7, <26.6.3",
    RELEASE: "edge-26.8.{}",
    LOGICAL: "2.{}",
    CHANNEL: "edge",
    DIGEST: "sha256:" + "0f" * 32,
    BOUND: "v1.{}",
    STEP_NAME: "step-{}",
    FEATURE_PATTERN: "mtls.feature-{}",
    FEATURE: "mtls.feature-{}",
    r"^[A-Z][A-Za-z0-9]*$": "Reason{}",
    r"^([A-Z][A-Z0-9_]*)?$": "CAUSE_{}",
}
_SETTINGS = {
    "LinkerdCheck": "linkerd_check",
    "InjectorDryRun": "injector_dry_run",
    "Certificates": "certificates",
    "VersionSkew": "version_skew",
    "Conformance": "conformance",
}


def named(name: str, spec: JsonObject) -> JsonObject:
    """An object as it is sent."""
    return {"metadata": {"name": name}, "spec": spec}


def filled(kind: type[Resource], name: str) -> Resource:
    """An object with every member of its model, and of each model inside it."""
    made = Filler().resource(kind, name)
    left_out = {f"{model.__name__}.{member}" for model, member in _reachable(kind)} - _present(made)
    assert not left_out, f"the specimen leaves out {sorted(left_out)}"
    return made


class Filler:
    """Makes values of a model's members from their annotations; values differ, so that none passes for another."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def resource(self, kind: type[Resource], name: str) -> Resource:
        """A whole object."""
        members = {member: self._member(kind, member) for member in ("spec", "status")}
        return kind.model_validate({"kind": kind.kind_name, "metadata": {"name": name}, **members})

    def _model(self, model: type[BaseModel]) -> Json:
        """What rules tie together is written down, the rest follows from the annotations."""
        if model is Wave:
            return {**self._plainly(model), "max_parallel_per_namespace": 2, "max_parallel_workloads": 9}
        if model.__name__ == "UpgradePlanSpec":
            return {**self._plainly(model), "gate_templates": self._gates(), "steps": self._steps()}
        return self._plainly(model)

    def _plainly(self, model: type[BaseModel]) -> JsonObject:
        return {member: self._member(model, member) for member in model.model_fields}

    def _gates(self) -> list[Json]:
        filled = self._plainly(GateTemplate)
        return [
            {"name": setting.replace("_", "-"), "type": type_, setting: filled[setting]}
            for type_, setting in _SETTINGS.items()
        ]

    def _steps(self) -> list[Json]:
        filled = self._plainly(Step)
        return [
            {"name": "before", "type": "Preflight"},
            {**filled, "name": "prune", "type": "Prune", "depends_on": ["before"], "gates": ["certificates"]},
        ]

    def _member(self, model: type[BaseModel], member: str) -> Json:
        field = model.model_fields[member]
        return self._value(field.annotation, list(field.metadata))

    def _value(self, annotation: object, metadata: list[object]) -> Json:
        while hasattr(annotation, "__metadata__"):
            metadata = [*metadata, *_constraints(annotation.__metadata__)]
            annotation = get_args(annotation)[0]
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is tuple:
            return [self._value(arguments[0], [])]
        if origin is dict:
            return {"linkerd-linux-amd64": self._value(arguments[1], [])}
        if origin is not None:
            return self._value(next(each for each in arguments if each is not type(None)), metadata)
        assert isinstance(annotation, type), annotation
        return self._model(annotation) if issubclass(annotation, BaseModel) else self._single(annotation, metadata)

    def _single(self, annotation: type, metadata: list[object]) -> Json:
        number = next(self._numbers)
        if issubclass(annotation, Enum):
            return str(list(annotation)[-1].value)
        if annotation in (datetime, AwareDatetime):
            return datetime(2026, 8, 20, 10, 0, number % 60, tzinfo=UTC).isoformat()
        if annotation is bool:
            return True
        if annotation is int:
            least = max((int(each.ge) for each in metadata if hasattr(each, "ge")), default=0)
            return max(least, min([number % 7, *(int(each.le) for each in metadata if hasattr(each, "le"))]))
        if annotation is float:
            return min([number + 0.5, *(float(each.le) for each in metadata if hasattr(each, "le"))])
        pattern = next(filter(None, (getattr(each, "pattern", "") for each in metadata)), "")
        return _WRITTEN.get(pattern, "text {}").format(number)


def _constraints(metadata: object) -> Iterator[object]:
    """What `Field(...)` inside Annotated says, one constraint at a time."""
    assert isinstance(metadata, tuple)
    for each in metadata:
        yield from getattr(each, "metadata", [each])


def _reachable(model: type[BaseModel]) -> set[tuple[type[BaseModel], str]]:
    """Every member of every model inside; the frame of an object and its metadata aside."""
    found: set[tuple[type[BaseModel], str]] = set()
    left = [model]
    while left:
        here = left.pop()
        for member, field in here.model_fields.items():
            if (here, member) not in found:
                found.add((here, member))
                left += _models(field.annotation)
    return {(each, member) for each, member in found if each is not ObjectMeta}


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _present(value: object) -> set[str]:
    """Members that are there, in the object or in another of the same model."""
    if isinstance(value, tuple):
        return set().union(*map(_present, value))
    if not isinstance(value, BaseModel):
        return set()
    found: set[str] = set()
    for member in type(value).model_fields:
        inside = getattr(value, member)
        if inside not in (None, (), {}):
            found |= {f"{type(value).__name__}.{member}"} | _present(inside)
    return found
