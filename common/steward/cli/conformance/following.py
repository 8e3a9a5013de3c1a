"""Following a ConformanceRun: a live picture on a terminal, a line for each verdict elsewhere."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from steward.cli.conformance.choice import is_over, status_of
from steward.cli.conformance.view import exit_code, run_report, word
from steward.cli.exit_codes import ExitCode
from steward.cli.options import Session
from steward.cli.output import clean, console, note, plain, write
from steward.cli.run_stream import Sight
from steward.resources import ConformanceRun
from steward.resources.conformance_run import FeatureLine

_REFRESH_PER_SECOND = 4
Seen = Sight[ConformanceRun]


async def watch(session: Session, sights: AsyncGenerator[Seen]) -> ExitCode:
    """Show the run until it is over."""
    last: Seen | None = None
    async with aclosing(sights) as following:
        if session.environment.output_is_terminal:
            last = await _draw(session, following)
        else:
            async for sight in following:
                _tell(last, sight, session.clock.now())
                last = sight
                if not sight.problem and is_over(sight.run):
                    break
    return exit_code(last.run) if last is not None else ExitCode.NOT_FOUND


async def _draw(session: Session, sights: AsyncGenerator[Seen]) -> Seen | None:
    current: list[Seen] = []

    def picture() -> RenderableType:
        return live_report(current[-1], session.clock.now()) if current else Text("")

    with Live(
        console=console(session.environment),
        refresh_per_second=_REFRESH_PER_SECOND,
        get_renderable=picture,
        vertical_overflow="visible",
    ) as live:
        async for sight in sights:
            current[:] = [sight]
            live.refresh()
            if not sight.problem and is_over(sight.run):
                break
    return current[-1] if current else None


def live_report(sight: Seen, now: datetime) -> RenderableType:
    """The picture that a terminal shows. Pure."""
    report = run_report(sight.run, now)
    return Group(report, Text(""), plain(sight.problem, "yellow")) if sight.problem else report


def happenings(before: ConformanceRun | None, after: ConformanceRun, now: datetime) -> list[str]:
    """What happened between two sights of a run, a line each. Pure."""
    moment = f"{now:%H:%M:%SZ}"
    known = {each.feature: (each.verdict, each.state) for each in (status_of(before).features if before else ())}
    lines = [
        f"{moment}  {_told(each)}"
        for each in status_of(after).features
        if each.verdict is not None and known.get(each.feature) != (each.verdict, each.state)
    ]
    if before is None or status_of(before).phase is not status_of(after).phase:
        lines.append(f"{moment}  {after.metadata.name}  {status_of(after).phase.value}  {word(after)}")
    return [clean(line).rstrip() for line in lines]


def _told(line: FeatureLine) -> str:
    verdict = line.verdict.value if line.verdict else ""
    why = f"{line.cause}: {line.message}" if line.cause else line.message
    return f"{line.feature:<32}  {verdict:<13}  {line.state.value:<9}  {why}"


def _tell(before: Seen | None, after: Seen, now: datetime) -> None:
    if after.problem:
        if before is None or before.problem != after.problem:
            note(after.problem)
        return
    for line in happenings(before.run if before else None, after.run, now):
        write(f"{line}\n")
