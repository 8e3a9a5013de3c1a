"""What Kubernetes tells that is worth an alert, or ends one, as marks of Steward's own alerts.

    IssuerValidationFailed   begins  LinkerdIssuerInvalid, for a day
    IssuerUpdateSkipped      begins  LinkerdIssuerUpdateSkipped, for a day
    IssuerUpdated            ends    both; a certificate that is issued (IssuedLeafCertificate) ends the first
    InjectionSkipped         begins  LinkerdInjectionSkipped, for an hour, where nobody asked to leave the pod out
    Injected                 ends    it, for the same workload

Events get lost, and anybody may write some into a namespace of their own. So what begins by one ends by itself, and an
event counts only where its object is the one that it is about. What lasts is ended by what lasts: the ReleaseCatalog,
which only version_watcher writes, says by its condition MeshAsExpected that nothing differs any more, and which version
runs.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from steward.alerting import own_alerts
from steward.alerting.from_events import mesh_is_as_expected
from steward.alerting.standing import Begins, Ends, Mark, Runs
from steward.jsonvalue import JsonObject, rows, table, text

ISSUER_LASTS = timedelta(days=1)
SKIP_LASTS = timedelta(hours=1)
_WANTED = (
    "neither the namespace nor the pod have the annotation",
    "pod has the annotation",
    "sidecar injected already",
)
"""Why the injector leaves a pod out as it was asked to, in its own words."""
_ISSUER = ("issuer",)


@dataclass(frozen=True, slots=True)
class KubernetesEvent:
    """What is read of an Event, of core/v1 or events.k8s.io/v1."""

    reason: str
    message: str
    kind: str
    namespace: str
    name: str
    """Kind, namespace and name of the object that it is about."""
    at: datetime
    """When it happened last."""


def kubernetes_event(raw: JsonObject) -> KubernetesEvent | None:
    """None where there is no reason, no object or no time in it."""
    about = table(raw, "involvedObject") or table(raw, "regarding")
    reason, name, at = text(raw, "reason"), text(about, "name"), _last(raw)
    if not reason or not name or at is None:
        return None
    return KubernetesEvent(
        reason=reason,
        message=text(raw, "message") or text(raw, "note"),
        kind=text(about, "kind"),
        namespace=text(about, "namespace"),
        name=name,
        at=at,
    )


def marks(event: KubernetesEvent, namespace: str) -> tuple[Mark, ...]:
    """What `event` says of alerts; mostly nothing. `namespace`: the control plane's."""
    if event.reason in ("InjectionSkipped", "Injected"):
        return _of_injection(event)
    return _of_identity(event, namespace) if event.namespace == namespace else ()


def catalog_marks(raw: JsonObject) -> tuple[Mark, ...]:
    """What a ReleaseCatalog, as the API server gives it, says of the mesh."""
    found: list[Mark] = []
    version, observed = text(raw, "status", "mesh", "controlPlane"), _time(text(raw, "status", "mesh", "observedAt"))
    if version and observed is not None:
        found.append(Runs(observed, version))
    for condition in rows(raw, "status", "conditions"):
        if (text(condition, "type"), text(condition, "status")) == ("MeshAsExpected", "True"):
            since = _time(text(condition, "lastTransitionTime"))
            found += [mesh_is_as_expected(since)] if since is not None else []
    return tuple(found)


def _of_identity(event: KubernetesEvent, namespace: str) -> tuple[Mark, ...]:
    """Only who may write into the control plane's namespace can say these."""
    match event.reason:
        case "IssuerValidationFailed" if event.name == "linkerd-identity":
            alert = own_alerts.ISSUER_INVALID.about(
                namespace, "Identity refuses its issuer's certificate", event.message, component="identity"
            )
            return (Begins((*_ISSUER, "invalid"), event.at, alert, since=event.at, lasts=ISSUER_LASTS),)
        case "IssuerUpdateSkipped" if event.name == "linkerd-identity":
            alert = own_alerts.ISSUER_UPDATE_SKIPPED.about(
                namespace, "Identity refuses the new issuer", event.message, component="identity"
            )
            return (Begins((*_ISSUER, "skipped"), event.at, alert, since=event.at, lasts=ISSUER_LASTS),)
        case "IssuerUpdated" if event.name == "linkerd-identity":
            return (Ends(_ISSUER, event.at),)
        case "IssuedLeafCertificate":
            return (Ends((*_ISSUER, "invalid"), event.at),)
        case _:
            return ()


def _of_injection(event: KubernetesEvent) -> tuple[Mark, ...]:
    scope = ("injection", event.namespace, event.kind, event.name)
    if event.reason == "Injected":
        return (Ends(scope, event.at),)
    if any(words in event.message for words in _WANTED):
        return ()
    alert = own_alerts.INJECTION_SKIPPED.about(
        event.namespace,
        f"{event.kind} {event.namespace}/{event.name} gets pods without a proxy",
        event.message,
        kind=event.kind,
        name=event.name,
    )
    return (Begins(scope, event.at, alert, since=event.at, lasts=SKIP_LASTS),)


def _last(raw: JsonObject) -> datetime | None:
    """`series` tells of repetitions, `lastTimestamp` is how older writers do."""
    candidates = (
        text(raw, "series", "lastObservedTime"),
        text(raw, "lastTimestamp"),
        text(raw, "eventTime"),
        text(raw, "deprecatedLastTimestamp"),
        text(raw, "firstTimestamp"),
        text(raw, "metadata", "creationTimestamp"),
    )
    return next((found for said in candidates if (found := _time(said)) is not None), None)


def _time(said: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(said)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
