"""Releases of Helm, by the `helm` executable: version 3, and version 4 with its other flags.

Values are kept as their owner gave them: read from the deployed revision, handed to the upgrade through standard
input, and never written to a file, an argument, a log or an error.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from services.upgrader.edges.helm_storage import PENDING, STAMP, HelmStorage, RevisionRef, Stamp
from services.upgrader.edges.process import Command, Finished, Processes
from steward.errors import ToolError
from steward.jsonvalue import Json, rows, text, whole

CRDS_CHART = "linkerd-crds"
CONTROL_PLANE_CHART = "linkerd-control-plane"
_QUESTION = timedelta(seconds=60)
# helm ends by itself at its own time-out; this much later it is ended.
_MARGIN = timedelta(seconds=60)
# Version 4 has no `--all`; these have the same meaning in both.
_ANY_STATUS = ("--deployed", "--failed", "--pending", "--uninstalling")
_CHART = re.compile(r"(?P<name>[a-z0-9-]+?)-(?P<version>v?[0-9].*)")
_VERSION = re.compile(r"v(?P<major>[0-9]+)\.(?P<minor>[0-9]+)")
_DEPLOYED = "deployed"
# How helm words a failure that says nothing of the chart: the cluster had a bad moment, or helm itself was told to end.
_BAD_MOMENTS = (
    "apiserver is shutting down",
    "client connection lost",
    "connection refused",
    "connection reset by peer",
    "context canceled",
    "etcdserver:",
    "i/o timeout",
    "Kubernetes cluster unreachable",
    "server is currently unable to handle the request",
    "TLS handshake timeout",
    "Too Many Requests",
    "unexpected EOF",
)


@dataclass(frozen=True, slots=True)
class Revision:
    """One row of a release's history."""

    number: int
    status: str
    chart_version: str
    app_version: str
    description: str

    @property
    def pending(self) -> bool:
        """Whether an operation on it has not ended, or was cut off."""
        return self.status in PENDING


@dataclass(frozen=True, slots=True)
class Release:
    """A release of one of Linkerd's charts, whatever its owner called it."""

    name: str
    namespace: str
    chart: str
    history: tuple[Revision, ...]
    """Oldest first; never empty."""

    @property
    def latest(self) -> Revision:
        """The newest revision, which need not be the one in force."""
        return self.history[-1]

    @property
    def deployed(self) -> Revision | None:
        """The revision in force; None in the moment between two, where an upgrade may be cut off for ever."""
        return next((each for each in reversed(self.history) if each.status == _DEPLOYED), None)

    def ref(self, revision: Revision) -> RevisionRef:
        """Where that revision is stored."""
        return RevisionRef(self.namespace, self.name, revision.number)

    def __str__(self) -> str:
        return f"Helm release {self.namespace + '/' + self.name!r}"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One upgrade of one release to a chart on disk."""

    chart: Path
    operation: str
    description: str
    timeout: timedelta
    undo_on_failure: bool = False
    """Let helm wait for the rollout and roll back by itself when it fails."""


@dataclass(frozen=True, slots=True)
class HelmCommand:
    """Which helm, and how it reaches the cluster."""

    executable: Path
    home: Path
    """helm's cache, configuration and plugins are looked for here and nowhere else."""
    kubeconfig: Path | None = None
    context: str | None = None

    def arguments(self, *arguments: str) -> tuple[str, ...]:
        """With the flags that name the cluster."""
        cluster = (*_flag("--kubeconfig", self.kubeconfig), *_flag("--kube-context", self.context))
        return (*arguments, *cluster)

    @property
    def environment(self) -> Mapping[str, str]:
        """A home of its own: no plugin and no repository of the user's takes part."""
        folders = {"HELM_CACHE_HOME": "cache", "HELM_CONFIG_HOME": "config", "HELM_DATA_HOME": "data"}
        return {name: str(self.home / folder) for name, folder in folders.items()} | {"HELM_NO_PLUGINS": "1"}


@dataclass(slots=True)
class Helm:
    """Linkerd's releases: what they are, and one upgrade at a time."""

    processes: Processes
    command: HelmCommand
    storage: HelmStorage
    _major: int | None = field(default=None)

    async def major_version(self) -> int:
        """3 or 4; anything else is refused, because its flags are unknown."""
        if self._major is None:
            said = (await self._ask("version", "--template", "{{.Version}}")).text.strip()
            found = _VERSION.match(said)
            if found is None or found["major"] not in ("3", "4"):
                name = str(self.command.executable)
                raise ToolError(f"{name!r} calls itself {said[:40]!r}: Steward works with helm 3 and 4")
            self._major = int(found["major"])
        return self._major

    async def releases(self, namespace: str, chart: str) -> tuple[Release, ...]:
        """The releases of `chart` in `namespace`, whatever they are called."""
        done = await self._ask("list", "--namespace", namespace, *_ANY_STATUS, "--max", "1000", "--output", "json")
        names = [text(row, "name") for row in rows(_json(done)) if split_chart(text(row, "chart"))[0] == chart]
        return tuple([Release(name, namespace, chart, await self._history(name, namespace)) for name in sorted(names)])

    async def upgrade(self, release: Release, upgrade: Upgrade) -> None:
        """Run `helm upgrade`. It returns when helm has; whether the cluster followed is for the caller to observe."""
        stamp = Stamp(upgrade.operation, release.latest.number + 1, upgrade.undo_on_failure)
        values = await self._user_values(release)
        given = ("--values", "-") if values else ()
        arguments = self.command.arguments(
            "upgrade",
            release.name,
            str(upgrade.chart),
            "--namespace",
            release.namespace,
            "--reset-values",
            *given,
            "--labels",
            f"{STAMP}={stamp}",
            "--description",
            upgrade.description,
            "--timeout",
            f"{round(upgrade.timeout.total_seconds())}s",
            *(await self._undo_flags() if upgrade.undo_on_failure else ()),
        )
        command = Command(
            self.command.executable,
            arguments,
            upgrade.timeout + _MARGIN,
            stdin=values,
            environment=self.command.environment,
        )
        await self.processes.succeed(command)

    async def render(self, name: str, namespace: str, chart: Path, values: bytes, *, kubernetes: str) -> str:
        """`helm template` for a server of that version, with `values` through standard input."""
        given = ("--values", "-") if values else ()
        # No cluster is asked: a rendering must not depend on what happens to run.
        arguments = ("template", name, str(chart), "--namespace", namespace, "--kube-version", kubernetes, *given)
        done = await self.processes.succeed(
            Command(self.command.executable, arguments, _QUESTION, stdin=values, environment=self.command.environment)
        )
        return done.text

    async def _undo_flags(self) -> tuple[str, ...]:
        return ("--atomic",) if await self.major_version() == 3 else ("--rollback-on-failure",)

    async def _history(self, name: str, namespace: str) -> tuple[Revision, ...]:
        done = await self._ask("history", name, "--namespace", namespace, "--max", "50", "--output", "json")
        history = parse_history(_json(done))
        if not history:
            raise ToolError(f"`{done.command}` shows no revision of a release that `helm list` has just shown")
        return history

    async def _user_values(self, release: Release) -> bytes:
        """As given by the user, byte for byte what helm prints; empty where none were given."""
        revision = release.deployed or release.latest
        done = await self._ask(
            "get",
            "values",
            release.name,
            "--namespace",
            release.namespace,
            "--revision",
            str(revision.number),
            "--output",
            "json",
        )
        return b"" if done.stdout.strip() in (b"null", b"{}", b"") else done.stdout

    async def _ask(self, *arguments: str) -> Finished:
        command = Command(
            self.command.executable,
            self.command.arguments(*arguments),
            _QUESTION,
            environment=self.command.environment,
        )
        return await self.processes.succeed(command)


def split_chart(chart: str) -> tuple[str, str]:
    """Name and version of `linkerd-control-plane-2026.8.3`, which helm prints as one word."""
    found = _CHART.fullmatch(chart)
    return (found["name"], found["version"]) if found else (chart, "")


def parse_history(parsed: Json) -> tuple[Revision, ...]:
    """`helm history -o json`, oldest first. The revision is a number there, and a string in `helm list`."""
    revisions = [
        Revision(
            number=_revision(row.get("revision")),
            status=text(row, "status"),
            chart_version=split_chart(text(row, "chart"))[1],
            app_version=text(row, "app_version"),
            description=text(row, "description"),
        )
        for row in rows(parsed)
    ]
    return tuple(sorted(revisions, key=lambda each: each.number))


def was_cut_off(said: str) -> bool:
    """Whether what helm says of a failure blames the cluster or an interruption, and not what was to be done."""
    return any(words in said for words in _BAD_MOMENTS)


def _revision(value: Json) -> int:
    return int(value) if isinstance(value, str) and value.isdigit() else whole({"revision": value}, "revision")


def _json(done: Finished) -> Json:
    try:
        parsed: Json = json.loads(done.stdout)
    except ValueError as error:
        raise ToolError(f"`{done.command}` wrote something that is no JSON: {error}") from None
    return parsed


def _flag(name: str, value: object) -> tuple[str, ...]:
    return () if value is None else (name, str(value))
