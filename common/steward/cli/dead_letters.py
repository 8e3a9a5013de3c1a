"""`dead-letters`: events that a subscriber gave up, why, and another chance for them."""

import base64
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from steward.bus.client import Bus
from steward.bus.dead_letters import DeadLetter
from steward.cli.connection import bus
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Nats, Output, Session, leaf, remember
from steward.cli.output import Format, grid, note, plain, show_document
from steward.jsonvalue import Json, JsonObject

app = typer.Typer(no_args_is_help=True, help="Look at events that were given up, and deliver them again.")
app.callback()(remember)

Consumer = Annotated[str, typer.Option("--consumer", help="Only what this consumer gave up.", metavar="NAME")]


@app.command("list")
@leaf
async def list_letters(
    session: Session, consumer: Consumer = "", nats: Nats = "", output: Output = Format.TABLE
) -> ExitCode:
    """List what was given up, the oldest first.

    Example: linkerd steward dead-letters list --consumer acme-tickets
    """
    async with bus(session, nats) as connected:
        letters = await _letters(connected, consumer)
    if not letters and output is Format.TABLE:
        note("there are no dead letters")
        return ExitCode.OK
    documents: JsonObject = {"items": [letter_document(letter) for letter in letters]}
    show_document(documents, output, letter_table(letters), session.environment)
    return ExitCode.OK


@app.command("show")
@leaf
async def show_letter(
    session: Session,
    id: Annotated[str, typer.Argument(metavar="ID", help="As dead-letters list shows it.")],
    nats: Nats = "",
    output: Output = Format.TABLE,
) -> ExitCode:
    """Show one dead letter with the event in it.

    Example: linkerd steward dead-letters show acme-tickets.42
    """
    async with bus(session, nats) as connected:
        letter = await connected.dead_letters.get(id)
    show_document(letter_document(letter), output, letter_report(letter), session.environment)
    return ExitCode.OK


@app.command("replay")
@leaf
async def replay(
    session: Session,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="As dead-letters list shows them.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All of them, or all of --consumer.")] = False,
    consumer: Consumer = "",
    nats: Nats = "",
) -> ExitCode:
    """Deliver given-up events again, only to the consumer that gave them up.

    Example: linkerd steward dead-letters replay acme-tickets.42
    """
    if bool(ids) is every:
        raise Refusal(
            "replay needs either IDs or --all", "linkerd steward dead-letters list shows them", ExitCode.USAGE
        )
    async with bus(session, nats) as connected:
        wanted = ids or [letter.id for letter in await _letters(connected, consumer)]
        for id in wanted:
            published = await connected.dead_letters.replay(id)
            note(f"{id} is message {published.sequence} of {published.stream} now")
    note(f"{len(wanted)} delivered again")
    return ExitCode.OK


def letter_table(letters: Sequence[DeadLetter]) -> RenderableType:
    """A line for each dead letter. Pure."""
    rows = [
        (letter.id, letter.event, f"{letter.died_at:%Y-%m-%d %H:%M:%S}", str(letter.deliveries), letter.reason)
        for letter in letters
    ]
    return grid(("ID", "EVENT", "GIVEN UP", "TRIES", "REASON"), rows)


def letter_report(letter: DeadLetter) -> RenderableType:
    """One dead letter in full. Pure."""
    rows = [
        ("event", letter.event),
        ("subject", letter.subject),
        ("from", f"message {letter.sequence} of {letter.stream}, stored {letter.stored_at}"),
        ("given up", f"{letter.died_at:%Y-%m-%d %H:%M:%S} by {letter.consumer} after {letter.deliveries} deliveries"),
        ("reason", letter.reason),
        ("replay", letter.replay_command),
    ]
    payload = json.dumps(_payload(letter.payload), indent=2, ensure_ascii=False)
    return Group(grid(("DEAD LETTER", letter.id), rows), Text(""), plain(payload))


def letter_document(letter: DeadLetter) -> JsonObject:
    """A dead letter for programs; a payload that is no JSON is given as base64."""
    return {
        "id": letter.id,
        "event": letter.event,
        "subject": letter.subject,
        "stream": letter.stream,
        "sequence": letter.sequence,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "deliveries": letter.deliveries,
        "storedAt": letter.stored_at,
        "givenUpAt": letter.died_at.isoformat(),
        "replay": letter.replay_command,
        "payload": _payload(letter.payload),
    }


async def _letters(connected: Bus, consumer: str) -> list[DeadLetter]:
    async with aclosing(connected.dead_letters.list(consumer=consumer or "*")) as letters:
        return [letter async for letter in letters]


def _payload(raw: bytes) -> Json:
    try:
        parsed: Json = json.loads(raw)
    except (ValueError, UnicodeDecodeError):
        return {"base64": base64.b64encode(raw).decode()}
    return parsed
