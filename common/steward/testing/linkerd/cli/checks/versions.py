"""Which versions run, and which is the latest: the categories that speak of skew."""

from collections.abc import Callable, Sequence

from steward.jsonvalue import JsonObject, flag, text, whole
from steward.kube.resources import DEPLOYMENTS
from steward.testing.linkerd.cli.checks.check import Check, Section, Skipped
from steward.testing.linkerd.cli.latest import LatestUnknown, latest_version
from steward.testing.linkerd.cli.seen import Seen, pod_name, proxy_is_ready, proxy_of, proxy_version

_UNDETERMINED = "unable to determine version channel"


def _asked(seen: Seen) -> str:
    try:
        latest_version(seen)
    except LatestUnknown as unknown:
        return str(unknown)
    return ""


def _up_to_date(seen: Seen, version: str) -> str:
    try:
        latest = latest_version(seen)
    except LatestUnknown:
        return _UNDETERMINED
    if version == latest:
        return ""
    channel, _, number = version.partition("-")
    latest_channel, _, latest_number = latest.partition("-")
    if channel != latest_channel:
        return f"mismatched channels: running {version} but retrieved {latest}"
    return f"is running version {number} but the latest {channel} version is {latest_number}"


def _cli_up_to_date(seen: Seen) -> str:
    return _up_to_date(seen, seen.options.release.version)


def control_plane_version(seen: Seen) -> str:
    """What `linkerd-config` says is installed."""
    return text(seen.values, "linkerdVersion")


def _retrieved(seen: Seen) -> str:
    return "" if control_plane_version(seen) else "could not retrieve the version of the control plane"


def _control_plane_up_to_date(seen: Seen) -> str:
    return _up_to_date(seen, control_plane_version(seen))


def _control_plane_matches(seen: Seen) -> str:
    running, own = control_plane_version(seen), seen.options.release.version
    return "" if running == own else f"control plane running {running} but cli running {own}"


Pods = Callable[[Seen], Sequence[JsonObject]]


def with_proxy(pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Those that have one."""
    return [pod for pod in pods if proxy_of(pod)]


def control_plane_proxies(seen: Seen) -> list[JsonObject]:
    """Pods of the control plane that have a proxy."""
    return with_proxy(seen.control_plane_pods)


def healthy(pods: Sequence[JsonObject], namespace: str) -> str:
    """Why one of the proxies is not ready; without any proxy that is the reason."""
    if not pods:
        where = f' in the "{namespace}" namespace' if namespace else ""
        return f'no "linkerd-proxy" containers found{where}'
    for pod in pods:
        phase = text(pod, "status", "phase")
        if phase != "Running":
            return f'pod "{pod_name(pod)}" status is {phase}'
        if not proxy_is_ready(pod):
            return f'container "linkerd-proxy" in pod "{pod_name(pod)}" is not ready'
    return ""


def up_to_date(pods: Pods) -> Callable[[Seen], str]:
    """Every proxy runs the latest version."""

    def find(seen: Seen) -> str:
        old = []
        for pod in pods(seen):
            problem = _up_to_date(seen, proxy_version(pod))
            if problem == _UNDETERMINED:
                return problem
            if problem:
                old.append(f"* {pod_name(pod)} ({proxy_version(pod)})")
        if not old:
            return ""
        return "some proxies are not running the current version:\n\t" + "\n\t".join(old)

    return find


def matching(pods: Pods) -> Callable[[Seen], str]:
    """Every proxy has the version of this executable; the first that has not is named."""

    def find(seen: Seen) -> str:
        own = seen.options.release.version
        for pod in pods(seen):
            if proxy_version(pod) != own:
                return f"{pod_name(pod)} running {proxy_version(pod)} but cli running {own}"
        return ""

    return find


def _replicas(seen: Seen) -> str:
    if not flag(seen.values, "highAvailability"):
        raise Skipped
    few = [
        text(one, "metadata", "name")
        for one in seen.all(DEPLOYMENTS, seen.options.control_plane)
        if whole(one, "status", "availableReplicas") <= 1
    ]
    return f"not enough replicas available for [{' '.join(few)}]" if few else ""


VERSION = Section(
    "linkerd-version",
    (
        Check("can determine the latest version", "l5d-version-latest", _asked, warning=True),
        Check("cli is up-to-date", "l5d-version-cli", _cli_up_to_date, warning=True),
    ),
)
CONTROL_PLANE_VERSION = Section(
    "control-plane-version",
    (
        Check("can retrieve the control plane version", "l5d-version-control", _retrieved, fatal=True),
        Check("control plane is up-to-date", "l5d-version-control", _control_plane_up_to_date, warning=True),
        Check("control plane and cli versions match", "l5d-version-control", _control_plane_matches, warning=True),
    ),
)
CONTROL_PLANE_PROXIES = Section(
    "linkerd-control-plane-proxy",
    (
        Check(
            "control plane proxies are healthy",
            "l5d-cp-proxy-healthy",
            lambda seen: healthy(control_plane_proxies(seen), seen.options.control_plane),
            fatal=True,
            retried=True,
        ),
        Check(
            "control plane proxies are up-to-date",
            "l5d-cp-proxy-version",
            up_to_date(control_plane_proxies),
            warning=True,
        ),
        Check(
            "control plane proxies and cli versions match",
            "l5d-cp-proxy-cli-version",
            matching(control_plane_proxies),
            warning=True,
        ),
    ),
)
HIGH_AVAILABILITY = Section(
    "linkerd-ha-checks",
    (Check("multiple replicas of control plane pods", "l5d-control-plane-replicas", _replicas, warning=True),),
)
