"""How far proxies are, or would be, behind the control plane, in logical versions. Ahead of it is never supported."""

from services.upgrader.core.gates.verdict import Context, Finding, Verdict, failed, inconclusive, passed
from services.upgrader.core.logical import written
from services.upgrader.core.observations import VersionsSeen
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import VersionSkew


def judge(seen: VersionsSeen, settings: VersionSkew, context: Context) -> Verdict:
    """The proxies of today against the control plane as it will be."""
    found = [_finding(version, pods, settings, context) for version, pods in seen.proxies]
    findings = tuple(each for each in found if each is not None)
    if findings:
        return failed("TooFarBehind" if findings[0].name.startswith("behind/") else "ProxyAhead", findings)
    strangers = [str(version) for version, _ in seen.proxies if _steps(version, context) is None]
    if seen.unknown_proxies or strangers:
        what = f"{seen.unknown_proxies} proxies name no version" if seen.unknown_proxies else ""
        which = f"the logical version of {', '.join(strangers)} is not known" if strangers else ""
        message = " and ".join(each for each in (what, which) if each)
        remedy = "give their images a tag, or add logicalVersion to the ReleaseCatalog"
        return inconclusive("VersionUnknown", f"{message}: {remedy}")
    return passed(
        "WithinSkew", f"every proxy is within {settings.max_logical_versions} of {_named(context.target, context)}"
    )


def _steps(proxy: Version, context: Context) -> int | None:
    if proxy.channel == context.target.channel:
        return context.logical.steps(proxy, context.target)
    return None


def _finding(proxy: Version, pods: int, settings: VersionSkew, context: Context) -> Finding | None:
    steps = _steps(proxy, context)
    if proxy.channel == context.target.channel and proxy > context.target:
        message = f"{pods} proxies run {proxy}, which is ahead of {context.target}: choose a newer target"
        return Finding(f"ahead/{proxy}", message)
    if steps is None or steps <= settings.max_logical_versions:
        return None
    message = (
        f"{pods} proxies run {_named(proxy, context)} and would be {steps} logical versions behind "
        f"{_named(context.target, context)}: restart them under {context.source} first"
    )
    return Finding(f"behind/{proxy}", message)


def _named(version: Version, context: Context) -> str:
    return f"{version} ({written(context.logical.of_version(version))})"
