"""`conformance start` and `run-one`: say what will be made, then write a ConformanceRun and follow it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from steward.cli.conformance.choice import all_runs, free_name, known_patterns, the_feature
from steward.cli.conformance.following import watch
from steward.cli.conformance.footprint import footprint
from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import duration
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, note, show_document
from steward.cli.run_stream import follow_kind
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.resources import CONFORMANCE_RUNS, CONFORMANCE_SUITES
from steward.resources import ConformanceRun, ConformanceSuite
from steward.resources.base import LocalRef, ObjectMeta
from steward.resources.conformance_run import ConformanceRunSpec
from steward.resources.conformance_suite import ConformanceSuiteSpec, Pace


@dataclass(frozen=True, slots=True)
class What:
    """What is exercised, and for how long."""

    suite: Annotated[str, typer.Option(help="ConformanceSuite to use.", metavar="NAME")] = "default"
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this feature or group; may be repeated.", metavar="FEATURE")
    ] = None
    lasting: Annotated[
        str,
        typer.Option("--for", help="Again and again for so long, such as 7d, or `ever`.", metavar="DURATION"),
    ] = ""
    once: Annotated[bool, typer.Option("--once", help="Once through everything, which is the default.")] = False

    @property
    def pace(self) -> Pace:
        """Once, or again and again."""
        if self.once and self.lasting:
            raise Refusal("--once and --for exclude each other", "give one of them", ExitCode.USAGE)
        return Pace.CONTINUOUS if self.lasting else Pace.ONCE

    @property
    def seconds(self) -> int | None:
        """How long a continuous run lasts; None without end."""
        if not self.lasting or self.lasting == "ever":
            return None
        return max(1, round(_lasting(self.lasting).total_seconds()))


@dataclass(frozen=True, slots=True)
class Manner:
    """How the run begins."""

    name: Annotated[str, typer.Option(help="Name of the new ConformanceRun.", metavar="NAME")] = ""
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not follow the run.")] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print which objects and rights it would use, and what it would try.")
    ] = False
    drop_evidence: Annotated[bool, typer.Option("--drop-evidence", help="Keep verdicts, but no evidence.")] = False


@leaf
async def start(
    session: Session,
    what: What,
    manner: Manner,
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Exercise the mesh.

    Ends with 0 where all works, 1 where something does not, 3 where it cannot be told, 4 where it was stopped.

    Example: linkerd steward conformance start --only mtls --only authz
    """
    only = known_patterns(what.only or [])
    spec = ConformanceRunSpec(
        suite_ref=LocalRef(name=what.suite),
        only=only,
        pace=what.pace,
        duration_seconds=what.seconds,
        keep_evidence=not manner.drop_evidence,
    )
    async with limit(timeout), cluster(session) as kube:
        suite = await suite_of(kube, what.suite)
        if manner.dry_run:
            plan = footprint(suite, only)
            show_document(plan.document(), output, plan.report(), session.environment)
            return ExitCode.OK
        return await _begin(session, kube, spec, manner, output)


@leaf
async def run_one(
    session: Session,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="Such as mtls.identity.")],
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Exercise one feature now, and follow it.

    Example: linkerd steward conformance run-one mtls.identity
    """
    entry = the_feature(feature)
    spec = ConformanceRunSpec(only=(entry.feature,))
    async with limit(timeout), cluster(session) as kube:
        await suite_of(kube, spec.suite_ref.name)
        return await _begin(session, kube, spec, Manner(name=feature.replace(".", "-")), output)


async def _begin(session: Session, kube: Kube, spec: ConformanceRunSpec, manner: Manner, output: Format) -> ExitCode:
    name = manner.name or f"conformance-{session.clock.now():%Y%m%d-%H%M%S}"
    run = await create(kube, spec, name)
    note(f"ConformanceRun {run.metadata.name!r} created")
    if manner.detach:
        note(f"hint: follow it with: linkerd steward conformance watch {run.metadata.name}")
        show_document(run.to_json(), output, run.metadata.name, session.environment)
        return ExitCode.OK
    return await watch(session, follow_kind(kube, run.metadata.name, ConformanceRun))


async def create(kube: Kube, spec: ConformanceRunSpec, wanted: str) -> ConformanceRun:
    """Make a run under the name that is wanted, or with a number where earlier runs have it."""
    name = free_name(wanted, await all_runs(kube))
    run = ConformanceRun(metadata=ObjectMeta(name=name), spec=spec)
    body = run.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    head: JsonObject = {"apiVersion": run.api_version, "kind": run.kind, "metadata": {"name": name}}
    return ConformanceRun.of(await kube.create(CONFORMANCE_RUNS, {"spec": {}, **body, **head}))


async def suite_of(kube: Kube, name: str) -> ConformanceSuiteSpec:
    """The suite of that name, or a refusal that says what to do."""
    found = await kube.find(CONFORMANCE_SUITES, name)
    if found is None:
        raise Refusal(
            f"ConformanceSuite {name!r} does not exist",
            "an installation brings the suite `default`: linkerd steward check; or name another with --suite",
            ExitCode.USAGE,
        )
    return ConformanceSuite.of(found).spec


def _lasting(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise Refusal(f"--for {text!r}: {error}", "write it like 30m, 12h or 7d", ExitCode.USAGE) from error
