"""The commands of `alerts`; `group` imports them when somebody asks for one."""

import typer

from steward.cli.alerts import channels, policies, silences
from steward.cli.alerts.checking import check
from steward.cli.alerts.explaining import explain
from steward.cli.alerts.listing import list_alerts
from steward.cli.alerts.objects import channels as list_channels
from steward.cli.alerts.objects import policies as list_policies
from steward.cli.alerts.packs import pack, runbook
from steward.cli.alerts.past import history, watch
from steward.cli.alerts.renders import render
from steward.cli.alerts.routes import route
from steward.cli.alerts.status import status
from steward.cli.alerts.trying import try_channel
from steward.cli.options import remember

app = typer.Typer(no_args_is_help=True)
app.callback()(remember)
app.command("status")(status)
app.command("list")(list_alerts)
app.command("watch")(watch)
app.command("history")(history)
app.command("explain")(explain)
app.command("pack")(pack)
app.command("runbook")(runbook)
app.command("policies")(list_policies)
app.command("channels")(list_channels)
app.command("check")(check)
app.command("render")(render)
app.command("route")(route)
app.command("test")(try_channel)
app.add_typer(policies.app, name="policy")
app.add_typer(channels.app, name="channel")
app.add_typer(silences.app, name="silence")
