"""Admission as Python callbacks: a simulated proxy injector is one that returns another pod."""

from collections.abc import Callable
from dataclasses import dataclass

from steward.jsonvalue import JsonObject
from steward.kube.resources import Resource
from steward.testing.kubernetes.refusal import Refusal


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """One object on its way in. `value` is a copy that the callback may change and return."""

    operation: str
    resource: Resource
    namespace: str
    value: JsonObject
    before: JsonObject | None
    subresource: str = ""
    dry_run: bool = False


Admit = Callable[[AdmissionRequest], JsonObject | None]
"""Returns the object to go on with, or None for no opinion; raises `Denied` to refuse it."""


class Denied(Exception):
    """The webhook says no."""

    def __init__(self, message: str, *, code: int = 400) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Webhook:
    """A callback for the given operations on one resource."""

    name: str
    resource: Resource
    admit: Admit
    operations: tuple[str, ...] = ("CREATE",)


def admitted(webhooks: list[Webhook], request: AdmissionRequest) -> JsonObject:
    """The object after every webhook that is asked about it."""
    value = request.value
    for webhook in tuple(webhooks):
        if webhook.resource != request.resource or request.operation not in webhook.operations:
            continue
        try:
            answer = webhook.admit(
                AdmissionRequest(
                    request.operation,
                    request.resource,
                    request.namespace,
                    value,
                    request.before,
                    request.subresource,
                    request.dry_run,
                )
            )
        except Denied as refused:
            message = f'admission webhook "{webhook.name}" denied the request: {refused}'
            reason = "Forbidden" if refused.code == 403 else "BadRequest"
            raise Refusal(refused.code, reason, message) from refused
        value = value if answer is None else answer
    return value
