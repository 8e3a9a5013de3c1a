"""`alerts silence`: tell nobody of some alerts for a while, see who did so, end it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from steward.cli.alerts.current import CurrentAlert, moment
from steward.cli.alerts.matchers import matchers, spelled_out
from steward.cli.alerts.reach import Alertmanagers, alertmanager
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import duration, spelled
from steward.cli.options import Output, Session, leaf, remember
from steward.cli.output import Format, grid, note, plain, show_document, write
from steward.jsonvalue import Json, JsonObject, rows, text
from steward.monitoring.alertmanager import Alertmanager

app = typer.Typer(
    no_args_is_help=True,
    help="Tell nobody of some alerts for a while.\n\n"
    "Example: linkerd steward alerts silence add namespace=shop --for 2h",
)
app.callback()(remember)

_EXPIRED = "expired"
_STYLES = {"active": "green", "pending": "cyan", _EXPIRED: "dim"}
_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long, and why."""

    lasting: Annotated[str, typer.Option("--for", help="For how long, such as 2h or 7d.", metavar="DURATION")] = "2h"
    comment: Annotated[str, typer.Option("--comment", help="Why, for those who wonder.", metavar="TEXT")] = ""
    author: Annotated[
        str, typer.Option("--author", help="Who says so; else --as, else the user of this machine.", metavar="NAME")
    ] = ""

    @property
    def span(self) -> timedelta:
        """How long."""
        try:
            found = duration(self.lasting)
        except ValueError as error:
            raise Refusal(f"--for {self.lasting!r}: {error}", "write it like 2h or 7d", ExitCode.USAGE) from error
        if not found:
            raise Refusal("--for 0 is no time", "write it like 2h or 7d", ExitCode.USAGE)
        return found


@app.command("add")
@leaf
async def add(
    session: Session,
    terms: Terms,
    where: Alertmanagers,
    conditions: Annotated[
        list[str],
        typer.Argument(
            metavar="LABEL=VALUE…", help="All must hold; also !=, =~ and !~. A word by itself is an alert's name."
        ),
    ],
    output: Output = Format.TABLE,
) -> ExitCode:
    """Silence alerts: nobody is told of them, and they still fire.

    Prints the id of the silence.

    Example: linkerd steward alerts silence add namespace=shop severity=warning --for 2h --comment 'moving house'
    """
    begin = session.clock.now()
    author = terms.author or session.flags.as_user or session.environment.user or "linkerd-steward"
    wanted: list[Json] = [*matchers(conditions)]
    silence: JsonObject = {
        "matchers": wanted,
        "startsAt": begin.isoformat(),
        "endsAt": (begin + terms.span).isoformat(),
        "createdBy": author,
        "comment": terms.comment or f"by {author} with linkerd steward alerts silence add",
    }
    async with alertmanager(session, where) as api:
        silence["id"] = await api.silence(silence)
        quiet = await _silenced_by(api, text(silence, "id"))
    if quiet:
        names = sorted({each.alert for each in quiet})
        note(f"{len(quiet)} alerts that fire now are silenced: {', '.join(names)}")
    else:
        note("no alert that fires now fits; those to come will be silenced")
    note(f"hint: end it with: linkerd steward alerts silence expire {text(silence, 'id')}")
    if output is Format.TABLE:
        write(f"{text(silence, 'id')}\n")
    else:
        show_document(silence, output, "", session.environment)
    return ExitCode.OK


@app.command("list")
@leaf
async def list_silences(
    session: Session,
    where: Alertmanagers,
    *,
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over, too.")] = False,
    output: Output = Format.TABLE,
) -> ExitCode:
    """List silences: what each silences, until when, who made it and why.

    Example: linkerd steward alerts silence list
    """
    async with alertmanager(session, where) as api:
        found = await api.silences()
    silences = [each for each in found if expired or _state(each) != _EXPIRED]
    silences.sort(key=lambda each: (_state(each) == _EXPIRED, moment(text(each, "endsAt")), text(each, "id")))
    if not silences and output is Format.TABLE:
        note("nothing is silenced")
        return ExitCode.OK
    show_document({"items": [*silences]}, output, _table(silences, session.clock.now()), session.environment)
    return ExitCode.OK


@app.command("expire")
@leaf
async def expire(
    session: Session,
    where: Alertmanagers,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID…", help="As silence list shows them; the beginning is enough.")
    ],
) -> ExitCode:
    """End silences at once.

    Example: linkerd steward alerts silence expire 4f2a91d7
    """
    async with alertmanager(session, where) as api:
        living = [each for each in await api.silences() if _state(each) != _EXPIRED]
        for silence in [_the_silence(living, each) for each in ids]:
            await api.expire(text(silence, "id"))
            note(f"silence {text(silence, 'id')} is over: {_conditions(silence)}")
    return ExitCode.OK


async def _silenced_by(api: Alertmanager, silence: str) -> list[CurrentAlert]:
    found = [CurrentAlert.of(each) for each in await api.alerts()]
    return [each for each in found if silence in each.silenced_by]


def _the_silence(living: Sequence[JsonObject], wanted: str) -> JsonObject:
    fitting = [each for each in living if text(each, "id").startswith(wanted)]
    exact = [each for each in fitting if text(each, "id") == wanted]
    if exact:
        return exact[0]
    if not fitting:
        raise Refusal(
            f"there is no silence {wanted!r} in force", "linkerd steward alerts silence list", ExitCode.NOT_FOUND
        )
    if len(fitting) > 1 or len(wanted) < _SHORTEST_PREFIX:
        raise Refusal(f"{wanted!r} fits {len(fitting)} silences", "give more of the id", ExitCode.USAGE)
    return fitting[0]


def _table(silences: Sequence[JsonObject], now: datetime) -> RenderableType:
    lines: list[tuple[str | Text, ...]] = [
        (
            text(each, "id"),
            plain(_state(each), _STYLES.get(_state(each), "")),
            _left(each, now),
            text(each, "createdBy"),
            _conditions(each),
            text(each, "comment"),
        )
        for each in silences
    ]
    return grid(("ID", "STATE", "ENDS IN", "BY", "SILENCES", "COMMENT"), lines)


def _left(silence: JsonObject, now: datetime) -> str:
    return "-" if _state(silence) == _EXPIRED else spelled(moment(text(silence, "endsAt")) - now)


def _conditions(silence: JsonObject) -> str:
    return " ".join(spelled_out(each) for each in rows(silence, "matchers"))


def _state(silence: JsonObject) -> str:
    return text(silence, "status", "state")
