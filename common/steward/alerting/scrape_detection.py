"""Who wrote the scrape configuration of a Prometheus, told by its active targets: the profile that the rules are for.

targets ──by role──▶ proxies, controllers, federated, own, API server ──by job──▶ kind ──▶ ScrapeProfile

A profile that fits two kinds at once would count every request twice: then the kind that scrapes more proxies is taken
and the other one left out.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from steward.alerting.monitoring import ScrapeKind, ScrapeProfile
from steward.alerting.promql import Matcher
from steward.alerting.targets import Target
from steward.linkerd import marks

OWN_JOB = "linkerd-steward"
"""The job of Steward itself in the scrape configuration that is shipped with it; nobody else has one."""
OWN_APPLICATION = "alerting"
_CONTROLLERS = frozenset({"destination", "identity", "policy", "proxy-injector", "sp-validator"})
_LINKERD_JOB = re.compile(r"^(?:.*/)?linkerd-(?:proxy|controller)$")
_POD_MONITOR = "podMonitor/"
NOT_SCRAPED = "MeshNotScraped"
"""The reason of a profile that nothing was seen of."""


@dataclass(frozen=True, slots=True)
class Detected:
    """A profile, and what it was told by."""

    profile: ScrapeProfile
    reason: str
    """CamelCase, stable."""
    message: str
    """A sentence for people."""


class _Role(Enum):
    PROXY = auto()
    CONTROLLER = auto()
    OTHER = auto()


def detect(targets: Iterable[Target], *, wished: ScrapeKind | None = None) -> Detected:
    """The profile of the Prometheus with these targets; `wished` is the kind that somebody says it is."""
    found = tuple(targets)
    proxies = [each for each in found if _role(each) is _Role.PROXY]
    controllers = [each for each in found if _role(each) is _Role.CONTROLLER]
    if not proxies and not controllers:
        return _without_a_mesh(found, wished)
    steward = any(each.job == OWN_JOB for each in found)
    kinds = Counter(_kind(each, steward=steward) for each in proxies or controllers)
    kind = wished or max(kinds, key=lambda each: (kinds[each], each.value))
    others = tuple(each for each in kinds if each is not kind)
    if kind in kinds:
        proxies = [each for each in proxies if _kind(each, steward=steward) not in others]
        controllers = [each for each in controllers if _kind(each, steward=steward) not in others]
    profile = _profile(kind, _Scraped(proxies, controllers), exact=bool(others) and kind in kinds)
    reason, choice = _choice(kind, kinds, wished)
    message = "; ".join((*_counts(proxies, controllers), *choice, *_flaws(controllers)))
    return Detected(_with_others(profile, found), reason, f"{kind.value}: {message}")


@dataclass(frozen=True, slots=True)
class _Scraped:
    """The targets that the profile is for."""

    proxies: list[Target]
    controllers: list[Target]


def _role(target: Target) -> _Role:
    if target.federates:
        return _Role.OTHER
    if target.container == marks.PROXY_CONTAINER or target.job.rpartition("/")[2] == "linkerd-proxy":
        return _Role.PROXY
    ours = target.container in _CONTROLLERS and bool(target.component)
    return _Role.CONTROLLER if ours or target.job.rpartition("/")[2] == "linkerd-controller" else _Role.OTHER


def _kind(target: Target, *, steward: bool) -> ScrapeKind:
    """By its job: everybody calls the jobs of Linkerd as its own charts do, or it is nobody that we know."""
    if _LINKERD_JOB.fullmatch(target.job) is None:
        return ScrapeKind.CUSTOM
    if "/" in target.job or target.pool.startswith(_POD_MONITOR):
        return ScrapeKind.POD_MONITOR
    return ScrapeKind.STEWARD if steward else ScrapeKind.VIZ


def _profile(kind: ScrapeKind, scraped: _Scraped, *, exact: bool) -> ScrapeProfile:
    profile = ScrapeProfile(kind, own_namespace=_own_namespace(kind, scraped.controllers))
    if kind is not ScrapeKind.CUSTOM and not exact:
        return profile
    proxies, controllers = _jobs(scraped.proxies), _jobs(scraped.controllers)
    return replace(
        profile,
        proxies=Matcher.any_of("job", proxies) if proxies else profile.proxies,
        controllers=Matcher.any_of("job", controllers) if controllers else profile.controllers,
    )


def _own_namespace(kind: ScrapeKind, controllers: list[Target]) -> str:
    """A label of the target displaces the metric's own, which then has another name; the operator always adds one."""
    displaced = any("namespace" in each.labels for each in controllers)
    if not controllers:
        displaced = kind is ScrapeKind.POD_MONITOR
    return "exported_namespace" if displaced else "namespace"


def _with_others(profile: ScrapeProfile, targets: tuple[Target, ...]) -> ScrapeProfile:
    """The same with the jobs under which this Prometheus scrapes the API server and us."""
    servers = _jobs(each for each in targets if each.service == "kubernetes" and each.namespace == "default")
    own = _jobs(each for each in targets if each.job == OWN_JOB or _is_own(each))
    return replace(
        profile,
        api_server=Matcher.any_of("job", servers) if servers else profile.api_server,
        exporter=Matcher.any_of("job", own) if own else profile.exporter,
    )


def _is_own(target: Target) -> bool:
    return (target.application, target.container) == (OWN_APPLICATION, OWN_APPLICATION)


def _jobs(targets: Iterable[Target]) -> list[str]:
    return sorted({each.job for each in targets if each.job})


def _without_a_mesh(targets: tuple[Target, ...], wished: ScrapeKind | None) -> Detected:
    federated = _jobs(each for each in targets if each.federates)
    if federated:
        profile = ScrapeProfile(wished or ScrapeKind.FEDERATION)
        message = (
            f"series of Linkerd come from another Prometheus, federated by job {', '.join(federated)}; "
            "their labels are taken to be kept as they are there (honor_labels)"
        )
        return Detected(_with_others(profile, targets), "Federated", message)
    profile = ScrapeProfile(wished or ScrapeKind.STEWARD)
    message = (
        f"none of {len(targets)} active targets is a proxy or a controller of Linkerd: nothing of the mesh is scraped"
    )
    return Detected(_with_others(profile, targets), NOT_SCRAPED, message)


def _choice(kind: ScrapeKind, kinds: Counter[ScrapeKind], wished: ScrapeKind | None) -> tuple[str, tuple[str, ...]]:
    others = ", ".join(sorted(each.value for each in kinds if each is not kind))
    if kind not in kinds:
        return "Asked", (f"it was asked for, and the targets look like {others}",)
    if others:
        return "SeveralFound", (f"{others} scrapes the same mesh and is left out, or everything would count twice",)
    return f"{kind.value}Found" if wished is None else "Asked", ()


def _counts(proxies: list[Target], controllers: list[Target]) -> tuple[str, str]:
    return _counted("proxies", proxies), _counted("controllers", controllers)


def _counted(what: str, targets: list[Target]) -> str:
    jobs = ", ".join(_jobs(targets))
    return f"{sum(each.is_up for each in targets)} of {len(targets)} {what} up" + (f" under job {jobs}" if jobs else "")


def _flaws(controllers: list[Target]) -> tuple[str, ...]:
    nameless = sum(not each.labels.get("component") for each in controllers)
    if not nameless:
        return ()
    return (f"{nameless} controllers have no label component: alerts that tell them apart stay blind",)
