"""The Status objects with which a Kubernetes API server refuses, worded as the real one words them."""

from collections.abc import Sequence
from dataclasses import dataclass

from steward.jsonvalue import Json, JsonObject
from steward.kube.resources import Resource


class Refusal(Exception):
    """One refused request; `status()` is the body of the answer."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: JsonObject | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> JsonObject:
        """As JSON."""
        details: JsonObject = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        status: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if details:
            status["details"] = details
        return status


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an object."""

    field: str
    reason: str
    message: str

    def cause(self) -> JsonObject:
        """As a member of `details.causes`."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def _details(resource: Resource, name: str, causes: Sequence[Finding] = ()) -> JsonObject:
    details: JsonObject = {"name": name, "kind": resource.plural}
    if resource.group:
        details["group"] = resource.group
    if causes:
        details["causes"] = [cause.cause() for cause in causes]
    return details


def not_found(resource: Resource, name: str) -> Refusal:
    """There is no such object."""
    return Refusal(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def no_such_path() -> Refusal:
    """There is no such resource."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: Resource, name: str) -> Refusal:
    """Create met an object of that name."""
    return Refusal(409, "AlreadyExists", f'{resource} "{name}" already exists', details=_details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> Refusal:
    """The object moved on."""
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return Refusal(409, "Conflict", message, details=_details(resource, name))


def precondition_failed(
    resource: Resource, name: str, what: str, asked_and_found: tuple[str, str], perhaps: str
) -> Refusal:
    """A deletion meant another object, or another state of it."""
    asked, found = asked_and_found
    why = f"the {what} in the precondition ({asked}) does not match the {what} in record ({found})."
    message = f'Operation cannot be fulfilled on {resource.kind} "{name}": {why} The object might have been {perhaps}'
    return Refusal(409, "Conflict", message, details={"name": name, "kind": resource.kind})


def apply_conflict(owned: Sequence[tuple[str, str]]) -> Refusal:
    """Fields of an apply belong to others: pairs of manager and path."""
    causes = [Finding(path, "FieldManagerConflict", f"conflict with {manager}") for manager, path in owned]
    count = "1 conflict" if len(owned) == 1 else f"{len(owned)} conflicts"
    listed = (
        f"{causes[0].message}: {causes[0].field}"
        if len(causes) == 1
        else "conflicts with " + ", ".join(sorted({f"{manager}: {path}" for manager, path in owned}))
    )
    details: JsonObject = {"causes": [cause.cause() for cause in causes]}
    return Refusal(409, "Conflict", f"Apply failed with {count}: {listed}", details=details)


def invalid(resource: Resource, name: str, findings: Sequence[Finding]) -> Refusal:
    """The object does not hold to its schema."""
    listed = "; ".join(f"{finding.field}: {finding.message}" for finding in findings)
    if len(findings) > 1:
        listed = f"[{', '.join(f'{finding.field}: {finding.message}' for finding in findings)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = f'{kind} "{name}" is invalid: {listed}'
    details = _details(resource, name, findings)
    details["kind"] = resource.kind
    return Refusal(422, "Invalid", message, details=details)


def bad_request(message: str) -> Refusal:
    """The request cannot be understood."""
    return Refusal(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, message: str, causes: Sequence[Finding] = ()) -> Refusal:
    """The identity, or the state of the cluster, does not allow it."""
    what = f'{resource} "{name}"' if name else str(resource)
    return Refusal(403, "Forbidden", f"{what} is forbidden: {message}", details=_details(resource, name, causes))


def unauthorized() -> Refusal:
    """Nobody knows this token."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> Refusal:
    """A resource version or continue token is no longer kept."""
    return Refusal(410, "Expired", message)


def unsupported_media(accepted: str) -> Refusal:
    """A patch type that the resource does not take."""
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return Refusal(415, "UnsupportedMediaType", message)


def method_not_allowed() -> Refusal:
    """The resource has no such verb."""
    return Refusal(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def success(resource: Resource, name: str, uid: Json) -> JsonObject:
    """The answer to a deletion that is already complete."""
    details = _details(resource, name)
    details["uid"] = uid
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
