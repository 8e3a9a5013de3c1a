"""`linkerd-steward` as people run it: the installed executable with an environment of its own, and a fake cluster."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path

from steward.jsonvalue import JsonObject, table, text, texts
from steward.kube.client import Kube
from steward.kube.resources import (
    ALERT_CHANNELS,
    ALERT_POLICIES,
    CONFORMANCE_RUNS,
    CONFORMANCE_SUITES,
    RELEASE_CATALOGS,
    UPGRADE_PLANS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
    Resource,
)
from steward.testing.kubernetes.server import FakeKubernetes

EXECUTABLE = Path(sys.executable).parent / "linkerd-steward"
_HANDLES: dict[str, Resource] = {
    each.kind: each
    for each in (
        RELEASE_CATALOGS,
        UPGRADE_PLANS,
        UPGRADE_POLICIES,
        UPGRADE_RUNS,
        CONFORMANCE_SUITES,
        CONFORMANCE_RUNS,
        ALERT_POLICIES,
        ALERT_CHANNELS,
    )
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Command:
    """Runs `linkerd-steward` in `home`, which is also its HOME, with nothing of the environment around."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    async def start(self, *arguments: str, **env: str) -> Process:
        """Begin a command whose output is read while it runs."""
        variables = {"PATH": os.defpath, "HOME": str(self.home), "COLUMNS": "100", **self.env, **env}
        return await asyncio.create_subprocess_exec(
            str(EXECUTABLE), *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=variables, cwd=self.home
        )

    async def __call__(self, *arguments: str, **env: str) -> Answer:
        """Run a command to its end."""
        process = await self.start(*arguments, **env)
        out, err = await process.communicate()
        return Answer(process.returncode or 0, out.decode(), err.decode())


@dataclass(frozen=True, slots=True)
class StewardCluster:
    """A simulated cluster with Steward's definitions, and what the services would write into it."""

    fake: FakeKubernetes
    kube: Kube

    async def put(self, document: JsonObject, name: str = "") -> None:
        """Create an object of ours, status included."""
        handle = _HANDLES[text(document, "kind")]
        place = {name: value for name, value in texts(document, "metadata").items() if name == "namespace"}
        named: JsonObject = {**document, "metadata": {"name": name or text(document, "metadata", "name"), **place}}
        await self.kube.create(handle, named)
        if "status" in document:
            await self.show(named)

    async def show(self, document: JsonObject, name: str = "") -> None:
        """Replace the status of an object."""
        handle = _HANDLES[text(document, "kind")]
        status: JsonObject = {"status": table(document, "status")}
        namespace = text(document, "metadata", "namespace") or None
        name = name or text(document, "metadata", "name")
        await self.kube.merge(handle, name, status, namespace, subresource="status")
