"""`conformance list`, `explain`, `history` and `report`: what can be exercised, and what was found."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from steward.cli.conformance import kept
from steward.cli.conformance.choice import status_of, the_feature, the_run
from steward.cli.conformance.told import definition, explanation, past
from steward.cli.conformance.view import exit_code
from steward.cli.connection import bus, cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import duration
from steward.cli.options import Nats, Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, grid, note, show_document, write
from steward.conformance.catalogue import catalogue
from steward.conformance.reports import Form, RunReport, written
from steward.conformance.reports.document import FeatureReport, Subject
from steward.conformance.results import FeatureResult
from steward.jsonvalue import Json
from steward.resources import ConformanceRun

Feature = Annotated[str, typer.Argument(metavar="FEATURE", help="Such as mtls.identity.")]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Name of the ConformanceRun; the one under way, else the newest.")
]


@leaf
async def list_features(
    session: Session,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="Only this group or feature, such as mtls.")] = "",
    output: Output = Format.TABLE,
) -> ExitCode:
    """List what can be exercised; needs no cluster.

    Example: linkerd steward conformance list mtls
    """
    features = catalogue().meant(group) if group else catalogue().features
    if not features:
        raise Refusal(f"{group!r} means no feature", "linkerd steward conformance list shows them", ExitCode.USAGE)
    items: list[Json] = [each.model_dump(mode="json", by_alias=True) for each in features]
    rows = [
        (each.feature, each.tier.value, each.safety.value, each.since, "yes" if each.security else "", each.claim)
        for each in features
    ]
    table = grid(("FEATURE", "TIER", "SAFETY", "SINCE", "SECURITY", "CLAIM"), rows)
    show_document({"items": items}, output, table, session.environment)
    return ExitCode.OK


@leaf
async def explain(
    session: Session,
    feature: Feature,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Only the definition; ask no bus.")] = False,
    nats: Nats = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Say what a feature promises, how it is tried, what was found last, and why it does not work.

    Example: linkerd steward conformance explain mtls.identity
    """
    entry = the_feature(feature)
    if offline:
        show_document(entry.model_dump(mode="json", by_alias=True), output, definition(entry), session.environment)
        return ExitCode.OK
    async with limit(timeout), bus(session, nats) as connected:
        results = await kept.of_feature(connected, feature, None)
    found: Json = {
        "definition": entry.model_dump(mode="json", by_alias=True),
        "results": [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in results[-10:]],
    }
    show_document(found, output, explanation(entry, results), session.environment)
    return ExitCode.OK


@leaf
async def history(
    session: Session,
    feature: Feature,
    *,
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 14d.", metavar="DURATION")] = "14d",
    nats: Nats = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Show how a feature fared: a sparkline, how often it worked, how often it changed its mind.

    Example: linkerd steward conformance history mtls.identity --since 7d
    """
    entry = the_feature(feature)
    start = session.clock.now() - _span(since)
    async with limit(timeout), bus(session, nats) as connected:
        results = await kept.of_feature(connected, feature, start)
    items: list[Json] = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in results]
    show_document({"items": items}, output, past(entry, results), session.environment)
    return ExitCode.OK


@leaf
async def report(
    session: Session,
    run: Run = "",
    *,
    form: Annotated[
        Form, typer.Option("--format", "-f", help="How to write it.", metavar="html|json|junit|md|csv|sonobuoy")
    ] = Form.HTML,
    file: Annotated[
        Path | None, typer.Option("--file", help="Where to write it; stdout where it is not named.", metavar="FILE")
    ] = None,
    nats: Nats = "",
    timeout: Timeout = None,
) -> ExitCode:
    """Write a run as one document that needs nothing else. Ends as the run did: 0, 1, 3 or 4.

    Example: linkerd steward conformance report --format html --file conformance.html
    """
    async with limit(timeout), cluster(session) as kube:
        found = await the_run(kube, run)
        async with bus(session, nats, kube=kube) as connected:
            results = await kept.of_run(connected, found.metadata.name, found.metadata.uid)
    content = written(report_of(found, results), form)
    if file is None:
        write(content.decode())
    else:
        file.write_bytes(content)
        note(f"{file}: {len(results)} results of ConformanceRun {found.metadata.name!r}")
    return exit_code(found)


def report_of(run: ConformanceRun, results: list[FeatureResult]) -> RunReport:
    """The report of a run, from its object and its results. Pure."""
    status = status_of(run)
    by_feature: dict[str, list[FeatureResult]] = {}
    for result in sorted(results, key=lambda each: (each.at, each.cycle)):
        by_feature.setdefault(result.feature, []).append(result)
    complete = next((each.message for each in status.conditions if each.type == "Complete"), "")
    return RunReport(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        suite=run.spec.suite_ref.name,
        trigger=run.spec.trigger.value,
        exerciser_version=status.exerciser_version,
        subject=Subject(
            kubernetes_version=status.cluster.kubernetes_version,
            linkerd_version=status.cluster.linkerd_version,
            proxy_versions=status.cluster.proxy_versions,
            nodes=status.cluster.nodes,
            zones=status.cluster.zones,
        ),
        started_at=status.started_at,
        ended_at=status.ended_at,
        outcome=status.outcome,
        message=complete,
        summary=status.summary,
        findings=status.findings,
        features=tuple(_feature(name, members) for name, members in sorted(by_feature.items())),
    )


def _feature(name: str, results: list[FeatureResult]) -> FeatureReport:
    entry = catalogue().find(name)
    return FeatureReport(
        feature=name,
        claim=entry.claim if entry else "",
        security=entry.security if entry else False,
        tier=results[-1].tier,
        results=tuple(results),
    )


def _span(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise Refusal(f"--since {text!r}: {error}", "write it like 24h or 14d", ExitCode.USAGE) from error
