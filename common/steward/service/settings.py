"""The settings that every service shares, read once from the environment."""

import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from steward.bus.settings import BusSettings
from steward.durations import duration
from steward.errors import ConfigurationError

Port = Annotated[int, Field(ge=0, le=65535)]


class Group(BaseModel):
    """A themed part of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _durations_as_people_write_them(cls, value: object, field: ValidationInfo) -> object:
        annotated = cls.model_fields[field.field_name].annotation if field.field_name else None
        return duration(value) if annotated is timedelta else value


class LogFormat(StrEnum):
    """For machines, or for eyes."""

    JSON = "json"
    CONSOLE = "console"


class LogSettings(Group):
    """What is logged and how."""

    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    """The least severe level that is written."""
    format: LogFormat = LogFormat.JSON
    """JSON, one line an entry, is what log collectors read."""


class HttpSettings(Group):
    """Where a service listens for its probes and its scraper."""

    address: str = "127.0.0.1"
    """Loopback unless told otherwise; in a pod it is 0.0.0.0, so that kubelet and Prometheus reach it."""
    metrics_port: Port = 9464
    """`/metrics`, answered by a thread of its own so that a stuck loop can still be seen. 0 picks a free port."""
    health_port: Port = 8080
    """`/livez` and `/readyz`, answered by the event loop so that a stuck loop fails them. 0 picks a free port."""


class ClusterSettings(Group):
    """Which Kubernetes cluster, and what it calls things."""

    kubeconfig: Path | None = None
    """A kubeconfig file; without one, the ServiceAccount of the pod."""
    context: str | None = None
    """The context of the kubeconfig; without one, its current context."""
    namespace: str = "linkerd-steward"
    """The namespace of Steward itself, where its Leases are."""
    linkerd_namespace: str = "linkerd"
    """The namespace of Linkerd's control plane."""


class LeaseSettings(Group):
    """How the one replica that acts is chosen."""

    duration: timedelta = timedelta(seconds=15)
    """How long a lease that is not renewed lasts: as kube-controller-manager's default."""
    retry: timedelta = timedelta(seconds=2)
    """How often a lease is renewed, and tried for."""


class ServiceSettings(BaseSettings):
    """Base of every service's settings: variables `STEWARD_<GROUP>__<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="STEWARD_",
        env_nested_delimiter="__",
        # A list is written with commas; its field splits it, and JSON is not asked of people.
        enable_decoding=False,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    bus: BusSettings = Field(default_factory=BusSettings)
    """How to reach NATS."""
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    """How to reach Kubernetes."""
    lease: LeaseSettings = Field(default_factory=LeaseSettings)
    """How long it takes until another replica acts."""
    log: LogSettings = Field(default_factory=LogSettings)
    """Logging."""
    http: HttpSettings = Field(default_factory=HttpSettings)
    """Listeners."""

    @classmethod
    def load(cls) -> Self:
        """The settings in the environment. Raise ConfigurationError naming each variable that is wrong."""
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"STEWARD_{'__'.join(str(step) for step in problem['loc']).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise ConfigurationError(f"the settings cannot be used: {problems}") from None
        except (SettingsError, json.JSONDecodeError) as error:
            raise ConfigurationError(f"the settings cannot be read: {error}") from None
