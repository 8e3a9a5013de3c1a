"""`events tail`: what happened, as the bus tells it."""

import json
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from steward.bus.streams import Start
from steward.cli.connection import bus
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import duration
from steward.cli.options import Nats, Output, Session, Timeout, leaf, limit, remember
from steward.cli.output import Format, clean, document, write
from steward.clock import Clock
from steward.events.base import Envelope, Event
from steward.events.codec import encode
from steward.events.registry import EVENTS
from steward.events.subjects import is_cluster_name, subject_filter

app = typer.Typer(no_args_is_help=True, help="Listen to what happens.")
app.callback()(remember)

_NAMES = tuple(sorted({event.name for event in EVENTS}))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events are meant."""

    event: Annotated[
        str, typer.Option("--event", "-e", help="Only this event, for example upgrade-finished.", metavar="NAME")
    ] = ""
    cluster: Annotated[str, typer.Option("--cluster", help="Only events of this cluster.", metavar="NAME")] = ""
    key: Annotated[
        str,
        typer.Option("--key", "-k", help="Only events about this run or channel; parts with / between.", metavar="KEY"),
    ] = ""
    since: Annotated[
        str,
        typer.Option(help="Begin with what was kept since: 2h, 7d, 2026-11-21T09:00Z, or all.", metavar="WHEN"),
    ] = ""
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for what is to come.")] = True
    count: Annotated[
        int, typer.Option("--count", "-c", help="Stop after so many; 0 is no limit.", min=0, metavar="N")
    ] = 0

    @property
    def subject(self) -> str:
        """The filter on the bus."""
        if self.event and self.event not in _NAMES:
            raise Refusal(f"--event {self.event!r} is no event", f"the events are {', '.join(_NAMES)}", ExitCode.USAGE)
        if self.cluster and not is_cluster_name(self.cluster):
            raise Refusal(
                f"--cluster {self.cluster!r} is no name of a cluster",
                "it is lowercase letters, digits and inner hyphens, at most 63",
                ExitCode.USAGE,
            )
        return subject_filter(self.event or "*", cluster=self.cluster or "*")

    def fits(self, event: Event) -> bool:
        """Whether the event is about the key: a filter on the bus would match either the key or what is beneath it."""
        wanted = tuple(self.key.split("/")) if self.key else ()
        return event.key[: len(wanted)] == wanted

    def start(self, clock: Clock) -> Start | datetime:
        """Where to begin."""
        if not self.since:
            return Start.NEW if self.follow else Start.ALL
        if self.since == "all":
            return Start.ALL
        return moment(self.since, clock.now())


@app.command("tail")
@leaf
async def tail(
    session: Session,
    choice: Choice,
    nats: Nats = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Print events as they come, from now or from earlier.

    Example: linkerd steward events tail --since 2h --event upgrade-step-done -o json
    """
    subject, start = choice.subject, choice.start(session.clock)
    async with limit(timeout), bus(session, nats) as connected:
        shown = 0
        async with aclosing(connected.tail(subject, start=start, follow=choice.follow)) as envelopes:
            async for envelope in envelopes:
                if not choice.fits(envelope.data):
                    continue
                write(line(envelope, output))
                shown += 1
                if shown == choice.count:
                    break
    return ExitCode.OK


def line(envelope: Envelope[Event], output: Format) -> str:
    """One event: a line for people, a JSON document on a line, or a YAML document. Pure."""
    if output is Format.JSON:
        return encode(envelope).decode() + "\n"
    if output is Format.YAML:
        return "---\n" + document(json.loads(encode(envelope)), Format.YAML)
    data = envelope.data.model_dump(mode="json", by_alias=True, exclude_none=True)
    said = data.get("message") or _said(envelope.data)
    name = envelope.data.name
    return (
        clean(f"{envelope.time:%Y-%m-%d %H:%M:%S}  {envelope.cluster}  {name:<22}  {envelope.subject}  {said}") + "\n"
    )


def _said(event: Event) -> str:
    """The members of an event that has no sentence of its own, the simple ones only."""
    members = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    return " ".join(f"{name}={value}" for name, value in members.items() if isinstance(value, str | int | float))


def moment(since: str, now: datetime) -> datetime:
    """The time that `--since` names: a duration back from now, or a time that has passed."""
    found = _moment(since, now)
    if found > now:
        raise Refusal(f"--since {since!r} lies ahead", "name a time that has passed", ExitCode.USAGE)
    return found


def _moment(since: str, now: datetime) -> datetime:
    try:
        return now - duration(since)
    except (ValueError, OverflowError):
        pass  # no duration, so it should be a time
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise Refusal(
            f"--since {since!r} is neither a duration nor a time",
            "write it like 30m, 2h, 7d, 2026-11-21T09:00Z, or all",
            ExitCode.USAGE,
        ) from None
    return moment if moment.tzinfo else moment.astimezone()
