"""`conformance sonobuoy`: the whole exercise as a plugin of Sonobuoy, from its run to its results.

Sonobuoy waits for a file `done` that names the results. It is written last and in any case: without it everybody waits
until Sonobuoy loses its patience, and learns nothing.
"""

import asyncio
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from steward.cli.conformance import kept
from steward.cli.conformance.begin import What, create, suite_of
from steward.cli.conformance.choice import is_over, known_patterns
from steward.cli.conformance.following import watch
from steward.cli.conformance.reading import report_of
from steward.cli.connection import bus, cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal, explain
from steward.cli.options import Nats, Session, Timeout, leaf, limit
from steward.cli.output import note
from steward.cli.run_stream import follow_kind
from steward.conformance.reports import Form, written
from steward.conformance.reports.sonobuoy import PLUGIN, RESULTS, unfinished
from steward.errors import StewardError
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.resources import CONFORMANCE_RUNS
from steward.resources import ConformanceRun
from steward.resources.base import LocalRef
from steward.resources.conformance_run import ConformanceRunSpec, RunState

_ARCHIVE = f"{PLUGIN}.tar.gz"
_DONE = "done"


@leaf
async def sonobuoy(
    session: Session,
    what: What,
    *,
    results: Annotated[
        Path, typer.Option("--results", help="Where Sonobuoy waits for results.", metavar="FOLDER")
    ] = Path("/tmp/sonobuoy/results"),
    nats: Nats = "",
    timeout: Timeout = None,
) -> ExitCode:
    """Exercise the mesh as a plugin of Sonobuoy. Ends with 0 once results are handed over, whatever they say.

    Example: linkerd steward conformance sonobuoy --results /tmp/sonobuoy/results --timeout 30m
    """
    folder = Results.there(results)
    try:
        async with cluster(session) as kube:
            files = await _exercised(session, kube, what, nats=nats, within=timeout)
    except TimeoutError:
        folder.hand_over({RESULTS: unfinished("the time given with --timeout passed").encode()})
        raise
    except (StewardError, ValidationError) as error:
        folder.hand_over({RESULTS: unfinished(str(explain(error))).encode()})
        raise
    note(f"{folder.hand_over(files)} is handed over")
    return ExitCode.OK


async def _exercised(session: Session, kube: Kube, what: What, *, nats: str, within: Timeout) -> Mapping[str, bytes]:
    """Run it, and write what came of it; a run that takes too long is stopped, so that nothing goes on unseen."""
    spec = ConformanceRunSpec(suite_ref=LocalRef(name=what.suite), only=known_patterns(what.only or []))
    if what.lasting:
        raise Refusal("--for has no meaning for a plugin: Sonobuoy waits for the end", "leave it away", ExitCode.USAGE)
    await suite_of(kube, what.suite)
    run = await create(kube, spec, f"sonobuoy-{session.clock.now():%Y%m%d-%H%M%S}")
    name = run.metadata.name
    note(f"ConformanceRun {name!r} created")
    try:
        async with limit(within):
            await watch(session, follow_kind(kube, name, ConformanceRun))
            found = ConformanceRun.of(await kube.get(CONFORMANCE_RUNS, name))
            async with bus(session, nats, kube=kube) as connected:
                kept_results = await kept.of_run(connected, name, found.metadata.uid)
    except (StewardError, TimeoutError, asyncio.CancelledError):
        await _stopped(kube, name)
        raise
    report = report_of(found, kept_results)
    forms = {RESULTS: Form.SONOBUOY, f"{PLUGIN}.html": Form.HTML, f"{PLUGIN}.json": Form.JSON}
    return {each: written(report, form) for each, form in forms.items()}


async def _stopped(kube: Kube, name: str) -> None:
    run = await kube.find(CONFORMANCE_RUNS, name)
    if run is None or is_over(ConformanceRun.of(run)):
        return
    wish: JsonObject = {"spec": {"state": RunState.STOP.value}}
    await kube.merge(CONFORMANCE_RUNS, name, wish)
    note(f"ConformanceRun {name!r} is asked to stop")


@dataclass(frozen=True, slots=True)
class Results:
    """The folder that Sonobuoy's own container looks into."""

    folder: Path

    @classmethod
    def there(cls, folder: Path) -> "Results":
        """The folder, or a refusal before anything is begun."""
        if not folder.is_dir():
            raise Refusal(
                f"there is no folder '{folder}' to put results into",
                "mount the volume `results` there, or name another one with --results",
                ExitCode.USAGE,
            )
        return cls(folder)

    def hand_over(self, files: Mapping[str, bytes]) -> Path:
        """One archive of the files, and the word that it is there."""
        archive = self.folder / _ARCHIVE
        archive.write_bytes(_packed(files))
        beside = self.folder / f".{_DONE}"
        beside.write_text(str(archive))
        # It is looked for all the time, and must never be seen empty.
        beside.replace(self.folder / _DONE)
        return archive


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
