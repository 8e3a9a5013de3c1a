"""Is a pod proven to be on the target? A finished rollout proves nothing of proxies, so each pod is looked at."""

from dataclasses import dataclass
from enum import Enum

from steward.linkerd.drifts import same_version
from steward.linkerd.pods import PodFacts, ProxyFacts

_UNKNOWN = object()
_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Target:
    """What every proxy should be."""

    version: str
    """The proxy version that linkerd-config asks for."""
    trust: str
    """SHA-256 of the trust bundle; empty where nobody can tell."""


class Flaw(Enum):
    """What is wrong with a pod's proxy: reason and sentence."""

    NO_PROXY = ("NoProxy", "came back without a proxy: was the injector down, or its certificate not believed?")
    VERSION = ("WrongProxyVersion", "runs another proxy than the target's")
    ANNOTATION = ("AnnotationDisagrees", "has a proxy whose annotation names another version than its image")
    TRUST = ("ForeignTrust", "has a proxy with another trust bundle than the mesh")

    @property
    def reason(self) -> str:
        """For programs."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """For people, after the pod's name."""
        return self.value[1]


class Prover:
    """Judges proxies, each distinct one once: thousands of pods share a handful of them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._known: dict[int, Flaw | None] = {id(None): Flaw.NO_PROXY}
        self._kept: list[ProxyFacts] = []

    def flaw(self, pod: PodFacts) -> Flaw | None:
        """What is wrong with the pod's proxy, None where it is the target's. Readiness is another matter."""
        proxy = pod.proxy
        if proxy is None:
            return Flaw.NO_PROXY
        key = id(proxy)
        try:
            return self._known[key]
        except KeyError:
            self._kept.append(proxy)  # An identity is one only as long as its object lives.
            found = self._known[key] = _flaw(proxy, self.target)
            return found

    def any_wrong(self, pods: list[PodFacts]) -> bool:
        """Whether some pod has not the target's proxy."""
        known = self._known
        for pod in pods:
            # Most pods have been judged by their proxy already: one look in a small table, without a call.
            found = known.get(id(pod.proxy), _UNKNOWN)
            if found is _UNKNOWN:
                found = self.flaw(pod)
            if found is not None:
                return True
        return False


def _flaw(proxy: ProxyFacts, target: Target) -> Flaw | None:
    if not same_version(proxy.label, target.version):
        return Flaw.VERSION
    if proxy.annotated and not same_version(proxy.annotated, target.version):
        return Flaw.ANNOTATION
    if proxy.trust and target.trust and proxy.trust != target.trust:
        return Flaw.TRUST
    return None


def living(pods: tuple[PodFacts, ...]) -> list[PodFacts]:
    """The pods that count: those that are going, or are done for ever, prove and disprove nothing."""
    return [pod for pod in pods if not pod.deleting and pod.phase not in _OVER]
