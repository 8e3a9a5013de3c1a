"""The commands of `conformance`."""

from typing import Annotated

import typer

from steward.cli.conformance.begin import run_one, start
from steward.cli.conformance.choice import all_runs, the_run
from steward.cli.conformance.ending import cleanup, pause, resume, stop
from steward.cli.conformance.following import watch as watch_run
from steward.cli.conformance.plugin import sonobuoy
from steward.cli.conformance.reading import explain, history, list_features, report
from steward.cli.conformance.view import exit_code, run_report, run_table
from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.options import Output, Session, Timeout, leaf, limit, remember
from steward.cli.output import Format, note, show_document
from steward.cli.run_stream import follow_kind
from steward.jsonvalue import Json
from steward.resources import ConformanceRun

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Name of the ConformanceRun; the one under way, else the newest.")
]

app = typer.Typer(no_args_is_help=True, help="Exercise every feature of the mesh, and learn what is broken and why.")
app.callback()(remember)
app.command("start")(start)
app.command("run-one")(run_one)
app.command("list")(list_features)
app.command("explain")(explain)
app.command("history")(history)
app.command("report")(report)
app.command("pause")(pause)
app.command("resume")(resume)
app.command("stop")(stop)
app.command("cleanup")(cleanup)
app.command("sonobuoy")(sonobuoy)


@app.command("runs")
@leaf
async def list_runs(session: Session, output: Output = Format.TABLE) -> ExitCode:
    """List every ConformanceRun, the newest first.

    Example: linkerd steward conformance runs
    """
    async with cluster(session) as kube:
        runs = await all_runs(kube)
    if not runs and output is Format.TABLE:
        note("there is no ConformanceRun; begin one with: linkerd steward conformance start")
        return ExitCode.OK
    items: list[Json] = [run.to_json() for run in runs]
    show_document({"items": items}, output, run_table(runs, session.clock.now()), session.environment)
    return ExitCode.OK


@app.command()
@leaf
async def status(session: Session, run: Run = "", output: Output = Format.TABLE) -> ExitCode:
    """Show where a run stands: groups, what does not work, what fails together.

    Example: linkerd steward conformance status -o json
    """
    async with cluster(session) as kube:
        found = await the_run(kube, run)
    show_document(found.to_json(), output, run_report(found, session.clock.now()), session.environment)
    return exit_code(found)


@app.command()
@leaf
async def watch(session: Session, run: Run = "", timeout: Timeout = None) -> ExitCode:
    """Follow a run until it is over: a live picture on a terminal, plain lines elsewhere.

    Example: linkerd steward conformance watch --timeout 30m
    """
    async with limit(timeout), cluster(session) as kube:
        found = await the_run(kube, run)
        return await watch_run(session, follow_kind(kube, found.metadata.name, ConformanceRun))
