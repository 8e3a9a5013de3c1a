"""The frame of every custom resource: metadata, conditions, and the two models a kind is made of."""

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from steward.jsonvalue import JsonObject

GROUP = "steward.linkerd.io"
API_VERSION = f"{GROUP}/v1alpha1"

Name = Annotated[str, Field(min_length=1, max_length=253)]
CamelCase = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Z][A-Za-z0-9]*$")]
Sentence = Annotated[str, Field(max_length=4096)]
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
Patience = Annotated[int, Field(ge=1, le=31_536_000)]


class Model(BaseModel):
    """A value of a resource: frozen, camelCase on the wire. Members of newer versions are kept out, not refused."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, validate_default=True
    )

    def to_json(self) -> JsonObject:
        """As the API server takes it; absent members are left out."""
        dumped: JsonObject = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped


class ObjectMeta(Model):
    """The part of the metadata that Steward reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class ConditionStatus(StrEnum):
    """Unknown is an answer of its own."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One thing that is so, is not so, or cannot be told; the contract of a status."""

    type: CamelCase
    status: ConditionStatus
    reason: CamelCase
    message: Sentence = ""
    observed_generation: int = 0
    last_transition_time: AwareDatetime


class LocalRef(Model):
    """A cluster-scoped object of ours, by name."""

    name: Name


class Resource(Model):
    """Base of the kinds. `kind`, `plural` and the rest describe the CustomResourceDefinition."""

    kind_name: ClassVar[str]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    namespaced: ClassVar[bool] = False
    description: ClassVar[str]
    columns: ClassVar[tuple["Column", ...]]

    api_version: str = API_VERSION
    kind: str = ""
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)

    @classmethod
    def of(cls, raw: JsonObject) -> Self:
        """Read an object of the API server. Raise pydantic.ValidationError where it does not fit."""
        return cls.model_validate(raw)


class Column(Model):
    """One column of `kubectl get`."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


def condition_of(conditions: tuple[Condition, ...], type: str) -> Condition | None:
    """The condition of that type."""
    return next((each for each in conditions if each.type == type), None)


def with_condition(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """`conditions` with `new` in place of its predecessor; the transition time moves only when the status does."""
    old = condition_of(conditions, new.type)
    if old is not None and old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(sorted([*(each for each in conditions if each.type != new.type), new], key=lambda each: each.type))
