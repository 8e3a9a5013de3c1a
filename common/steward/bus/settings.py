"""Where the NATS servers are, who we are to them, and how long we are patient."""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import AfterValidator

from steward.durations import duration
from steward.errors import ConfigurationError
from steward.events.subjects import is_cluster_name

ENV_PREFIX = "STEWARD_BUS__"
_SCHEMES = ("nats", "tls", "ws", "wss")
_INBOX = re.compile(r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")


def _split(value: object) -> object:
    """A variable holds several servers as a JSON list, or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [server.strip() for server in value.split(",") if server.strip()]


def _seconds(value: object) -> object:
    """A variable holds a duration as a number of seconds, or as ISO 8601."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    return value


def _server(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("a server is written nats://host:port or tls://host:port")
    if parts.username or parts.password:
        raise ValueError("a server's URL must hold no credentials: use user and password, token, or a file")
    return url


def _cluster(name: str) -> str:
    if not is_cluster_name(name):
        raise ValueError(
            f"{name!r} cannot be the cluster's name: it is one token of every subject, so use 1 to 63 lowercase "
            "letters, digits and inner hyphens, for example 'prod-eu-1'"
        )
    return name


def _inbox(prefix: str) -> str:
    if not _INBOX.fullmatch(prefix):
        raise ValueError(f"{prefix!r} cannot be an inbox prefix: use tokens of letters, digits, '_' and '-'")
    return prefix


Server = Annotated[str, AfterValidator(_server)]
Patience = Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0))]


class BusSettings(BaseModel):
    """How to reach the bus. Read from the variables `STEWARD_BUS__<FIELD>`, or given in code."""

    # Inputs stay out of validation errors: one of them may be a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    servers: Annotated[tuple[Server, ...], BeforeValidator(_split), Field(min_length=1)] = ("nats://127.0.0.1:4222",)
    """Servers of one NATS cluster; any of them will do."""
    cluster: Annotated[str, AfterValidator(_cluster)] = "default"
    """Name of the Kubernetes cluster that this process is about: one token of every subject."""
    user: str | None = None
    """User name, together with `password`."""
    password: SecretStr | None = None
    """Password of `user`."""
    token: SecretStr | None = None
    """A token, where the server asks for that instead of a user."""
    credentials_file: Path | None = None
    """A `.creds` file with JWT and seed; needs the extra `nkeys`."""
    nkey_seed_file: Path | None = None
    """A file that holds an NKEY seed; needs the extra `nkeys`."""
    tls_ca: Path | None = None
    """PEM file of the authority that signed the server's certificate; without it, the machine's authorities."""
    tls_cert: Path | None = None
    """PEM file of our own certificate, where the server wants one."""
    tls_key: Path | None = None
    """PEM file of the key of `tls_cert`."""
    inbox_prefix: Annotated[str, AfterValidator(_inbox)] = "_INBOX"
    """First tokens of the subjects on which answers arrive; a user of its own may be allowed only its own."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Copies of every stream that is created: 3 on a NATS cluster, 1 on a single server."""
    connect_timeout: Patience = timedelta(seconds=30)
    """How long to look for a server at start-up; a cold cluster elects its JetStream leader in 5 s."""
    request_timeout: Patience = timedelta(seconds=5)
    """How long one question to JetStream may take."""
    publish_deadline: Patience = timedelta(seconds=30)
    """How long to retry a publish; a replicated stream without a leader comes back in about 5 s."""
    drain_deadline: Patience = timedelta(seconds=20)
    """How long running handlers may finish at shutdown; Kubernetes kills after 30 s."""

    @field_validator("connect_timeout", "request_timeout", "publish_deadline", "drain_deadline", mode="before")
    @classmethod
    def _durations_as_people_write_them(cls, value: object) -> object:
        return duration(value)

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = {
            "user": self.user,
            "token": self.token,
            "credentials_file": self.credentials_file,
            "nkey_seed_file": self.nkey_seed_file,
        }
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given: one way to authenticate is enough, remove the others")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together: give both or neither")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or neither")
        return self

    @property
    def wants_tls(self) -> bool:
        """Whether the connection must be encrypted."""
        return (
            self.tls_ca is not None
            or self.tls_cert is not None
            or any(server.startswith(("tls://", "wss://")) for server in self.servers)
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings in the variables `STEWARD_BUS__…` of this process."""
        variables = os.environ if environment is None else environment  # noqa: TID251 - this is the settings class
        given = {
            name.removeprefix(ENV_PREFIX).lower(): value
            for name, value in variables.items()
            if name.startswith(ENV_PREFIX)
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{ENV_PREFIX}{'_'.join(str(step) for step in problem['loc']).upper()}: {problem['msg']}"
                if problem["loc"]
                else problem["msg"]
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise ConfigurationError(f"the bus cannot be reached with these settings: {problems}") from None
