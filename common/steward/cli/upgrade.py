"""`upgrade`: what runs there are, where one stands, and what people want of it."""

from typing import Annotated

import typer

from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, Timeout, leaf, limit, remember
from steward.cli.output import Format, note, show_document
from steward.cli.run_choice import all_runs, refuse_if_over, the_run
from steward.cli.run_stream import follow
from steward.cli.run_view import run_report, run_table, verdict
from steward.cli.upgrade_start import preview, start
from steward.cli.watch import watch as watch_run
from steward.jsonvalue import JsonObject
from steward.kube.resources import UPGRADE_RUNS
from steward.resources.upgrade_run import DesiredState

Run = Annotated[str, typer.Argument(metavar="RUN", help="Name of the UpgradeRun; the one under way, else the newest.")]

app = typer.Typer(no_args_is_help=True, help="Begin, follow and steer upgrades.")
app.callback()(remember)
app.command("start")(start)
app.command("preview")(preview)


@app.command("list")
@leaf
async def list_runs(session: Session, output: Output = Format.TABLE) -> ExitCode:
    """List every UpgradeRun, the newest first.

    Example: linkerd steward upgrade list
    """
    async with cluster(session) as kube:
        runs = await all_runs(kube)
    if not runs and output is Format.TABLE:
        note("there is no UpgradeRun; begin one with: linkerd steward upgrade start")
        return ExitCode.OK
    documents: JsonObject = {"items": [run.to_json() for run in runs]}
    show_document(documents, output, run_table(runs, session.clock.now()), session.environment)
    return ExitCode.OK


@app.command()
@leaf
async def status(session: Session, run: Run = "", output: Output = Format.TABLE) -> ExitCode:
    """Show where a run stands: steps, proxies, and the reason where it does not go on.

    Example: linkerd steward upgrade status edge-26.8.3 -o yaml
    """
    async with cluster(session) as kube:
        found = await the_run(kube, run)
    show_document(found.to_json(), output, run_report(found, session.clock.now()), session.environment)
    return verdict(found)


@app.command()
@leaf
async def watch(
    session: Session,
    run: Run = "",
    *,
    through_pauses: Annotated[
        bool, typer.Option("--through-pauses", help="Stay while the run waits for a person, too.")
    ] = False,
    timeout: Timeout = None,
) -> ExitCode:
    """Follow a run until it is over: a live picture on a terminal, plain lines elsewhere.

    Example: linkerd steward upgrade watch --timeout 2h
    """
    async with limit(timeout), cluster(session) as kube:
        found = await the_run(kube, run)
        return await watch_run(session, follow(kube, found.metadata.name), through_pauses=through_pauses)


@app.command()
@leaf
async def pause(session: Session, run: Run = "") -> ExitCode:
    """Let a run stand still after what it has in hand.

    Example: linkerd steward upgrade pause
    """
    return await _ask(session, run, DesiredState.PAUSE, "pause")


@app.command()
@leaf
async def resume(session: Session, run: Run = "") -> ExitCode:
    """Let a paused run go on.

    Example: linkerd steward upgrade resume
    """
    return await _ask(session, run, DesiredState.RUN, "resume")


@app.command()
@leaf
async def abort(
    session: Session,
    run: Run = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> ExitCode:
    """End a run for good after what it has in hand; what was done stays done.

    Example: linkerd steward upgrade abort edge-26.8.3 --yes
    """
    return await _ask(session, run, DesiredState.ABORT, "abort", sure=yes)


async def _ask(session: Session, name: str, state: DesiredState, verb: str, *, sure: bool = True) -> ExitCode:
    async with cluster(session) as kube:
        run = await the_run(kube, name)
        refuse_if_over(run, verb)
        if run.spec.state is DesiredState.ABORT:
            raise Refusal(f"UpgradeRun {run.metadata.name!r} is being aborted already: it cannot go another way")
        if not sure:
            _confirm(session, run.metadata.name)
        await kube.merge(UPGRADE_RUNS, run.metadata.name, {"spec": {"state": state.value}})
    note(f"UpgradeRun {run.metadata.name!r}: {verb} asked for")
    return ExitCode.OK


def _confirm(session: Session, name: str) -> None:
    if not session.environment.input_is_terminal:
        raise Refusal(
            f"abort of UpgradeRun {name!r} cannot be undone and nobody can be asked", "add --yes", ExitCode.USAGE
        )
    if not typer.confirm(f"Abort UpgradeRun {name!r} for good?", err=True):
        raise Refusal("nothing was done")
