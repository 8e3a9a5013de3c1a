"""`linkerd check`: which categories are looked at for which flags, and what is printed."""

import sys
from contextlib import closing
from dataclasses import dataclass

from steward.clock import Clock
from steward.testing.linkerd.cli import extensions
from steward.testing.linkerd.cli.api import ApiRefused, Asked, Cluster, NotConfigured, login
from steward.testing.linkerd.cli.checks import (
    before_install,
    data_plane,
    existence,
    extension_namespaces,
    identity,
    kubernetes,
    versions,
)
from steward.testing.linkerd.cli.checks.check import Section, run
from steward.testing.linkerd.cli.flags import Command, Flag, Parsed, UsageError, duration, spelled
from steward.testing.linkerd.cli.report import HINTS, Category, Outcome, Report, Result, printed
from steward.testing.linkerd.cli.seen import Options, Seen
from steward.testing.linkerd.release import Release

CHECK = Command(
    "check",
    (
        Flag("cli-version-override", "string", "Used to override the version of the cli (mostly for testing)"),
        Flag("crds", "bool", "Only run checks which determine if the Linkerd CRDs have been installed"),
        Flag("expected-version", "string", "Overrides the version used when checking if Linkerd is running the latest"),
        Flag("linkerd-cni-enabled", "bool", "When running pre-installation checks (--pre), assume the plugin is there"),
        Flag("namespace", "string", "Namespace to use for --proxy checks (default: all namespaces)", "n"),
        Flag("output", "string", "Output format. One of: table, json, short", "o", "table"),
        Flag("pre", "bool", "Only run pre-installation checks, to determine if the control plane can be installed"),
        Flag("proxy", "bool", "Only run data-plane checks, to determine if the data plane is healthy"),
        Flag("wait", "duration", "Maximum allowed time for all tests to pass", default="5m0s"),
    ),
)
_FORMS = ("table", "json", "short")
_EXCLUSIVE = (("pre", "proxy"), ("pre", "crds"), ("crds", "proxy"))


@dataclass(frozen=True, slots=True)
class Executable:
    """What is fixed in one copy of the stand-in."""

    release: Release
    feed: str = ""
    manifests: str = ""
    """Directory of rendered manifests to install instead of the stand-in's own."""


def check(executable: Executable, parsed: Parsed, clock: Clock) -> int:
    """Run and print; 1 if something failed."""
    form = parsed.word("output", "table")
    if form not in _FORMS:
        raise UsageError(f"Invalid output type '{form}'. Supported output types are: {', '.join(_FORMS)}\n")
    for one, other in _EXCLUSIVE:
        if parsed.on(one) and parsed.on(other):
            raise UsageError(f"--{one} and --{other} flags are mutually exclusive\n")
    options = options_of(executable, parsed)
    reports = _reports(options, parsed, clock)
    sys.stdout.write(printed(reports, form))
    return 0 if all(report.success for report in reports) else 1


def options_of(executable: Executable, parsed: Parsed) -> Options:
    """The flags as a check reads them."""
    return Options(
        release=Release(parsed.word("cli-version-override") or executable.release.version),
        namespace=parsed.word("namespace"),
        control_plane=parsed.word("linkerd-namespace", "linkerd"),
        expected=parsed.word("expected-version"),
        feed=executable.feed,
        names_installation=not parsed.on("crds"),
        wait=duration(parsed.word("wait", "5m0s")),
    )


def asked(parsed: Parsed) -> Asked:
    """Which cluster, and as whom."""
    return Asked(
        kubeconfig=parsed.word("kubeconfig"),
        context=parsed.word("context"),
        user=parsed.word("as"),
        groups=parsed.all("as-group"),
    )


def _reports(options: Options, parsed: Parsed, clock: Clock) -> list[Report]:
    try:
        way = login(asked(parsed))
    except NotConfigured as problem:
        first = Result("can initialize the client", Outcome.ERROR, f"{HINTS}k8s-api", str(problem))
        return [Report((Category("kubernetes-api", (first,)),))]
    with closing(Cluster(way)) as cluster:
        seen = Seen(cluster, options, clock)
        core = run(_sections(options.release, parsed), seen)
        if parsed.on("pre") or parsed.on("crds"):
            return [core]
        return [core, *extensions.reports(_labelled(seen), parsed, spelled(options.wait))]


def _labelled(seen: Seen) -> list[str]:
    try:
        return list(extension_namespaces.by_extension(seen))
    except ApiRefused:
        return []


def _sections(release: Release, parsed: Parsed) -> list[Section]:
    if parsed.on("crds"):
        return [kubernetes.API, kubernetes.VERSION, existence.DEFINITIONS_ONLY, versions.VERSION]
    sections = [kubernetes.API, kubernetes.VERSION]
    if release.checks_gateway_api:
        sections.append(kubernetes.GATEWAY_API)
    if parsed.on("pre"):
        return [*sections, before_install.SETUP, versions.VERSION]
    sections += [existence.EXISTENCE, existence.CONFIG, identity.IDENTITY, identity.WEBHOOK_CERTIFICATES]
    if parsed.on("proxy"):
        sections += [identity.DATA_PLANE_IDENTITY, versions.VERSION, versions.CONTROL_PLANE_PROXIES]
        return [*sections, data_plane.DATA_PLANE, versions.HIGH_AVAILABILITY]
    sections += [versions.VERSION, versions.CONTROL_PLANE_VERSION, versions.CONTROL_PLANE_PROXIES]
    return [*sections, versions.HIGH_AVAILABILITY, extension_namespaces.EXTENSIONS]
