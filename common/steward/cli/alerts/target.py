"""The monitoring that something is rendered for, as the command line names it. Pure."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

import typer

from steward.alerting.families import catalogue
from steward.alerting.monitoring import NUMBER, Monitoring, ScrapeKind, ScrapeProfile
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.go_flags import duration
from steward.linkerd.version import MalformedVersion, Version

NEWEST: NUMBER = (999,)
"""An Alertmanager that knows everything; where nobody asks it, nothing is refused for its sake."""
_NUMBER = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_DISPLACED = "exported_namespace"


@dataclass(frozen=True, slots=True)
class For:
    """Which Linkerd, and which scrape configuration."""

    linkerd: Annotated[
        str,
        typer.Option(
            "--linkerd", help="For this Linkerd, such as 2.18 or edge-26.8.3; else for any.", metavar="VERSION"
        ),
    ] = ""
    scrape: Annotated[
        ScrapeKind,
        typer.Option(
            "--scrape",
            help="For this scrape configuration.",
            case_sensitive=False,
            metavar="Steward|Viz|PodMonitor|Federation|Custom",
        ),
    ] = ScrapeKind.STEWARD

    def monitoring(self, linkerd_namespace: str) -> Monitoring:
        """As rules are rendered for it."""
        return Monitoring(profile(self.scrape), linkerd=version(self.linkerd), linkerd_namespace=linkerd_namespace)


@dataclass(frozen=True, slots=True)
class Fit(For):
    """The same, and which Prometheus and Alertmanager."""

    retention: Annotated[
        str, typer.Option("--retention", help="How long Prometheus remembers.", metavar="DURATION")
    ] = "15d"
    alertmanager_version: Annotated[
        str,
        typer.Option(
            "--alertmanager-version", help="For this Alertmanager, such as 0.27; else the newest.", metavar="X.Y"
        ),
    ] = ""

    def monitoring(self, linkerd_namespace: str) -> Monitoring:
        """As rules are rendered for it."""
        # With slots, a dataclass is made anew, and `super()` would look for the one that was.
        return replace(
            For.monitoring(self, linkerd_namespace), retention=self.remembers, alertmanager=self.alertmanager
        )

    @property
    def remembers(self) -> timedelta:
        """How far back queries can look."""
        try:
            return duration(self.retention)
        except ValueError as error:
            raise Refusal(f"--retention {self.retention!r}: {error}", "write it like 15d", ExitCode.USAGE) from error

    @property
    def alertmanager(self) -> NUMBER:
        """Its version."""
        if not self.alertmanager_version:
            return NEWEST
        match = _NUMBER.fullmatch(self.alertmanager_version)
        if match is None:
            raise Refusal(
                f"--alertmanager-version {self.alertmanager_version!r} is no version",
                "write it like 0.27",
                ExitCode.USAGE,
            )
        return tuple(int(each or 0) for each in match.groups())


def profile(kind: ScrapeKind) -> ScrapeProfile:
    """The profile of a kind, as it is where nobody changed anything."""
    if kind is ScrapeKind.POD_MONITOR:
        # The operator adds the target's namespace, which displaces the metric's own.
        return ScrapeProfile(kind, own_namespace=_DISPLACED)
    return ScrapeProfile(kind)


def version(written: str) -> Version | None:
    """A release, or the edge that a 2.X begins with; None where nothing is written."""
    begins = {each.name: each.edge for each in catalogue().knowledge.logical}
    if not written or written in begins:
        return begins.get(written)
    try:
        return Version.parse(written)
    except MalformedVersion as error:
        known = f"{', '.join(begins)}, or a release such as edge-26.8.3"
        raise Refusal(
            f"--linkerd {written!r} is no version of Linkerd", f"known are {known}", ExitCode.USAGE
        ) from error
