"""Runs the stand-in `linkerd` in this process, against the fake cluster of a test."""

import asyncio
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from steward.jsonvalue import Json, JsonObject, dig, rows, text
from steward.testing.linkerd.cli.__main__ import main
from steward.testing.linkerd.cli.checking import Executable
from steward.testing.linkerd.release import Release
from tests.common.testing_linkerd import recorded


@dataclass(frozen=True, slots=True)
class Said:
    """What one call answered."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[JsonObject]:
        """The JSON documents on standard output."""
        return recorded.stream(self.out)


async def linkerd(version: str, *arguments: str, feed: str = "", manifests: str = "") -> Said:
    """Call it as the executable of `version`; which cluster is in the environment."""
    out, err = io.StringIO(), io.StringIO()
    executable = Executable(Release(version), feed=feed, manifests=manifests)

    def call() -> int:
        with redirect_stdout(out), redirect_stderr(err):
            return main(executable, list(arguments))

    return Said(await asyncio.to_thread(call), out.getvalue(), err.getvalue())


@contextmanager
def cluster_of(kubeconfig: Path | None, path: Sequence[Path] = ()) -> Iterator[None]:
    """The environment in which the command finds this cluster, and extensions only in `path`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", "/nonexistent")
        patch.setenv("PATH", ":".join(str(one) for one in path))
        if kubeconfig is None:
            patch.delenv("KUBECONFIG", raising=False)
        else:
            patch.setenv("KUBECONFIG", str(kubeconfig))
        yield


_CHANGING = (
    (re.compile(r"\b(linkerd-(?:destination|identity|proxy-injector))-[a-z0-9]+-[a-z0-9]{5}\b"), r"\1-POD"),
    (re.compile(r"\bweb-[a-z0-9]+-[a-z0-9]{5}\b"), "web-POD"),
    (re.compile(r"\b\d{20,}\b"), "SERIAL"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"uuid=[0-9a-f-]{36}"), "uuid=UUID"),
    (re.compile(r"0/\d nodes are available: .*"), "UNSCHEDULABLE"),
)


def steady(text: str) -> str:
    """Text without what differs from one run to the next: names of pods, serial numbers, times, addresses."""
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


def told(documents: Sequence[JsonObject]) -> list[Json]:
    """Every field of every check, in order, made steady."""
    return [[dig(document, "success"), _fields(document)] for document in documents]


def _fields(document: JsonObject) -> list[Json]:
    return [
        [text(category, "categoryName"), {key: steady(str(value)) for key, value in check.items()}]
        for category in rows(document, "categories")
        for check in rows(category, "checks")
    ]
