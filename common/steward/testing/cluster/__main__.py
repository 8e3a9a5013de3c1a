"""`python -m steward.testing.cluster build|up|down|status`: a real control plane for one's own use."""

import argparse
import sys
from pathlib import Path

from steward.errors import ConfigurationError, StewardError
from steward.testing.cluster import binaries as toolbox
from steward.testing.cluster.control_plane import ControlPlane
from steward.testing.cluster.settings import ClusterTestSettings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an expected failure is one line on standard error."""
    settings = ClusterTestSettings.from_environment()
    given = _parser(settings).parse_args(arguments)
    try:
        _run(given.command, given.directory.resolve(), given.nodes, settings)
    except StewardError as failed:
        _say(f"error: {failed}", error=True)
        return 1
    return 0


def _run(command: str, directory: Path, nodes: int, settings: ClusterTestSettings) -> None:
    if command == "build":
        _say(str(toolbox.build(settings).directory))
        return
    if command == "up":
        _up(directory, nodes, settings)
        return
    cluster = ControlPlane.attach(toolbox.cached(settings), directory)
    if command == "down":
        cluster.stop()
    else:
        for name, running in cluster.running().items():
            _say(f"{name:<24} {'running' if running else 'stopped'}")
        _say(f"export KUBECONFIG={cluster.kubeconfig}")


def _up(directory: Path, nodes: int, settings: ClusterTestSettings) -> None:
    binaries = toolbox.build(settings)
    if (directory / "state.json").exists() and any(ControlPlane.attach(binaries, directory).running().values()):
        raise ConfigurationError(f"a test cluster runs in {directory} already: stop it with `down`")
    cluster = ControlPlane(binaries, directory, nodes=nodes, detached=True).start()
    _say(f"export KUBECONFIG={cluster.kubeconfig}")


def _parser(settings: ClusterTestSettings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m steward.testing.cluster", description=__doc__)
    parser.add_argument("command", choices=["build", "up", "down", "status"])
    parser.add_argument(
        "--directory", type=Path, default=settings.cache / "cluster", help="where the cluster keeps all"
    )
    parser.add_argument("--nodes", type=int, default=3, help="how many KWOK nodes")
    return parser


def _say(line: str, *, error: bool = False) -> None:
    (sys.stderr if error else sys.stdout).write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
