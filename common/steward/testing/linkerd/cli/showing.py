"""`linkerd version`: text only, and never a failure."""

import sys
from collections import Counter
from contextlib import closing

from steward.clock import Clock
from steward.kube.resources import PODS
from steward.testing.linkerd.cli.api import ApiRefused, Cluster, NotConfigured, login
from steward.testing.linkerd.cli.checking import Executable, asked, options_of
from steward.testing.linkerd.cli.checks.versions import control_plane_version
from steward.testing.linkerd.cli.flags import Command, Flag, Parsed
from steward.testing.linkerd.cli.seen import Seen, proxy_of, proxy_version
from steward.testing.linkerd.objects import CONTROL_PLANE_NS

VERSION = Command(
    "version",
    (
        Flag("client", "bool", "Print the client version only"),
        Flag("namespace", "string", "Namespace to use for --proxy versions (default: all namespaces)", "n"),
        Flag("proxy", "bool", "Print data-plane versions"),
        Flag("short", "bool", "Print the version number(s) only, with no additional output"),
    ),
)
_UNAVAILABLE = "unavailable"


def version(executable: Executable, parsed: Parsed, clock: Clock) -> int:
    """Print the versions of this executable, of the control plane and, if asked, of the proxies."""
    short = parsed.on("short")
    lines = [_line("Client version", executable.release.version, short=short)]
    if not parsed.on("client"):
        server, proxies = _of_cluster(executable, parsed, clock)
        lines.append(_line("Server version", server, short=short))
        if parsed.on("proxy"):
            lines += _proxy_lines(proxies, short=short)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _line(title: str, value: str, *, short: bool) -> str:
    return value if short else f"{title}: {value}"


def _of_cluster(executable: Executable, parsed: Parsed, clock: Clock) -> tuple[str, Counter[str]]:
    try:
        with closing(Cluster(login(asked(parsed)))) as cluster:
            seen = Seen(cluster, options_of(executable, parsed), clock)
            server = control_plane_version(seen) or _UNAVAILABLE
            proxies = _histogram(seen) if parsed.on("proxy") else Counter[str]()
    except (ApiRefused, NotConfigured):
        return _UNAVAILABLE, Counter()
    return server, proxies


def _histogram(seen: Seen) -> Counter[str]:
    labels = f"{CONTROL_PLANE_NS}={seen.options.control_plane}"
    pods = seen.all(PODS, seen.options.namespace, labels)
    return Counter(proxy_version(pod) for pod in pods if proxy_of(pod))


def _proxy_lines(proxies: Counter[str], *, short: bool) -> list[str]:
    if short:
        return sorted(proxies)
    if not proxies:
        return [f"Proxy versions: {_UNAVAILABLE}"]
    return ["Proxy versions:", *(f"\t{name} ({count} pods)" for name, count in sorted(proxies.items()))]
