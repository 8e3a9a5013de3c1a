"""`conformance stop`, `pause`, `resume` and `cleanup`: end what runs, and leave nothing behind."""

from typing import Annotated

import typer

from steward.cli.conformance.choice import all_runs, is_over, status_of, the_run
from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Session, leaf
from steward.cli.output import note
from steward.jsonvalue import JsonObject, text, texts
from steward.kube.client import Kube
from steward.kube.errors import Conflict, NotFound
from steward.kube.resources import CONFORMANCE_RUNS, NAMESPACES
from steward.resources.conformance_run import RunState

OWNED = "steward.linkerd.io/conformance-run-uid"
"""The label of everything that a run makes: its value is the uid of the run."""

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Name of the ConformanceRun; the one under way, else the newest.")
]


@leaf
async def stop(
    session: Session,
    run: Run = "",
    *,
    drop_evidence: Annotated[bool, typer.Option("--drop-evidence", help="Keep verdicts, but no evidence.")] = False,
) -> ExitCode:
    """Stop a run: it draws its conclusion from what it has, and deletes what it made.

    Example: linkerd steward conformance stop
    """
    spec: JsonObject = {"state": RunState.STOP.value, **({"keepEvidence": False} if drop_evidence else {})}
    return await _ask(session, run, spec, "stop")


@leaf
async def pause(session: Session, run: Run = "") -> ExitCode:
    """Let a run stand still; what it made stays.

    Example: linkerd steward conformance pause nightly
    """
    return await _ask(session, run, {"state": RunState.PAUSE.value}, "pause")


@leaf
async def resume(session: Session, run: Run = "") -> ExitCode:
    """Let a paused run go on.

    Example: linkerd steward conformance resume nightly
    """
    return await _ask(session, run, {"state": RunState.RUN.value}, "resume")


@leaf
async def cleanup(
    session: Session,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> ExitCode:
    """Delete namespaces that runs left behind: only those that carry a run's label, and whose run is over or gone.

    Example: linkerd steward conformance cleanup --yes
    """
    async with cluster(session) as kube:
        left = await _left_behind(kube)
        if not left:
            note("nothing is left behind")
            return ExitCode.OK
        for namespace in left:
            note(f"namespace {text(namespace, 'metadata', 'name')} of a run that is over")
        if not yes:
            _confirm(session, len(left))
        for namespace in left:
            await _delete(kube, namespace)
    return ExitCode.OK


async def _left_behind(kube: Kube) -> list[JsonObject]:
    living = {run.metadata.uid for run in await all_runs(kube) if not is_over(run)}
    listing = await kube.list(NAMESPACES, labels=OWNED)
    return [each for each in listing.items if texts(each, "metadata", "labels").get(OWNED) not in living]


async def _delete(kube: Kube, namespace: JsonObject) -> None:
    name, uid = text(namespace, "metadata", "name"), text(namespace, "metadata", "uid")
    try:
        # The uid makes sure that it is the namespace that was looked at, and no later one of its name.
        await kube.delete(NAMESPACES, name, uid=uid)
    except (NotFound, Conflict):
        return
    note(f"namespace {name} is being deleted")


async def _ask(session: Session, name: str, spec: JsonObject, verb: str) -> ExitCode:
    async with cluster(session) as kube:
        run = await the_run(kube, name)
        if is_over(run):
            phase = status_of(run).phase.value
            raise Refusal(
                f"ConformanceRun {run.metadata.name!r} is over ({phase}): there is nothing to {verb}",
                "linkerd steward conformance status shows it",
            )
        await kube.merge(CONFORMANCE_RUNS, run.metadata.name, {"spec": spec})
    note(f"ConformanceRun {run.metadata.name!r}: {verb} asked for")
    return ExitCode.OK


def _confirm(session: Session, count: int) -> None:
    what = "a namespace" if count == 1 else f"{count} namespaces"
    if not session.environment.input_is_terminal:
        raise Refusal(f"{what} would be deleted and nobody can be asked", "add --yes", ExitCode.USAGE)
    if not typer.confirm(f"Delete {what}?", err=True):
        raise Refusal("nothing was done")
