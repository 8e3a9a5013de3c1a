"""What the shell is offered: names of alerts, and of channels and policies where the cluster says them soon enough."""

import asyncio
from dataclasses import fields
from datetime import timedelta
from typing import Annotated

import typer

from steward.alerting.runbooks import runbook_names
from steward.cli.connection import cluster
from steward.cli.environment import Environment
from steward.cli.options import Flags, Session
from steward.clock import SystemClock
from steward.errors import StewardError
from steward.jsonvalue import text
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, Resource

_SOON = timedelta(seconds=5)


def alert_names(incomplete: str) -> list[str]:
    """Alerts that are known without a cluster."""
    return [each for each in runbook_names() if each.startswith(incomplete)]


Alert = Annotated[str, typer.Option("--alert", help="Only this alert.", metavar="NAME", autocompletion=alert_names)]


def channel_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """AlertChannels of the cluster."""
    return _names(ctx, ALERT_CHANNELS, incomplete)


def policy_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """AlertPolicies of the cluster."""
    return _names(ctx, ALERT_POLICIES, incomplete)


def _names(ctx: typer.Context, resource: Resource, incomplete: str) -> list[str]:
    """Whoever presses a key wants no error message: what cannot be asked is not offered."""
    try:
        found = asyncio.run(_asked(_session(ctx), resource, str(ctx.params.get("namespace") or "")))
    except (StewardError, TimeoutError):
        return []
    return sorted({each for each in found if each.startswith(incomplete)})


async def _asked(session: Session, resource: Resource, namespace: str) -> list[str]:
    async with asyncio.timeout(_SOON.total_seconds()), cluster(session) as kube:
        listing = await kube.list(resource, namespace or None)
    return [text(each, "metadata", "name") for each in listing.items]


def _session(ctx: typer.Context) -> Session:
    flags = Flags()
    # The parents are contexts of a kind that typer has no public name for.
    around = [ctx.params]
    parent = ctx.parent
    while parent is not None:
        around.append(parent.params)
        parent = parent.parent
    for params in around:
        given = {each.name: params.get(each.name) for each in fields(Flags)}
        flags = flags.over(Flags(**{name: value for name, value in given.items() if value}))
    return Session(flags, Environment.read(), SystemClock())
