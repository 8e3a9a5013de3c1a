"""What cert-manager plans for the certificates that it renews."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from steward.jsonvalue import JsonObject, rows, text
from steward.linkerd.pods import moment


@dataclass(frozen=True, slots=True)
class Renewal:
    """One Certificate of cert-manager's."""

    namespace: str
    certificate: str
    secret: str
    """Name of the Secret that it keeps."""
    planned: datetime | None
    """When it is renewed; None before it was issued for the first time."""
    ready: bool
    """What its condition Ready says; not True is not ready."""


def renewal_of(certificate: JsonObject) -> Renewal | None:
    """The plan in a Certificate; None where it keeps no Secret."""
    secret = text(certificate, "spec", "secretName")
    if not secret:
        return None
    return Renewal(
        namespace=text(certificate, "metadata", "namespace"),
        certificate=text(certificate, "metadata", "name"),
        secret=secret,
        planned=moment(text(certificate, "status", "renewalTime")),
        ready=any(
            text(condition, "type") == "Ready" and text(condition, "status") == "True"
            for condition in rows(certificate, "status", "conditions")
        ),
    )


def renewed(renewals: Iterable[Renewal], namespace: str, secret: str) -> Renewal | None:
    """The plan for a Secret, None where nobody renews it.

    Two Certificates that keep one Secret overwrite each other: then the earlier plan counts, and both must be ready.
    """
    found = [each for each in renewals if (each.namespace, each.secret) == (namespace, secret)]
    if not found:
        return None
    planned = [each.planned for each in found if each.planned is not None]
    return Renewal(
        namespace=namespace,
        certificate=found[0].certificate,
        secret=secret,
        planned=min(planned, default=None),
        ready=all(each.ready for each in found),
    )
