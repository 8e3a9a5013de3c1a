"""`alerts policy new`: an AlertPolicy from a few flags."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from steward.alerting.rules import Severity
from steward.cli.alerts.making import Manner, make_policy, part
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import duration
from steward.cli.options import Session, leaf, remember
from steward.resources.alert_policy import (
    AlertPolicySpec,
    ControlPlane,
    Granularity,
    LatencyObjective,
    Objective,
    Side,
    TargetKind,
    TargetRef,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Write AlertPolicies.\n\nExample: linkerd steward alerts policy new --service web --success-rate 99.9 --apply",
)
app.callback()(remember)

_LATENCY = re.compile(r"(?P<within>[^@]+)@(?P<percent>[0-9]+(\.[0-9]+)?)%?")
_CONTROL_PLANE = "control-plane"


@dataclass(frozen=True, slots=True)
class For:
    """What the objectives are for; each may be given several times."""

    service: Annotated[list[str] | None, typer.Option("--service", help="This Service.", metavar="NAME")] = None
    profile: Annotated[
        list[str] | None, typer.Option("--service-profile", help="This ServiceProfile.", metavar="NAME")
    ] = None
    http_route: Annotated[list[str] | None, typer.Option("--http-route", help="This HTTPRoute.", metavar="NAME")] = None
    grpc_route: Annotated[list[str] | None, typer.Option("--grpc-route", help="This GRPCRoute.", metavar="NAME")] = None
    control_plane: Annotated[
        bool, typer.Option("--control-plane", help="Linkerd itself: the pack of alerts that is shipped.")
    ] = False

    @property
    def targets(self) -> tuple[TargetRef, ...]:
        """As the policy names them."""
        named = {
            TargetKind.SERVICE: self.service,
            TargetKind.SERVICE_PROFILE: self.profile,
            TargetKind.HTTP_ROUTE: self.http_route,
            TargetKind.GRPC_ROUTE: self.grpc_route,
        }
        return tuple(part(TargetRef, kind=kind, name=name) for kind, names in named.items() for name in names or [])


@dataclass(frozen=True, slots=True)
class Promise:
    """How well they must do."""

    success_rate: Annotated[
        float | None, typer.Option("--success-rate", help="So many of 100 requests succeed.", metavar="PERCENT")
    ] = None
    latency: Annotated[
        list[str] | None,
        typer.Option(
            "--latency",
            help="So fast come so many of 100 answers, such as 500ms@99; repeatable.",
            metavar="TIME@PERCENT",
        ),
    ] = None
    window: Annotated[str, typer.Option(help="Over how long.", metavar="DURATION")] = "30d"
    per_route: Annotated[bool, typer.Option("--per-route", help="For each route of the target by itself.")] = False
    side: Annotated[
        Side,
        typer.Option(
            help="By the proxies of those who call, or by those of the service.",
            case_sensitive=False,
            metavar="Client|Server",
        ),
    ] = Side.CLIENT
    minimum_rps: Annotated[
        float, typer.Option("--minimum-rps", help="With fewer requests a second nobody is told.", metavar="NUMBER")
    ] = 0.1

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """As the policy names them."""
        seconds = round(_span("--window", self.window).total_seconds())
        found = [_latency(each, seconds) for each in self.latency or []]
        if self.success_rate is not None:
            success = part(Objective, name="success-rate", success_percent=self.success_rate, window_seconds=seconds)
            found.insert(0, success)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Who:
    """Whom it concerns."""

    severity: Annotated[
        Severity, typer.Option(help="Of what burns fast; what burns slowly warns.", metavar="critical|warning|info")
    ] = Severity.CRITICAL
    team: Annotated[str, typer.Option(help="Label `team` of the alerts, for channels.", metavar="NAME")] = ""


@app.command("new")
@leaf
async def new(session: Session, target: For, promise: Promise, who: Who, manner: Manner) -> ExitCode:
    """Print an AlertPolicy, or apply it: objectives of services and routes, the alerts of the control plane.

    With --apply it ends with 0 where the policy is in force, 1 where it is refused, 4 where nobody says so in time.

    Example: linkerd steward alerts policy new --service web --success-rate 99.9 --latency 500ms@99 -n shop --apply
    """
    targets, objectives = target.targets, promise.objectives
    _check(targets, objectives, control_plane=target.control_plane)
    spec = part(
        AlertPolicySpec,
        control_plane=ControlPlane() if target.control_plane else None,
        targets=targets,
        objectives=objectives,
        granularity=Granularity.ROUTE if promise.per_route else Granularity.TARGET,
        side=promise.side,
        minimum_requests_per_second=promise.minimum_rps,
        severity=who.severity,
        team=who.team,
    )
    return await make_policy(session, spec, manner, targets[0].name if targets else _CONTROL_PLANE)


def _check(targets: Sequence[TargetRef], objectives: Sequence[Objective], *, control_plane: bool) -> None:
    if targets and not objectives:
        raise Refusal(
            f"what is promised of {targets[0].kind.value} {targets[0].name!r} is not said",
            "give --success-rate 99.9, or --latency 500ms@99",
            ExitCode.USAGE,
        )
    if objectives and not targets:
        raise Refusal(
            "an objective needs something that it is for",
            "name it with --service, such as --service web",
            ExitCode.USAGE,
        )
    if not targets and not control_plane:
        raise Refusal(
            "a policy says something", "give --service with --success-rate, or --control-plane", ExitCode.USAGE
        )


def _latency(written: str, window: int) -> Objective:
    match = _LATENCY.fullmatch(written.strip())
    if match is None:
        raise Refusal(f"--latency {written!r} is no objective", "write it like 500ms@99", ExitCode.USAGE)
    within = _span("--latency", match["within"]) / timedelta(milliseconds=1)
    if within != round(within):
        raise Refusal(f"--latency {written!r}: no part of a millisecond is measured", "write 500ms@99", ExitCode.USAGE)
    latency = part(LatencyObjective, within_milliseconds=round(within), percent=float(match["percent"]))
    return part(Objective, name=f"latency-{round(within)}ms", latency=latency, window_seconds=window)


def _span(flag: str, written: str) -> timedelta:
    try:
        return duration(written)
    except ValueError as error:
        raise Refusal(f"{flag} {written!r}: {error}", "write it like 500ms, 2h or 30d", ExitCode.USAGE) from error
