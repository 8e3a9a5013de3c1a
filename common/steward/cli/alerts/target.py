"""The monitoring that something is rendered for, as the command line names it. Pure."""

from dataclasses import dataclass
from typing import Annotated

import typer

from steward.alerting.families import catalogue
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.linkerd.version import MalformedVersion, Version

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
