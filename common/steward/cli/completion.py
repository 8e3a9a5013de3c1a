"""`completion`: the script that makes a shell complete commands and flags."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # public there, though not declared

from steward.cli.exit_codes import ExitCode
from steward.cli.options import Session, leaf
from steward.cli.output import write


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@leaf
async def completion(
    session: Session,  # noqa: ARG001 (every command has one)
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell to complete in.")],
) -> ExitCode:
    """Print the completion script of a shell.

    Example: linkerd-steward completion bash > /etc/bash_completion.d/linkerd-steward
    """
    script = get_completion_script(
        prog_name="linkerd-steward", complete_var="_LINKERD_STEWARD_COMPLETE", shell=shell.value
    )
    write(f"{script}\n")
    return ExitCode.OK
