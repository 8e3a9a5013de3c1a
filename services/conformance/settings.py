"""The settings of conformance."""

import os
import socket
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from steward.service.settings import Group, ServiceSettings

Duration = Annotated[timedelta, Field(gt=timedelta())]


def _split(value: object) -> object:
    """A variable holds several values separated by commas."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


class AgentSettings(Group):
    """How exercisers in their pods reach NATS; what is not given is as the service itself has it."""

    servers: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """NATS servers as pods reach them."""
    user: str = ""
    """Their own user, who may do no more than take orders and tell what came of them."""
    password: SecretStr = SecretStr("")
    """Its password, which goes into a Secret of the run."""


class TempoSettings(Group):
    """How long to wait for what."""

    look_again: Duration = timedelta(seconds=2)
    """Between two looks at something that settles; changes that are seen come earlier."""
    begin_again: Duration = timedelta(seconds=1)
    """After an error of the API server or of NATS, doubled each time up to a minute."""
    deploy: Duration = timedelta(minutes=5)
    """Until the probes' own workloads are up, and their agents take orders."""
    drain: Duration = timedelta(minutes=5)
    """Until their namespaces are gone; then the sweeper goes on."""
    report: Duration = timedelta(minutes=2)
    """For storing reports; then the run ends without."""
    retry: Duration = timedelta(seconds=5)
    """Within so long a failure is tried again, as often as the suite says."""
    record: Duration = timedelta(seconds=2)
    """Between two writes of what was found out: the API server has other things to do."""
    sweep: Duration = timedelta(minutes=1)
    """Between two looks for namespaces that nobody cleans up."""
    renew: Duration = timedelta(minutes=5)
    """Between two renewals of the namespaces' time to live; each also puts back what is missing of the cast."""


class ConformanceGroup(Group):
    """What is conformance's own."""

    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}_{os.getpid()}")
    """Who asks for the lease."""
    image: str = "linkerd-steward:latest"
    """Image of the exerciser, where a suite names none: the one that this service runs from."""
    priority_class: str = "linkerd-steward-probes"
    """PriorityClass of the probes' pods, below everybody's; left out where the cluster does not have it."""
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """How many probes may run at the same time."""
    direct: bool | None = None
    """Whether pods are reached by their own addresses; by default where no kubeconfig is given, that is in a pod."""
    prometheus: str = ""
    """Address of the Prometheus that scrapes the mesh, for probes that look at it."""
    ingress: str = ""
    """Address of a meshed ingress, for probes that go through it."""
    agents: AgentSettings = Field(default_factory=AgentSettings)
    """How exercisers reach NATS."""
    tempo: TempoSettings = Field(default_factory=TempoSettings)
    """Patience."""


class ConformanceSettings(ServiceSettings):
    """Everything that conformance can be told."""

    conformance: ConformanceGroup = Field(default_factory=ConformanceGroup)
    """How the mesh is exercised."""
