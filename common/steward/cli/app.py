"""The tree of commands."""

import sys

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # public there, though not declared

from steward.cli import dead_letters, events, handlers, plans, upgrade
from steward.cli.alerts import group as alerts
from steward.cli.check_command import check
from steward.cli.completion import completion
from steward.cli.conformance import app as conformance
from steward.cli.exit_codes import MEANINGS
from steward.cli.go_flags import spelled_out
from steward.cli.install import install, uninstall
from steward.cli.options import remember
from steward.cli.releases import releases
from steward.cli.version import version

NAME = "linkerd-steward"
_EXIT_CODES = ", ".join(f"{int(code)} {meaning}" for code, meaning in MEANINGS.items())

app = typer.Typer(
    name=NAME,
    help="Keep Linkerd current: follow its releases, upgrade by plan, prove every proxy.",
    epilog=f"Exit codes: {_EXIT_CODES}. As `linkerd steward` every code but 0 becomes 1.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(remember)
app.command()(install)
app.command()(uninstall)
# Linkerd may hand on flags that this version does not know: a check must not fail for that.
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(check)
app.command()(version)
app.command()(releases)
app.add_typer(upgrade.app, name="upgrade")
app.add_typer(plans.app, name="plans")
app.add_typer(conformance.app, name="conformance")
app.add_typer(alerts.app, name="alerts")
app.add_typer(events.app, name="events")
app.add_typer(handlers.app, name="handlers")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(completion)


def run() -> None:
    """Read the command line and do what it says; ends the process with the command's exit code."""
    completion_init()
    app(args=spelled_out(sys.argv[1:]), prog_name=NAME)
