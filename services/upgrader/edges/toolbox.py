"""The target's `linkerd`, found, verified and asked for its version: ready for use, or the reason why not."""

from dataclasses import dataclass, field
from pathlib import Path

from services.upgrader.edges.linkerd_cli import CliCommand, LinkerdCli
from services.upgrader.edges.process import Processes
from services.upgrader.edges.tooling import NoTool, Tooling
from steward.errors import ToolError
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry


@dataclass(slots=True)
class Toolbox:
    """One CLI a version, kept for as long as its file is the same."""

    processes: Processes
    tooling: Tooling
    command: CliCommand
    _ready: dict[tuple[Path, int, int], LinkerdCli] = field(default_factory=dict)

    async def cli(self, target: Version, release: ReleaseEntry | None) -> LinkerdCli | NoTool:
        """The CLI of `target`."""
        path = await self.tooling.cli(target, release)
        if isinstance(path, NoTool):
            return path
        file = path.stat()
        key = (path, file.st_mtime_ns, file.st_size)
        if key not in self._ready:
            cli = LinkerdCli(self.processes, path, self.command)
            try:
                await cli.require(target)
            except ToolError as error:
                return NoTool("UnusableCli", f"the CLI of {target} cannot be used: {error}")
            self._ready[key] = cli
        return self._ready[key]
