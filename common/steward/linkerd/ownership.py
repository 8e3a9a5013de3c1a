"""Who installed this Linkerd, and how one can tell: the tool that must also upgrade it.

Each mark on an object, each Helm release and the CLI's own Secret is evidence for one tool. Evidence for two tools is a
mixed installation, which nobody should touch before a person has decided.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from steward.jsonvalue import JsonObject, text, texts
from steward.linkerd import marks
from steward.resources.upgrade_plan import InstallMethod

OVERRIDES_SECRET = "linkerd-config-overrides"
_RELEASES_OF_LINKERD = ("linkerd-control-plane", "linkerd-crds", "linkerd2", "linkerd")
_GONE = ("superseded", "uninstalled", "uninstalling")


class Mixture(StrEnum):
    """Why no single tool can be named."""

    NONE = "None"
    MIXED = "Mixed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sign of an installer."""

    method: InstallMethod
    object: str
    sign: str

    def __str__(self) -> str:
        return f"{self.object}: {self.sign} ({self.method.value})"


@dataclass(frozen=True, slots=True)
class Ownership:
    """The installer, or why there is no single one."""

    method: InstallMethod | None
    mixture: Mixture
    evidence: tuple[Evidence, ...]
    release: str = ""
    """Helm release of the control plane, where there is one."""

    @property
    def label(self) -> str:
        """`Helm`, `CLI`, `GitOps`, `Mixed` or `Unknown`."""
        return self.method.value if self.method is not None else self.mixture.value

    @property
    def message(self) -> str:
        """The evidence as a sentence."""
        if not self.evidence:
            return "no object of the control plane carries a mark of Helm, of the Linkerd CLI or of a GitOps tool"
        return "; ".join(str(each) for each in self.evidence[:8])


@dataclass(frozen=True, slots=True)
class MarkedObject:
    """An object of the installation with its marks."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @classmethod
    def of(cls, raw: JsonObject, kind: str = "") -> "MarkedObject":
        """The marks of an object as the API server returns it."""
        namespace = text(raw, "metadata", "namespace")
        name = text(raw, "metadata", "name")
        where = f"{namespace}/{name}" if namespace else name
        return cls(
            f"{kind or text(raw, 'kind')} {where}",
            texts(raw, "metadata", "labels"),
            texts(raw, "metadata", "annotations"),
        )


@dataclass(frozen=True, slots=True)
class HelmRelease:
    """The newest revision of a Helm release, from the labels of its Secret; its content is never read."""

    name: str
    namespace: str
    revision: int
    status: str


@dataclass(frozen=True, slots=True)
class Installers:
    """What was seen of the installers themselves. `None`: not looked at, which is not the same as absent."""

    releases: tuple[HelmRelease, ...] | None = None
    overrides: MarkedObject | None = None
    """The Secret in which `linkerd install` keeps what it was told; GitOps tools may own that too."""


def newest_releases(secrets: Iterable[JsonObject]) -> tuple[HelmRelease, ...]:
    """The newest revision of each release among Helm's Secrets."""
    newest: dict[str, HelmRelease] = {}
    for secret in secrets:
        labels = texts(secret, "metadata", "labels")
        revision = labels.get("version", "")
        if labels.get("owner") != "helm" or not labels.get("name") or not revision.isdigit():
            continue
        release = HelmRelease(
            labels["name"], text(secret, "metadata", "namespace"), int(revision), labels.get("status", "")
        )
        if release.name not in newest or newest[release.name].revision < release.revision:
            newest[release.name] = release
    return tuple(newest[name] for name in sorted(newest))


def ownership_of(objects: Iterable[MarkedObject], installers: Installers) -> Ownership:
    """The installer of the control plane that consists of `objects`."""
    objects = tuple(objects)
    evidence = [each for marked in objects for each in _signs(marked)]
    evidence.extend(_release_signs(objects, installers.releases or ()))
    if installers.overrides is not None:
        gitops = _gitops(installers.overrides)
        method = InstallMethod.GITOPS if gitops else InstallMethod.CLI
        evidence.append(Evidence(method, installers.overrides.name, gitops or "made by `linkerd install`"))
    methods = {each.method for each in evidence}
    release = next(
        (each.annotations[marks.HELM_RELEASE] for each in objects if marks.HELM_RELEASE in each.annotations), ""
    )
    if len(methods) == 1:
        return Ownership(methods.pop(), Mixture.NONE, _unique(evidence), release)
    return Ownership(None, Mixture.MIXED if methods else Mixture.UNKNOWN, _unique(evidence), release)


def _release_signs(objects: tuple[MarkedObject, ...], releases: tuple[HelmRelease, ...]) -> list[Evidence]:
    named = {each.annotations[marks.HELM_RELEASE] for each in objects if marks.HELM_RELEASE in each.annotations}
    # Flux runs Helm itself, so its releases are no second owner.
    of_flux = {
        each.annotations[marks.HELM_RELEASE]
        for each in objects
        if marks.HELM_RELEASE in each.annotations and marks.FLUX_HELM in each.labels
    }
    return [
        Evidence(
            InstallMethod.HELM,
            f"release {release.namespace}/{release.name}",
            f"revision {release.revision} is {release.status or 'of unknown status'}",
        )
        for release in releases
        if release.status not in _GONE and release.name in (named | set(_RELEASES_OF_LINKERD)) - of_flux
    ]


def _signs(marked: MarkedObject) -> list[Evidence]:
    """What one object says. Argo CD renders Helm charts without Helm, Flux with it: neither makes Helm the owner."""
    gitops = _gitops(marked)
    helm_release = marked.annotations.get(marks.HELM_RELEASE)
    created_by = marked.annotations.get(marks.CREATED_BY, "")
    found = []
    if gitops:
        found.append(Evidence(InstallMethod.GITOPS, marked.name, gitops))
    if helm_release and marks.FLUX_HELM not in marked.labels:
        found.append(Evidence(InstallMethod.HELM, marked.name, f"{marks.HELM_RELEASE}={helm_release}"))
    if created_by.startswith("linkerd/cli") and not (gitops and not helm_release):
        found.append(Evidence(InstallMethod.CLI, marked.name, f"{marks.CREATED_BY}={created_by}"))
    return found


def _gitops(marked: MarkedObject) -> str:
    if marks.ARGO_TRACKING in marked.annotations:
        return f"{marks.ARGO_TRACKING}={marked.annotations[marks.ARGO_TRACKING]}"
    for key in (marks.ARGO_INSTANCE, marks.FLUX_HELM, marks.FLUX_KUSTOMIZE):
        if key in marked.labels:
            return f"{key}={marked.labels[key]}"
    return ""


def _unique(evidence: list[Evidence]) -> tuple[Evidence, ...]:
    """One piece for each tool first, so that a message cut short still shows the conflict."""
    seen: dict[Evidence, None] = dict.fromkeys(evidence)
    ordered: list[Evidence] = []
    for method in InstallMethod:
        first = next((each for each in seen if each.method is method), None)
        if first is not None:
            ordered.append(first)
            del seen[first]
    return (*ordered, *seen)
