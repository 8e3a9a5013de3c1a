"""All edges, put together from what they need of the settings."""

import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.upgrader.edges.apply import Applier, Kinds
from services.upgrader.edges.catalog import Catalog
from services.upgrader.edges.cli_installation import CliInstallation
from services.upgrader.edges.downloads import Downloads, http_client
from services.upgrader.edges.exercise import ExerciseEdge
from services.upgrader.edges.gitops import GitOpsInstallation
from services.upgrader.edges.helm import Helm, HelmCommand
from services.upgrader.edges.helm_installation import HelmInstallation
from services.upgrader.edges.helm_storage import HelmStorage
from services.upgrader.edges.installation import InstallationEdge
from services.upgrader.edges.linkerd_cli import CliCommand
from services.upgrader.edges.probes import ProbeEdge
from services.upgrader.edges.process import Processes
from services.upgrader.edges.toolbox import Toolbox
from services.upgrader.edges.tooling import Sources, Tooling
from services.upgrader.edges.workloads import WorkloadEdge
from steward.clock import Clock
from steward.errors import ConfigurationError
from steward.kube.client import Kube
from steward.resources.upgrade_plan import InstallMethod


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the edges need to know of the machine and the cluster."""

    helm: Path
    """The helm executable."""
    work: Path
    """A folder of the service's own: helm's home and verified downloads."""
    sources: Sources = field(default_factory=Sources)
    gitops: Path | None = None
    """Where changes are written for an installation that GitOps owns."""
    namespace: str = "linkerd"
    kubeconfig: Path | None = None
    context: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The service's own; subprocesses get a few names of it."""
    handed_on: tuple[str, ...] = ()
    """Further names that they get."""
    undo_on_failure: bool = False
    """Let helm roll back by itself."""


@dataclass(frozen=True, slots=True)
class AssembledEdges:
    """The edges of upgrader."""

    installation: InstallationEdge
    workloads: WorkloadEdge
    probes: ProbeEdge


@asynccontextmanager
async def assembled(kube: Kube, clock: Clock, around: Surroundings) -> AsyncIterator[AssembledEdges]:
    """The edges, until the end of the block."""
    _own(around.work)
    processes = Processes(around.environment, around.handed_on)
    async with http_client() as http:
        tooling = Tooling(around.sources, Downloads(http, around.work / "tools"))
        command = CliCommand(around.namespace, around.kubeconfig, around.context)
        toolbox = Toolbox(processes, tooling, command)
        helm_command = HelmCommand(around.helm, around.work / "helm", around.kubeconfig, around.context)
        helm = Helm(processes, helm_command, HelmStorage(kube))
        yield AssembledEdges(
            InstallationEdge(
                {
                    InstallMethod.HELM: HelmInstallation(
                        kube, helm, tooling, around.namespace, undo_on_failure=around.undo_on_failure
                    ),
                    InstallMethod.CLI: CliInstallation(
                        kube, toolbox, Applier(kube, clock, Kinds(kube)), around.namespace
                    ),
                    InstallMethod.GITOPS: GitOpsInstallation(kube, helm, tooling, around.namespace, around.gitops),
                }
            ),
            WorkloadEdge(kube),
            ProbeEdge(kube, toolbox, Catalog(kube), around.namespace, ExerciseEdge(kube, clock)),
        )


def _own(folder: Path) -> None:
    """Executables are run from there: a folder that others may write to is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"the work folder {str(folder)!r} belongs to somebody else or may be written to by others: "
            "name another one, or run `chmod 700` on it"
        )
