"""The group `alerts` as the tree of commands has it: its commands bring the renderers of rules and routes, later."""

from collections.abc import MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from steward.cli.later import Later
from steward.cli.options import remember

_HELP = """Be told when the mesh breaks: what fires, who is told, what is in force.

Mail me when fewer than 99.9 % of the requests to web succeed:

• linkerd steward alerts policy new --service web --success-rate 99.9 -n shop --apply

• linkerd steward alerts channel new mail --to me@acme.org --from mesh@acme.org --smarthost smtp:587 -n shop --apply

• linkerd steward alerts test mail -n shop
"""


class _Alerts(TyperGroup):
    def __init__(self, **attributes: Any) -> None:  # as typer gives them, and takes them
        super().__init__(**attributes)
        self.commands = Later(_commands)


def _commands() -> MutableMapping[str, Any]:  # typer has no public name for a command of any kind
    from steward.cli.alerts.app import app as whole  # takes a quarter of a second, which only `alerts` should

    return get_group(whole).commands


app = typer.Typer(no_args_is_help=True, help=_HELP, cls=_Alerts)
app.callback()(remember)
