"""The commands of `alerts`."""

import typer

from steward.cli.alerts import channels, policies, silences
from steward.cli.alerts.explaining import explain
from steward.cli.alerts.listing import list_alerts
from steward.cli.alerts.objects import channels as list_channels
from steward.cli.alerts.objects import policies as list_policies
from steward.cli.alerts.packs import pack
from steward.cli.alerts.past import history, watch
from steward.cli.alerts.routes import route
from steward.cli.alerts.trying import try_channel
from steward.cli.options import remember

_HELP = """Be told when the mesh breaks: what fires, who is told, what is in force.

Mail me when fewer than 99.9 % of the requests to web succeed:

• linkerd steward alerts policy new --service web --success-rate 99.9 -n shop --apply

• linkerd steward alerts channel new mail --to me@acme.org --from mesh@acme.org --smarthost smtp:587 -n shop --apply

• linkerd steward alerts test mail -n shop
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
app.callback()(remember)
app.command("list")(list_alerts)
app.command("watch")(watch)
app.command("history")(history)
app.command("explain")(explain)
app.command("pack")(pack)
app.command("policies")(list_policies)
app.command("channels")(list_channels)
app.command("route")(route)
app.command("test")(try_channel)
app.add_typer(policies.app, name="policy")
app.add_typer(channels.app, name="channel")
app.add_typer(silences.app, name="silence")
