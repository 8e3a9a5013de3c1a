"""`alerts history` and `alerts watch`: alerts as the bus tells them, those that were and those that come."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live

from steward.bus.streams import Start
from steward.cli.alerts.completing import Alert
from steward.cli.alerts.incidents import (
    Chosen,
    Incidents,
    folded,
    incident_document,
    incident_line,
    incident_table,
    live_picture,
)
from steward.cli.connection import bus
from steward.cli.events import moment
from steward.cli.exit_codes import ExitCode
from steward.cli.options import Nats, Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, console, document, note, show_document, write
from steward.events.base import Envelope, Event

_REFRESH_PER_SECOND = 4


@dataclass(frozen=True, slots=True)
class Which:
    """Which alerts."""

    alert: Alert = ""
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Only alerts about this namespace.", metavar="NAME")
    ] = ""

    @property
    def chosen(self) -> Chosen:
        """As the bus is asked for them."""
        return Chosen(self.alert, self.namespace)


@dataclass(frozen=True, slots=True)
class Pace:
    """From when, and how much."""

    since: Annotated[
        str, typer.Option(help="Begin with what was told since: 2h, 7d, 2026-11-21T09:00Z, or all.", metavar="WHEN")
    ] = ""
    count: Annotated[
        int, typer.Option("--count", "-c", help="Stop after so many; 0 is no limit.", min=0, metavar="N")
    ] = 0


@leaf
async def history(
    session: Session,
    which: Which,
    since: Annotated[
        str, typer.Option(help="How far back: 2h, 7d, 2026-11-21T09:00Z, or all that is kept.", metavar="WHEN")
    ] = "7d",
    nats: Nats = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Show past incidents: when each alert began, how long it lasted.

    Example: linkerd steward alerts history --since 24h --namespace shop
    """
    now = session.clock.now()
    start = None if since == "all" else moment(since, now)
    # From the first that is kept: an alert may have begun long before, and nothing told since.
    async with limit(timeout), _events(session, nats, which.chosen, Start.ALL, follow=False) as events:
        told = [each async for each in events]
    incidents = [each for each in folded(told) if start is None or each.touches(start)]
    if not incidents and output is Format.TABLE:
        note(f"no alert fired since {start:%Y-%m-%d %H:%MZ}" if start else "no alert is remembered")
        return ExitCode.OK
    items = [incident_document(each, now) for each in incidents]
    show_document({"items": [*items]}, output, incident_table(incidents, now), session.environment)
    return ExitCode.OK


@leaf
async def watch(
    session: Session,
    which: Which,
    pace: Pace,
    nats: Nats = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Follow alerts as they begin and end: a live picture on a terminal, a line for each elsewhere.

    Example: linkerd steward alerts watch --namespace shop
    """
    live = session.environment.output_is_terminal and output is Format.TABLE and not pace.count
    # A picture is about how things stand, so it begins with the last word on every alert.
    first = Start.LATEST if live else Start.NEW
    start = _start(pace.since, session.clock.now()) if pace.since else first
    async with limit(timeout), _events(session, nats, which.chosen, start, follow=True) as events:
        if live:
            await _draw(session, events)
        else:
            await _tell(session, events, output, pace.count)
    return ExitCode.OK


@asynccontextmanager
async def _events(
    session: Session, nats: str, chosen: Chosen, start: Start | datetime, *, follow: bool
) -> AsyncGenerator[AsyncGenerator[Envelope[Event]]]:
    """The events about the alerts that are meant."""
    async with (
        bus(session, nats) as connected,
        aclosing(connected.tail(*chosen.subjects, start=start, follow=follow)) as envelopes,
    ):
        yield (each async for each in envelopes if chosen.fits(each.data))


def _start(since: str, now: datetime) -> Start | datetime:
    return Start.ALL if since == "all" else moment(since, now)


async def _draw(session: Session, envelopes: AsyncGenerator[Envelope[Event]]) -> None:
    incidents = Incidents()

    def picture() -> RenderableType:
        return live_picture(incidents, session.clock.now())

    with Live(
        console=console(session.environment),
        refresh_per_second=_REFRESH_PER_SECOND,
        get_renderable=picture,
        vertical_overflow="visible",
    ):
        async for envelope in envelopes:
            incidents.see(envelope)


async def _tell(session: Session, envelopes: AsyncGenerator[Envelope[Event]], output: Format, count: int) -> None:
    incidents = Incidents()
    told = 0
    async for envelope in envelopes:
        incident = incidents.see(envelope)
        if incident is None:
            continue
        now = session.clock.now()
        if output is Format.JSON:
            write(json.dumps(incident_document(incident, now), ensure_ascii=False) + "\n")
        elif output is Format.YAML:
            write("---\n" + document(incident_document(incident, now), Format.YAML))
        else:
            write(incident_line(incident, now) + "\n")
        told += 1
        if told == count:
            return
