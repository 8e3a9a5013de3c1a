"""What goes to stdout: tables for people, JSON and YAML for programs. Understandable without colour, safe to pipe."""

import io
import json
import re
import sys
from collections.abc import Sequence
from enum import StrEnum

import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from steward.cli.environment import Environment
from steward.jsonvalue import Json

_PIPE_WIDTH = 200
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Format(StrEnum):
    """How output is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def clean(text: str) -> str:
    """`text` without control characters: what others wrote into the cluster must not steer a terminal."""
    return _CONTROL.sub("�", text)


def plain(text: str, style: str = "") -> Text:
    """`text` as it is: brackets in it are no markup."""
    return Text(clean(text), style=style)


def grid(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """A table without lines, as kubectl prints it. Where room is short the widest columns are folded."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        # The first column is what people copy.
        table.add_column(column, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def console(environment: Environment) -> Console:
    """The console that stdout is: as wide as the terminal, as COLUMNS says, or wide enough for a pipe."""
    width = None if environment.output_is_terminal or environment.columns else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def rendered(renderable: RenderableType, *, width: int = 100) -> str:
    """`renderable` as plain text, without colour and without blanks at the ends of lines."""
    sheet = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False, emoji=False)
    with sheet.capture() as capture:
        sheet.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def show(renderable: RenderableType, environment: Environment) -> None:
    """Print for people: coloured on a terminal, plain elsewhere."""
    sheet = console(environment)
    if environment.output_is_terminal:
        sheet.print(renderable)
    else:
        write(rendered(renderable, width=sheet.width))


def document(value: Json, format: Format) -> str:
    """`value` for programs."""
    if format is Format.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def write(text: str) -> None:
    """Exactly `text` to stdout, at once: the reader may be a pipe."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for people to stderr, where it is in nobody's way."""
    sys.stderr.write(f"{clean(text)}\n")
    sys.stderr.flush()


def show_document(value: Json, format: Format, table: RenderableType, environment: Environment) -> None:
    """The same thing in the format that was asked for."""
    if format is Format.TABLE:
        show(table, environment)
    else:
        write(document(value, format))
