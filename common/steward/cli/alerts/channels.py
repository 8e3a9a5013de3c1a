"""`alerts channel new`: an AlertChannel from a few flags. A secret is only ever named, as SECRET:KEY."""

from dataclasses import dataclass
from typing import Annotated

import typer

from steward.alerting.channels.model import secrets_of
from steward.alerting.rules import Severity
from steward.cli.alerts.making import Manner, make_channel, namespace_of, part
from steward.cli.alerts.matchers import labels
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Session, leaf, remember
from steward.cli.output import note
from steward.resources.alert_channel import (
    AlertChannelSpec,
    EmailChannel,
    Match,
    PagerDutyChannel,
    SecretRef,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
)

app = typer.Typer(no_args_is_help=True, help="Write AlertChannels.")
kinds = typer.Typer(
    no_args_is_help=True,
    help="Print an AlertChannel, or apply it.\n\n"
    "Example: linkerd steward alerts channel new mail --to ops@acme.org --from mesh@acme.org --smarthost smtp:587",
)
app.callback()(remember)
kinds.callback()(remember)
app.add_typer(kinds, name="new")


@dataclass(frozen=True, slots=True)
class Gets:
    """Which alerts the channel gets; all where nothing is said, but outside Steward's namespace only about its own."""

    severity: Annotated[
        list[Severity] | None,
        typer.Option("--severity", help="Only this severity; repeatable.", metavar="critical|warning|info"),
    ] = None
    team: Annotated[
        list[str] | None, typer.Option("--team", help="Only alerts of this team; repeatable.", metavar="NAME")
    ] = None
    about: Annotated[
        list[str] | None, typer.Option("--about", help="Only alerts about this namespace; repeatable.", metavar="NAME")
    ] = None
    alert: Annotated[list[str] | None, typer.Option("--alert", help="Only this alert; repeatable.", metavar="NAME")] = (
        None
    )
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Only alerts with this label; repeatable.", metavar="NAME=VALUE")
    ] = None

    @property
    def match(self) -> Match:
        """As the channel says it."""
        return part(
            Match,
            severities=tuple(self.severity or ()),
            namespaces=tuple(self.about or ()),
            teams=tuple(self.team or ()),
            alerts=tuple(self.alert or ()),
            labels=labels(self.label or ()),
        )


@dataclass(frozen=True, slots=True)
class Mail:
    """By whom the mail goes, and to whom."""

    to: Annotated[list[str], typer.Option("--to", help="Who gets it; repeatable.", metavar="ADDRESS")]
    sender: Annotated[str, typer.Option("--from", help="Who is said to have sent it.", metavar="ADDRESS")]
    smarthost: Annotated[str, typer.Option("--smarthost", help="The mail server.", metavar="HOST:PORT")]
    username: Annotated[str, typer.Option("--username", help="What the mail server knows us as.", metavar="NAME")] = ""
    password: Annotated[str, typer.Option("--password-secret", help="Where its password is.", metavar="SECRET:KEY")] = (
        ""
    )
    plaintext: Annotated[bool, typer.Option("--without-tls", help="Do not insist on an encrypted way there.")] = False


@kinds.command("mail")
@leaf
async def mail(session: Session, by: Mail, gets: Gets, manner: Manner) -> ExitCode:
    """Tell by mail.

    Example: linkerd steward alerts channel new mail --to ops@acme.org --from mesh@acme.org --smarthost smtp:587
    """
    password = _secret("--password-secret", by.password)
    if (password is None) != (not by.username):
        raise Refusal(
            "a username needs a password, and a password a username",
            "give both --username and --password-secret, or neither",
            ExitCode.USAGE,
        )
    email = part(
        EmailChannel,
        to=tuple(by.to),
        sender=by.sender,
        smarthost=by.smarthost,
        username=by.username,
        password=password,
        require_tls=not by.plaintext,
    )
    return await _make(session, AlertChannelSpec(email=email, match=gets.match), manner, "mail")


@kinds.command("slack")
@leaf
async def slack(
    session: Session,
    gets: Gets,
    manner: Manner,
    channel: Annotated[str, typer.Option(help="Such as #mesh; a webhook knows its own.", metavar="NAME")] = "",
    webhook: Annotated[
        str, typer.Option("--webhook-secret", help="Where the address of an incoming webhook is.", metavar="SECRET:KEY")
    ] = "",
    token: Annotated[
        str, typer.Option("--token-secret", help="Where a bot's token is; needs --channel.", metavar="SECRET:KEY")
    ] = "",
) -> ExitCode:
    """Tell in Slack, by an incoming webhook or by a bot.

    Example: linkerd steward alerts channel new slack --webhook-secret slack:url --severity critical
    """
    _exactly_one("--webhook-secret", webhook, "--token-secret", token)
    if token and not channel:
        raise Refusal("a bot needs to be told the channel", "give --channel, such as '#mesh'", ExitCode.USAGE)
    told = part(
        SlackChannel,
        channel=channel,
        webhook=_secret("--webhook-secret", webhook),
        bot_token=_secret("--token-secret", token),
    )
    return await _make(session, AlertChannelSpec(slack=told, match=gets.match), manner, "slack")


@kinds.command("pagerduty")
@leaf
async def pagerduty(
    session: Session,
    gets: Gets,
    manner: Manner,
    key: Annotated[str, typer.Option("--routing-key-secret", help="Where the routing key is.", metavar="SECRET:KEY")],
) -> ExitCode:
    """Page by PagerDuty, Events API v2.

    Example: linkerd steward alerts channel new pagerduty --routing-key-secret pagerduty:key --severity critical
    """
    pages = part(PagerDutyChannel, routing_key=_secret("--routing-key-secret", key))
    return await _make(session, AlertChannelSpec(pager_duty=pages, match=gets.match), manner, "pagerduty")


@kinds.command("webhook")
@leaf
async def webhook(
    session: Session,
    gets: Gets,
    manner: Manner,
    url: Annotated[str, typer.Option("--url", help="The address, where it is no secret.", metavar="URL")] = "",
    secret: Annotated[
        str, typer.Option("--url-secret", help="Where the address is, where it is one.", metavar="SECRET:KEY")
    ] = "",
    token: Annotated[str, typer.Option("--token-secret", help="Where a bearer token is.", metavar="SECRET:KEY")] = "",
) -> ExitCode:
    """Post Alertmanager's own JSON to a webhook.

    Example: linkerd steward alerts channel new webhook --url https://hooks.acme.org/mesh
    """
    _exactly_one("--url", url, "--url-secret", secret)
    told = part(
        WebhookChannel,
        url=url or None,
        url_from=_secret("--url-secret", secret),
        bearer_token=_secret("--token-secret", token),
    )
    return await _make(session, AlertChannelSpec(webhook=told, match=gets.match), manner, "webhook")


@kinds.command("teams")
@leaf
async def teams(
    session: Session,
    gets: Gets,
    manner: Manner,
    webhook: Annotated[
        str,
        typer.Option("--webhook-secret", help="Where the address of a workflow's webhook is.", metavar="SECRET:KEY"),
    ],
) -> ExitCode:
    """Tell in Microsoft Teams, by a workflow's webhook.

    Example: linkerd steward alerts channel new teams --webhook-secret teams:url
    """
    told = part(TeamsChannel, webhook=_secret("--webhook-secret", webhook))
    return await _make(session, AlertChannelSpec(teams=told, match=gets.match), manner, "teams")


async def _make(session: Session, spec: AlertChannelSpec, manner: Manner, name: str) -> ExitCode:
    code = await make_channel(session, spec, manner, name)
    namespace = namespace_of(session, manner.namespace)
    for secret in _secrets_of(spec):
        # From a file or a pipe: what stands on a command line stays in its history.
        note(
            f"hint: it needs Secret '{namespace}/{secret.name}' with entry {secret.key!r}: kubectl -n {namespace} "
            f"create secret generic {secret.name} --from-file={secret.key}=/dev/stdin"
        )
    return code


def _secrets_of(spec: AlertChannelSpec) -> tuple[SecretRef, ...]:
    told = (spec.email, spec.slack, spec.pager_duty, spec.webhook, spec.teams)
    return tuple(secret for each in told for secret in secrets_of(each))


def _secret(flag: str, written: str) -> SecretRef | None:
    if not written:
        return None
    name, colon, key = written.partition(":")
    if not (name and colon and key) or "/" in written:
        # Perhaps it is the secret itself, so it is not repeated.
        raise Refusal(
            f"{flag} does not name an entry of a Secret",
            "write the names of the Secret and of its entry, like slack:url",
            ExitCode.USAGE,
        )
    return part(SecretRef, name=name, key=key)


def _exactly_one(one: str, given: str, other: str, also: str) -> None:
    if bool(given) is bool(also):
        raise Refusal(
            f"give exactly one of {one} and {other}", "linkerd steward alerts channel new --help", ExitCode.USAGE
        )
