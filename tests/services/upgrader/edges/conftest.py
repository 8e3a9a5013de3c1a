"""What the tests of the edges share: recordings of the real thing, and programs that behave as a test wants."""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from services.upgrader.core.orders import Order
from services.upgrader.edges.process import Command, Processes
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import InstallMethod, StepType
from steward.testing.cluster.fixtures import artifacts, binaries, cluster_settings, linkerd, scenario_cluster, trust
from steward.testing.cluster.settings import ClusterTestSettings

__all__ = ["artifacts", "binaries", "cluster_settings", "linkerd", "scenario_cluster", "trust"]

MakeProgram = Callable[[str], Path]
MakeOrder = Callable[..., Order]


@pytest.fixture(scope="session")
def recordings(cluster_settings: ClusterTestSettings) -> Path:
    """Output of the real helm and the real Linkerd CLI, kept beside the checkout."""
    found = cluster_settings.shared / "recordings"
    if not found.is_dir():
        pytest.skip(f"no recordings in {found}: set STEWARD_SHARED to the folder that has them")
    return found


@pytest.fixture
def processes() -> Processes:
    """A runner whose own environment has a secret that no child may see."""
    return Processes({"PATH": "/usr/bin:/bin", "STEWARD_BUS__PASSWORD": "hunter2"})


@pytest.fixture
def program(tmp_path: Path) -> MakeProgram:
    """Write an executable Python program."""

    def write(source: str) -> Path:
        path = tmp_path / "tool"
        path.write_text(f"#!{sys.executable}\nimport sys, os, signal, time\n{source}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def make_order() -> MakeOrder:
    """An order for one attempt at one step."""

    def make(
        step: StepType,
        *,
        source: str,
        target: str,
        method: InstallMethod = InstallMethod.HELM,
        operation: str = "0123456789abcdef",
        previous: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        timeout: timedelta = timedelta(seconds=60),
    ) -> Order:
        return Order(
            run="a-run",
            run_uid="11111111-2222-3333-4444-555555555555",
            step=step.value.lower(),
            step_type=step,
            attempt=1,
            operation_id=operation,
            previous_operations=previous,
            method=method,
            source=Version.parse(source),
            target=Version.parse(target),
            release=None,
            timeout=timeout,
            prune_exclude_kinds=exclude,
        )

    return make


def command(
    executable: Path, *arguments: str, seconds: float = 20, stdin: bytes = b"", largest: int = 65536
) -> Command:
    """A command with limits that suit a test."""
    return Command(executable, arguments, timedelta(seconds=seconds), stdin=stdin, largest_output=largest)


def files_with_keys(folder: Path) -> list[Path]:
    """Files that hold a private key, which no edge may leave behind."""
    return [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
