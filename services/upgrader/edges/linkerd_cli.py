"""The `linkerd` executable of the target version: what it checks, what it renders, what it would prune.

It applies and deletes nothing itself. What it renders holds private keys, which stay in memory.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.upgrader.core.observations import CheckDocument
from services.upgrader.edges.check_report import parse_report
from services.upgrader.edges.manifests import parse_manifests
from services.upgrader.edges.process import Command, CommandFailed, Finished, Processes
from steward.errors import ToolError
from steward.jsonvalue import JsonObject
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import CheckScope

_QUESTION = timedelta(seconds=20)
_RENDERING = timedelta(seconds=120)
# `linkerd check` repeats what may yet come true until this is over; beyond it, it is a refusal and not a delay.
_LONGEST_WAIT = timedelta(seconds=30)
_MARGIN = timedelta(seconds=60)


class WrongVersion(ToolError):
    """The executable is of another version than it was taken for; it is not used."""


class NoOverrides(ToolError):
    """The CLI finds no installation of its own making: Helm or somebody else made it."""


@dataclass(frozen=True, slots=True)
class CliCommand:
    """How the CLI reaches the cluster."""

    namespace: str = "linkerd"
    kubeconfig: Path | None = None
    context: str | None = None

    def arguments(self, *arguments: str) -> tuple[str, ...]:
        """The flags that name the cluster come after the command's own: before them the CLI accepts none."""
        kubeconfig = ("--kubeconfig", str(self.kubeconfig)) if self.kubeconfig is not None else ()
        context = ("--context", self.context) if self.context is not None else ()
        return (*arguments, "--linkerd-namespace", self.namespace, *kubeconfig, *context)


@dataclass(slots=True)
class LinkerdCli:
    """One executable, which is asked for its version before anything else."""

    processes: Processes
    executable: Path
    command: CliCommand
    _version: Version | None = None

    async def version(self) -> Version:
        """What it says it is. `linkerd version` has no JSON."""
        if self._version is None:
            done = await self._run(_QUESTION, "version", "--client", "--short")
            said = done.succeeded().text.strip()
            found = Version.maybe(said)
            if found is None:
                raise WrongVersion(f"{str(self.executable)!r} says its version is {said[:60]!r}, which is none")
            self._version = found
        return self._version

    async def require(self, target: Version) -> None:
        """Raise WrongVersion unless it is of `target`: the CLI judges and renders by what is built into it."""
        found = await self.version()
        if found != target:
            raise WrongVersion(f"{str(self.executable)!r} is the CLI of {found}, and not of {target}")

    async def check(self, scope: CheckScope, timeout: timedelta) -> tuple[CheckDocument, ...]:
        """Every document of `linkerd check`. Its exit code says nothing: it is 0 for a stale mesh."""
        wait = min(timeout / 4, _LONGEST_WAIT)
        proxy = ("--proxy",) if scope is CheckScope.PROXY else ()
        done = await self._run(timeout, "check", "-o", "json", "--wait", _seconds(wait), *proxy)
        if not done.stdout.strip():
            raise CommandFailed(done.command, done.exit_code, done.complaint)
        # Standard error is apart: newer Kubernetes makes the CLI print deprecations there.
        return parse_report(done.text)

    async def render_crds(self) -> tuple[JsonObject, ...]:
        """`linkerd upgrade --crds`."""
        return await self._render("upgrade", "--crds")

    async def render_control_plane(self) -> tuple[JsonObject, ...]:
        """`linkerd upgrade`. Each time with new webhook certificates."""
        return await self._render("upgrade")

    async def prunable(self) -> tuple[JsonObject, ...]:
        """`linkerd prune`: names of what this version no longer renders, and of strangers that carry its label."""
        return await self._render("prune")

    async def _render(self, *arguments: str) -> tuple[JsonObject, ...]:
        done = await self._run(_RENDERING, *arguments)
        if done.exit_code and "linkerd-config-overrides" in done.stderr:
            raise NoOverrides(
                "the installation has no Secret 'linkerd-config-overrides', so the Linkerd CLI did not make it: "
                "upgrade it with the tool that did"
            )
        return parse_manifests(done.succeeded().text, f"`{done.command}`")

    async def _run(self, timeout: timedelta, *arguments: str) -> Finished:
        # Without a cluster for what does not need one: `version --client` must answer when the API server does not.
        whole = arguments if arguments[0] == "version" else self.command.arguments(*arguments)
        return await self.processes.run(Command(self.executable, whole, timeout + _MARGIN))


def _seconds(duration: timedelta) -> str:
    return f"{max(1, round(duration.total_seconds()))}s"
