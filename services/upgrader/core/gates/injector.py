"""Would a pod made now get the proxy that it should? The injector fails silently, so it is asked before restarts."""

from services.upgrader.core.gates.verdict import Finding, Verdict, failed, inconclusive, passed
from services.upgrader.core.observations import Injection, InjectionsSeen
from steward.linkerd.drifts import same_version


def judge(seen: InjectionsSeen) -> Verdict:
    """Failed as soon as one pod would come up without the right proxy."""
    if not seen.probes:
        return passed("NothingToInject", "no namespace that is to be restarted asks for injection")
    found = [_finding(probe, seen) for probe in seen.probes]
    findings = tuple(each for each in found if each is not None)
    if findings:
        return failed("InjectionWrong", findings)
    unknown = [probe.namespace for probe in seen.probes if not probe.version]
    if unknown or not seen.expected_version:
        where = ", ".join(unknown) or "ConfigMap linkerd-config"
        return inconclusive("ProxyVersionUnknown", f"{where} names no proxy version: give the proxy's image a tag")
    names = ", ".join(probe.namespace for probe in seen.probes)
    return passed("Injected", f"pods made now in {names} get the proxy {seen.expected_version}")


def _finding(probe: Injection, seen: InjectionsSeen) -> Finding | None:
    where = f"a pod in namespace {probe.namespace}"
    if not probe.admitted:
        return Finding(f"{probe.namespace}/refused", f"{where} would not be admitted: {probe.message}")
    if not probe.proxy:
        message = (
            f"{where} would come up without a proxy: look at the Deployment linkerd-proxy-injector and its certificate"
        )
        return Finding(f"{probe.namespace}/proxy", message)
    if probe.version and seen.expected_version and not same_version(probe.version, seen.expected_version):
        message = f"{where} would get proxy {probe.version} instead of {seen.expected_version}"
        return Finding(f"{probe.namespace}/version", message)
    if probe.trust and seen.expected_trust and probe.trust != seen.expected_trust:
        message = f"{where} would get trust bundle {probe.trust[:12]}…, and the mesh has {seen.expected_trust[:12]}…"
        return Finding(f"{probe.namespace}/trust", message)
    return None
