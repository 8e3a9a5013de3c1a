"""`check`: Linkerd's extension contract. In JSON mode stdout holds one document, whatever happens."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer
from pydantic import ValidationError

from steward.cli.check import CATEGORY, evaluate
from steward.cli.check_facts import gather
from steward.cli.check_nats import nats_fact
from steward.cli.check_pre import PRE_CATEGORY, evaluate_pre
from steward.cli.check_report import Category, ReportFormat, Result, Verdict, as_document, as_text, passed
from steward.cli.connection import cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import explain
from steward.cli.go_flags import duration, spelled
from steward.cli.options import Nats, Session, leaf
from steward.cli.output import Format, document, note, write
from steward.errors import StewardError
from steward.kube.client import Kube

_AGAIN_AFTER = timedelta(seconds=5)
_RETRYABLE = frozenset({"services are ready", "NATS is reachable and new enough", "event streams exist"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be checked."""

    pre: Annotated[bool, typer.Option("--pre", help="Check whether Steward can be installed.")] = False
    proxy: Annotated[bool, typer.Option("--proxy", help="Check the proxies of the data plane as well.")] = False
    wait: Annotated[
        str, typer.Option(help="How long to wait for services that are not ready yet.", metavar="DURATION")
    ] = "30s"
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Accepted as Linkerd hands it on; not used.", metavar="NAME")
    ] = ""


@leaf
async def check(
    session: Session,
    wanted: Wanted,
    output: Annotated[
        ReportFormat, typer.Option("--output", "-o", help="How to write the verdicts.", metavar="table|json|short")
    ] = ReportFormat.TABLE,
    nats: Nats = "",
) -> ExitCode:
    """Check that Steward works, and the mesh as Steward sees it; `linkerd check` runs this, too.

    Example: linkerd steward check --proxy -o short
    """
    try:
        patience = duration(wanted.wait)
    except ValueError as error:
        _report([_cannot("flags can be understood", f"--wait: {error}")], output)
        return ExitCode.USAGE
    name = PRE_CATEGORY if wanted.pre else CATEGORY
    try:
        async with cluster(session) as kube:
            if wanted.pre:
                categories = await evaluate_pre(kube, session.linkerd_namespace)
            else:
                categories = await _patiently(session, kube, patience, proxy=wanted.proxy, nats=nats)
    except (StewardError, ValidationError) as error:
        explanation = explain(error)
        _report([_cannot("can query the Kubernetes API", explanation.message, name)], output)
        return explanation.code
    _report(categories, output)
    return ExitCode.OK if passed(categories) else ExitCode.FAILED


async def _patiently(
    session: Session, kube: Kube, patience: timedelta, *, proxy: bool, nats: str
) -> tuple[Category, ...]:
    """Look again as long as only that fails which may come by itself, and there is time left."""
    end = session.clock.monotonic() + patience.total_seconds()
    while True:
        namespace = await steward_namespace(kube)
        facts = await gather(kube, namespace, lambda: nats_fact(session, kube, nats))
        categories = evaluate(facts, proxy=proxy)
        left = end - session.clock.monotonic()
        failed = {each.description for one in categories for each in one.checks if each.result is Result.ERROR}
        if not failed or not failed <= _RETRYABLE or left <= 0:
            return categories
        # On stderr, which Linkerd does not read.
        note(f"waiting: {', '.join(sorted(failed))} ({spelled(timedelta(seconds=left))} left)")
        await session.clock.sleep(min(_AGAIN_AFTER, timedelta(seconds=left)))


def _report(categories: tuple[Category, ...] | list[Category], output: ReportFormat) -> None:
    if output is ReportFormat.JSON:
        write(document(as_document(categories), Format.JSON))
    else:
        write(as_text(categories, short=output is ReportFormat.SHORT))


def _cannot(description: str, why: str, name: str = CATEGORY) -> Category:
    return Category(name, (Verdict(description, Result.ERROR, why),))
