"""The settings of an exerciser: `STEWARD_EXERCISER__<FIELD>`, beside those of the bus and of the log."""

import os
import socket
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from services.conformance.core.stage import PORTS, Port
from steward.bus.settings import BusSettings
from steward.errors import ConfigurationError
from steward.service.settings import Group, LogSettings

PREFIX = "STEWARD_"
MB = 1_000_000


class Role(StrEnum):
    """What an exerciser does; most do both."""

    SERVE = "serve"
    AGENT = "agent"


def _split(value: object) -> object:
    """A variable holds several values separated by commas."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


def _numbers(value: object) -> object:
    """A variable holds ports as `http=8080,tcp=8084`; those that are not named keep their numbers."""
    if not isinstance(value, str):
        return value
    pairs = (each.partition("=") for each in value.split(",") if each.strip())
    return {name.strip(): number.strip() for name, _, number in pairs}


class ExerciserGroup(Group):
    """Who this exerciser is, where it listens, and how much it may do."""

    roles: Annotated[tuple[Role, ...], BeforeValidator(_split)] = (Role.SERVE, Role.AGENT)
    """Echo server, agent, or both."""
    run: str = ""
    """The ConformanceRun that this pod belongs to; an agent needs it."""
    actor: str = ""
    """Its part in the run: cm, sm, …"""
    pod: Annotated[str, Field(min_length=1)] = Field(default_factory=socket.gethostname)
    """Name of the pod, which every answer and every report has."""
    node: str = ""
    """Where the pod runs."""
    zone: str = ""
    """Zone of that node."""
    pod_ip: str = ""
    """Address of the pod, as it says of itself."""
    listen: str = ""
    """Address on which the echo server listens; empty: all addresses of the pod."""
    loopback: str = "127.0.0.1"
    """Address of the port that must not be reachable from outside the pod."""
    source_address: str = ""
    """Address from which calls are made; empty: whatever the kernel takes."""
    ports: Annotated[dict[Port, Annotated[int, Field(ge=0, le=65535)]], BeforeValidator(_numbers)] = Field(
        default_factory=dict
    )
    """Other numbers than usual, such as `http=18080,tcp=18084`; 0 picks a free one."""
    spare_ports: bool = False
    """Whether to listen on the spare HTTP ports too."""
    hosts: Path | None = None
    """A file like /etc/hosts whose names win over the system's resolver; read again for every lookup."""
    spool: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "steward-spool")
    """Where reports wait until they are told. A folder of this exerciser's own; in a pod a volume."""
    spool_reports: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """At most so many wait; then the oldest is dropped, and counted."""
    spool_bytes: Annotated[int, Field(ge=1 * MB)] = 64 * MB
    """At most so much waits."""
    most_per_second: Annotated[float, Field(gt=0, le=10_000)] = 500
    """Calls of all orders together; more are made later, never at once."""
    most_orders: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Orders at the same time; more are refused."""
    most_held: Annotated[int, Field(ge=0, le=1_000)] = 64
    """Connections held at the same time; more are refused."""
    heartbeat: Annotated[timedelta, Field(gt=timedelta())] = timedelta(seconds=2)
    """How often an agent says that it is there."""
    linger: Annotated[timedelta, Field(ge=timedelta())] = timedelta()
    """After SIGTERM the server goes on for so long, until the endpoints of its Services are known to be fewer."""
    grace: Annotated[timedelta, Field(ge=timedelta())] = timedelta(seconds=5)
    """After that, answers that are under way have so long."""

    @field_validator("listen", "source_address", "loopback")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _is_ip(value):
            raise ValueError(f"{value!r} is no IP address")
        return value

    def port(self, port: Port) -> int:
        """The number of a port."""
        return self.ports.get(port, PORTS[port])


class ExerciserSettings(Group):
    """Everything that an exerciser can be told."""

    bus: BusSettings = Field(default_factory=BusSettings)
    """How an agent reaches NATS."""
    log: LogSettings = Field(default_factory=LogSettings)
    """Logging."""
    exerciser: ExerciserGroup = Field(default_factory=ExerciserGroup)
    """The exerciser's own."""

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings in variables, by default this process's. Raise ConfigurationError naming what is wrong."""
        variables = os.environ if environment is None else environment  # noqa: TID251 - this is the settings class
        given: dict[str, dict[str, str]] = {}
        for name, value in variables.items():
            group, nested, field = name.removeprefix(PREFIX).lower().partition("__")
            if name.startswith(PREFIX) and nested and group in cls.model_fields:
                given.setdefault(group, {})[field] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{PREFIX}{'__'.join(str(step) for step in problem['loc'][:2]).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise ConfigurationError(f"the settings cannot be used: {problems}") from None


def _is_ip(value: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, value)
        except OSError:
            continue
        return True
    return False
