"""Errors for people: what happened to which object, what to do about it, and the exit code that says the same."""

from dataclasses import dataclass

from pydantic import ValidationError

from steward.bus.errors import BusError, BusRefused, BusUnreachable, StreamMissing
from steward.cli.exit_codes import ExitCode
from steward.errors import ConfigurationError, StewardError
from steward.jsonvalue import text
from steward.kube.errors import (
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
)

INSTALL = "linkerd steward install | kubectl apply --server-side -f -"


class Refusal(StewardError):
    """A command that cannot be carried out, with the remedy and the exit code."""

    def __init__(self, message: str, remedy: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is printed to stderr, and what the process ends with."""

    message: str
    remedy: str
    code: ExitCode

    def __str__(self) -> str:
        return f"error: {self.message}" + (f"\nhint: {self.remedy}" if self.remedy else "")


def explain(error: StewardError | ValidationError) -> Explanation:
    """The explanation of an error that a command ended with."""
    match error:
        case Refusal():
            return Explanation(str(error), error.remedy, error.code)
        case ConfigurationError():
            return Explanation(str(error), "", ExitCode.USAGE)
        case KubeError():
            return _explain_kube(error)
        case BusError():
            return _explain_bus(error)
        case ValidationError():
            return Explanation(
                f"an object does not fit its schema: {first_problem(error)}",
                "upgrade linkerd-steward to the version of the services, or correct the object",
                ExitCode.FAILED,
            )
        case _:
            return Explanation(str(error), "", ExitCode.FAILED)


def first_problem(error: ValidationError) -> str:
    """The first finding of a validation as one line."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in problem["loc"]) or "the document"
    return f"{where}: {problem['msg']}"


def is_missing_resource(error: NotFound) -> bool:
    """Whether the API server does not know the resource at all, rather than an object of it."""
    return not text(error.status, "details", "name")


def _explain_kube(error: KubeError) -> Explanation:
    said = str(error)
    match error:
        case NotFound() if is_missing_resource(error):
            return Explanation(
                f"{error.act}: the API server does not know this resource",
                f"Steward's custom resource definitions are not installed: {INSTALL}",
                ExitCode.NOT_FOUND,
            )
        case NotFound():
            return Explanation(said, "", ExitCode.NOT_FOUND)
        case Forbidden():
            return Explanation(
                said, "use an identity that may do this (--as, --context), or grant it the right", ExitCode.FORBIDDEN
            )
        case Unauthorized():
            return Explanation(said, "sign in again, or name another context with --context", ExitCode.FORBIDDEN)
        case TooManyRequests():
            return Explanation(said, "the API server is throttling: try again later", ExitCode.UNREACHABLE)
        case ServerUnavailable():
            return Explanation(
                said, "check that the API server is up, and --kubeconfig and --context", ExitCode.UNREACHABLE
            )
        case Invalid():
            return Explanation(said, "", ExitCode.USAGE)
        case _:
            return Explanation(said, "", ExitCode.FAILED)


def _explain_bus(error: BusError) -> Explanation:
    match error:
        case BusUnreachable():
            remedy = "name the servers with --nats or STEWARD_NATS; without them a port-forward to NATS is opened"
            return Explanation(str(error), remedy, ExitCode.UNREACHABLE)
        case BusRefused():
            return Explanation(str(error), "give credentials with the variables STEWARD_BUS__…", ExitCode.FORBIDDEN)
        case StreamMissing():
            return Explanation(
                str(error), "the services create it when they start: linkerd steward check", ExitCode.NOT_FOUND
            )
        case _:
            return Explanation(str(error), "", ExitCode.FAILED)
