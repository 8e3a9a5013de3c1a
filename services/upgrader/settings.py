"""The settings of upgrader."""

import os
import socket
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from steward.service.settings import Group, ServiceSettings


class ToolSettings(Group):
    """Where the executables and charts of a release come from. None is ever run unverified."""

    artifacts: Path | None = None
    """A folder with `<version>/linkerd` and `<version>/charts/<chart>`, filled and vouched for by its owner."""
    cli_url: str = "https://github.com/linkerd/linkerd2/releases/download/{version}/{asset}"
    """Where a release's CLI is. Fetched only where the catalog knows its digest; empty: never."""
    charts_url: str = "https://helm.linkerd.io/edge"
    """The Helm repository of the charts. Fetched only where the catalog knows their digests; empty: never."""
    helm: Path = Path("helm")
    """The helm executable: a path, or a name to be found on PATH."""
    work: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "linkerd-steward")
    """A folder of the service's own, for helm's home and verified downloads; a temporary volume in a pod."""
    gitops: Path | None = None
    """Where changes are written for an installation that GitOps owns: a checked-out repository, or a volume."""
    hand_on: tuple[str, ...] = ()
    """Environment variables that helm and linkerd get too, such as those of a credential plugin of the kubeconfig."""


class TempoSettings(Group):
    """How long to wait for what."""

    look_again: Annotated[timedelta, Field(gt=timedelta())] = timedelta(seconds=2)
    """Between two looks at something that settles; changes that are seen come earlier."""
    ask_again: Annotated[timedelta, Field(gt=timedelta())] = timedelta(seconds=10)
    """Between two questions to a gate that objected."""
    gate_patience: timedelta = timedelta(minutes=2)
    """How long a gate may object after a change: kubelet brings new certificates to a webhook within 90 s."""
    record: timedelta = timedelta(seconds=1)
    """Between two writes of where the workloads stand: the API server has other things to do."""
    begin_again: timedelta = timedelta(seconds=1)
    """After an error of the API server, doubled each time up to a minute."""


class UpgraderGroup(Group):
    """What is upgrader's own."""

    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}_{os.getpid()}")
    """Who asks for the lease. In a pod it stays the same when the container restarts, which then goes on at once."""
    tools: ToolSettings = Field(default_factory=ToolSettings)
    """Executables and charts."""
    tempo: TempoSettings = Field(default_factory=TempoSettings)
    """Patience."""


class UpgraderSettings(ServiceSettings):
    """Everything that upgrader can be told."""

    upgrader: UpgraderGroup = Field(default_factory=UpgraderGroup)
    """How upgrades are done."""


def environment() -> Mapping[str, str]:
    """The process's own environment, of which subprocesses get a few names."""
    return dict(os.environ)  # noqa: TID251 - read here, once, and handed on by name only
